import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Connection, Event } from "../../src/core/events.ts";
import { createLink, type Link, type ShipWay } from "../../src/link/link.ts";
import type { Path } from "../../src/link/path.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { ScriptedBroker, until } from "./scripted-broker.ts";

/** A site with two ways out, each to a broker of its own, so that it can be seen what went where. */

const ROOT = siteRoot("acme", "one");

class Way implements Path {
  readonly uplink: "primary" | "lte";
  whole = true;
  private readonly port: number;
  private readonly sockets: Socket[] = [];

  constructor(uplink: "primary" | "lte", port: number) {
    this.uplink = uplink;
    this.port = port;
  }

  async connect(_host: string, _port: number, signal: AbortSignal): Promise<Socket> {
    if (!this.whole) throw new Error(`${this.uplink} is cut`);
    const socket = await plainPath().connect("127.0.0.1", this.port, signal);
    this.sockets.push(socket);
    return socket;
  }

  cut(): void {
    this.whole = false;
    for (const socket of this.sockets) socket.destroy();
  }
}

class Site {
  readonly primary: Way;
  readonly lte: Way;
  readonly link: Link;
  readonly ways: ShipWay[] = [];
  readonly up = new Set<Connection>();
  readonly changes: string[] = [];

  constructor(ports: { primary: number; lte: number }, folder: string, kept: Readonly<Record<string, number>>) {
    this.primary = new Way("primary", ports.primary);
    this.lte = new Way("lte", ports.lte);
    this.link = createLink({
      ...{ fleet: "acme", site: "one", boot: 1, start: 1, brokers: ["mqtt://broker"], tls: {} },
      paths: [this.primary, this.lte],
      socket: join(folder, "s"),
      random: () => 0,
      receive: () => undefined,
      emit: (event) => this.take(event),
      shipping: (way) => this.ways.push(way),
      room: () => undefined,
      keepalive: { saved: (uplink) => kept[uplink] ?? null, save: () => undefined },
    });
  }

  /** As the core does: whoever comes up is told how the site is. */
  private take({ connection, state }: Extract<Event, { type: "link-changed" }>): void {
    this.changes.push(`${connection} ${state}`);
    if (state === "down") return void this.up.delete(connection);
    this.up.add(connection);
    if (connection !== "local") this.say(connection, "state", `hello ${connection}`, true);
  }

  say(to: Connection | "all", what: string, text: string, retained = false): boolean {
    return this.link.publish({ to, topic: `${ROOT}/up/${what}`, payload: Buffer.from(text), retained });
  }
}

async function sceneOf(kept: Record<string, number> = {}) {
  const [atPrimary, atLte] = [new ScriptedBroker(), new ScriptedBroker()];
  const ports = { primary: await atPrimary.start(), lte: await atLte.start() };
  const folder = mkdtempSync(join(tmpdir(), "towpath-paths-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const site = new Site(ports, folder, kept);
  await site.link.start();
  onTestFinished(() => site.link.stop());
  await until(() => site.up.has("lte") && site.up.has("primary"));
  const heard = (broker: ScriptedBroker, what: string) =>
    broker
      .of("publish")
      .filter(({ topic }) => topic === `${ROOT}/up/${what}`)
      .map(({ payload }) => String(payload));
  return { site, atPrimary, atLte, heard };
}

/** What was said last by then has arrived, and so has all before it. */
async function settled(site: Site, brokers: readonly ScriptedBroker[]): Promise<void> {
  site.say("lte", "reply", "mark");
  site.say("primary", "reply", "mark");
  await until(() => brokers.some((one) => one.of("publish").some(({ payload }) => String(payload) === "mark")));
  await new Promise((resolve) => setTimeout(resolve, 50));
}

describe("a site with two ways out", () => {
  it("has a connection of its own over each, told apart by their names", async () => {
    const { atPrimary, atLte } = await sceneOf({ lte: 410 });
    expect(atPrimary.of("connect")[0]).toMatchObject({ clientId: "acme/one/primary", keepalive: 60 });
    expect(atLte.of("connect")[0]).toMatchObject({ clientId: "acme/one/lte", keepalive: 410 });
    expect(atLte.of("subscribe")[0]?.subscriptions[0]?.topic).toBe(`${ROOT}/dn/#`);
    expect(atPrimary.of("subscribe")[0]?.subscriptions[0]?.topic).toBe(`${ROOT}/dn/#`);
  });

  it("says how it is over LTE alone, and over the other while LTE is down", async () => {
    const { site, atPrimary, atLte, heard } = await sceneOf();
    site.say("all", "state", "one", true);
    await settled(site, [atLte, atPrimary]);
    expect(heard(atLte, "state").at(-1)).toBe("one");
    expect(heard(atPrimary, "state")).not.toContain("one");
    site.lte.cut();
    await until(() => !site.up.has("lte"));
    // All that is kept there, again.
    await until(() => heard(atPrimary, "state").includes("one"));
    site.say("all", "state", "two", true);
    await until(() => heard(atPrimary, "state").includes("two"));
    site.lte.whole = true;
    await until(() => site.up.has("lte"));
    await until(() => heard(atLte, "state").at(-1) === "hello lte");
    site.say("all", "state", "three", true);
    await until(() => heard(atLte, "state").includes("three"));
    expect(heard(atPrimary, "state")).not.toContain("three");
  });

  it("answers the way it was asked, by the other way when that is gone, and late when there is none", async () => {
    const { site, atPrimary, atLte, heard } = await sceneOf();
    site.say("primary", "reply", "to primary");
    site.say("lte", "reply", "to lte");
    await until(() => heard(atPrimary, "reply").length === 1 && heard(atLte, "reply").length === 1);
    expect([heard(atPrimary, "reply"), heard(atLte, "reply")]).toEqual([["to primary"], ["to lte"]]);
    site.primary.cut();
    await until(() => !site.up.has("primary"));
    site.say("primary", "reply", "asked over primary");
    await until(() => heard(atLte, "reply").includes("asked over primary"));
    site.lte.cut();
    await until(() => !site.up.has("lte"));
    expect(site.say("lte", "reply", "to nobody")).toBe(false);
    site.primary.whole = true;
    await until(() => heard(atPrimary, "reply").includes("to nobody"));
    expect(heard(atPrimary, "reply").filter((one) => one === "to nobody").length).toBe(1);
  });

  it("sends alarms over LTE and measures where they cost nothing", async () => {
    const { site, atPrimary, atLte, heard } = await sceneOf();
    site.say("all", "event", "alarm");
    site.say("all", "telemetry", "warm");
    await until(() => heard(atLte, "event").length === 1 && heard(atPrimary, "telemetry").length === 1);
    expect([heard(atPrimary, "event"), heard(atLte, "telemetry")]).toEqual([[], []]);
    expect(site.link.thrift()).toBeNull();
    site.primary.cut();
    await until(() => !site.up.has("primary"));
    expect(site.link.thrift()).toBe("normal");
    site.say("all", "telemetry", "warmer");
    await until(() => heard(atLte, "telemetry").length === 1);
  });

  it("ships freely over the primary, sparingly over LTE, and not at all when the budget is spent", async () => {
    const { site } = await sceneOf();
    expect(site.ways.at(-1)).toBe("free");
    site.primary.cut();
    await until(() => site.ways.at(-1) === "metered");
    site.link.govern("saving");
    expect(site.ways.at(-1)).toBe("metered");
    site.link.govern("last");
    expect(site.ways.at(-1)).toBe("none");
    site.link.govern("normal");
    expect(site.ways.at(-1)).toBe("metered");
    site.lte.cut();
    await until(() => site.ways.at(-1) === "none");
    site.primary.whole = true;
    await until(() => site.ways.at(-1) === "free");
  });

  it("leaves out of LTE what the budget no longer bears, and never an answer, an alarm or what somebody watches", async () => {
    const { site, atLte, atPrimary, heard } = await sceneOf();
    site.primary.cut();
    await until(() => !site.up.has("primary"));
    site.link.govern("last");
    const given: string[] = [];
    const ship = (urgency: "unwatched" | "backfill" | "telemetry" | "watched") =>
      site.link.publish({
        ...{
          to: "all",
          topic: `${ROOT}/up/capture/router1/rx`,
          payload: Buffer.from(urgency),
          retained: false,
          urgency,
        },
        settled: () => given.push(urgency),
      });
    expect((["unwatched", "backfill", "telemetry", "watched"] as const).map(ship)).toEqual([false, false, false, true]);
    site.say("all", "event", "alarm");
    site.say("lte", "reply", "answer");
    await settled(site, [atLte, atPrimary]);
    expect(heard(atLte, "capture/router1/rx")).toEqual(["watched"]);
    expect(heard(atLte, "event")).toEqual(["alarm"]);
    expect(heard(atLte, "reply")).toContain("answer");
    await until(() => given.length === 4);
  });

  it("lets LTE prove itself when the primary goes down", async () => {
    const { site, atLte, atPrimary } = await sceneOf();
    // Nothing is under way there whose answer would be proof enough.
    await settled(site, [atLte]);
    await settled(site, [atPrimary]);
    expect(atLte.of("pingreq").length).toBe(0);
    site.primary.cut();
    await until(() => atLte.of("pingreq").length > 0);
    expect(atLte.lives).toBe(1);
  });

  it("says why it is down when the reason changes, over and over of the same reason only once", async () => {
    const { site } = await sceneOf();
    site.primary.cut();
    await until(() => site.changes.filter((one) => one === "primary down").length === 2);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(site.changes.filter((one) => one === "primary down").length).toBe(2);
  });
});
