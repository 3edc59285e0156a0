import type { KeyObject } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { firstMissing, missingIn, type Span } from "../../src/core/ranges.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { openPty, type Pty } from "../pty.ts";
import { Receiver } from "../receiver.ts";
import { newKey, trustText } from "../trust.ts";
import {
  makeSite,
  startController,
  startMosquitto,
  type TestBroker,
  type TestSite,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

/** A device that talks as fast as the terminal takes it. */
class Talker {
  said = "";
  private line = 0;
  private readonly pty: Pty;

  constructor(pty: Pty) {
    this.pty = pty;
  }

  async say(bytes: number): Promise<void> {
    let text = "";
    while (text.length < bytes)
      text += `%LINK-3-UPDOWN: Interface Gi0/${this.line % 48}, changed state, record ${this.line++}\r\n`;
    const all = Buffer.from(text);
    for (let at = 0; at < all.length; ) {
      at += this.pty.say(all.subarray(at, at + 2_000));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    this.said += text;
  }

  /** What the capture takes for a kernel's last words goes out at once. */
  async panic(): Promise<void> {
    const text = `Kernel panic - not syncing, record ${this.line++}\r\n`;
    this.pty.say(text);
    this.said += text;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface Scene {
  readonly site: TestSite;
  readonly broker: TestBroker;
  readonly talker: Talker;
  readonly vault: KeyObject;
  readonly vera: KeyObject;
}

async function sceneOf(): Promise<Scene> {
  const folder = temporaryFolder();
  const broker = await startMosquitto(folder, null);
  const pty = openPty();
  onTestFinished(() => pty.close());
  const site = await makeSite(folder, {
    link: `link: { brokers: [ "mqtt://127.0.0.1:${broker.port}" ] }`,
    yaml: `consoles:\n  router1: { port: { path: ${pty.path} }, baudRate: 115200, ship: always }\n`,
  });
  const [root, vault, vera] = [newKey(), newKey(), newKey()];
  const operators = { vault: { key: vault, role: "admin" }, vera: { key: vera, role: "viewer" } };
  writeFileSync(join(folder, "trust.json"), trustText({ fleet: "acme", epoch: 9, root, operators }));
  return { site, broker, talker: new Talker(pty), vault, vera };
}

function receive(port: number, key: KeyObject): Receiver {
  const receiver = new Receiver({ root: siteRoot("acme", "one"), key, broker: `mqtt://127.0.0.1:${port}` });
  onTestFinished(() => receiver.stop());
  return receiver;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function status(site: TestSite): Promise<{ receivers: Record<string, unknown>; heard: object }> {
  const { out } = await towpath(["status", "one", "--json", "--local", join(site.data, "towpath.sock")]);
  return (JSON.parse(out) as { state: { site: { receivers: Record<string, unknown>; heard: object } } }).state.site;
}

async function captured(site: TestSite): Promise<number> {
  return (await site.journal()).consoles.router1?.bytes ?? 0;
}

describe("what a console says", () => {
  it("reaches a receiver byte by byte, over broken brokers and a killed controller, and no one else moves a cursor", async () => {
    const { site, broker, talker, vault, vera } = await sceneOf();
    const first = await startController(site.config);
    const receiver = receive(broker.port, vault);
    receiver.answers = false;
    await talker.say(40_000);
    await until(async () => (await captured(site)) === talker.said.length);
    receiver.acknowledge(vera);
    await until(() => first.log().includes('"role.denied"'), 10_000, first.log);
    await pause(2_500);
    expect((await status(site)).receivers).toEqual({ rev: 1 });

    // A receiver is there: all that was said comes.
    receiver.answers = true;
    receiver.acknowledge();
    await until(() => receiver.text() === talker.said, 20_000);
    await until(() => receiver.chunks.length > 1 && firstMissing(receiver.records, 1) > 4);
    expect(receiver.chunks.some(({ dictionary }) => dictionary > 10_000)).toBe(true);
    expect(await status(site)).toMatchObject({
      receivers: { vault: { by: "vault" } },
      heard: { vault: expect.any(Number) },
    });
    const shown = await towpath(["status", "one", "--local", join(site.data, "towpath.sock")]);
    expect(shown.out).toMatch(/receiver vault \(key of vault\).* heard .* ago/);

    // The broker dies without a word, and forgets what it kept.
    await pause(500);
    const acknowledged = receiver.text().length;
    broker.child.kill("SIGKILL");
    await pause(300);
    receiver.chunks = [];
    await talker.say(50_000);
    const second = await startMosquitto(site.folder, null, broker.port);
    await until(() => receiver.text() === talker.said, 60_000);
    expect(Math.min(...receiver.chunks.map(({ offset }) => offset))).toBe(acknowledged);

    // The controller is killed: the broker's copy of the acknowledgement tells it where to go on.
    await pause(1_000);
    const before = receiver.text().length;
    first.child.kill("SIGKILL");
    await first.ended;
    receiver.chunks = [];
    const again = await startController(site.config);
    await talker.say(50_000);
    await talker.panic();
    await until(() => receiver.text() === talker.said, 60_000, again.log);
    expect(Math.min(...receiver.chunks.map(({ offset }) => offset))).toBe(before);

    // A broker that hangs costs nothing of the capture.
    second.child.kill("SIGSTOP");
    await talker.say(150_000);
    await until(async () => (await captured(site)) === talker.said.length, 10_000);
    second.child.kill("SIGCONT");
    await talker.panic();
    await until(() => receiver.text() === talker.said, 60_000, again.log);
    expect(receiver.broken).toBe(0);

    // Every decision and event as well: no number is missing.
    const socket = ["--local", join(site.data, "towpath.sock")];
    const { out } = await towpath(["events", "one", "--all", "--json", ...socket]);
    const { events } = JSON.parse(out) as { events: { seq: number }[] };
    const held: Span = [1, (events.at(-1)?.seq ?? 0) + 1];
    expect(events.length).toBe(held[1] - 1);
    await until(
      () => missingIn(receiver.records, held).length === 0,
      30_000,
      () => JSON.stringify(receiver.records),
    );
  });

  it("is not poured out to a receiver that says nothing any more, and all comes once it speaks again", async () => {
    const { site, broker, talker, vault } = await sceneOf();
    await startController(site.config);
    const receiver = receive(broker.port, vault);
    await talker.say(20_000);
    await talker.panic();
    await until(() => receiver.text() === talker.said, 20_000);
    await pause(500);
    receiver.answers = false;
    receiver.chunks = [];
    await talker.say(600_000);
    await talker.panic();
    await pause(5_000);
    const poured = receiver.chunks.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(poured).toBeGreaterThan(100_000);
    expect(poured).toBeLessThanOrEqual(300 * 1024);
    expect(await captured(site)).toBe(talker.said.length);
    receiver.answers = true;
    receiver.acknowledge();
    await until(() => receiver.text() === talker.said, 60_000);
    expect(receiver.broken).toBe(0);
  });

  it("is sent once where somebody watches what a receiver stores, and comes within a moment", async () => {
    const { site, broker, talker, vault } = await sceneOf();
    await startController(site.config);
    const receiver = receive(broker.port, vault);
    await talker.panic();
    await until(() => receiver.text() === talker.said, 20_000);
    receiver.watch("router1", "vault");
    await pause(1_000);
    receiver.chunks = [];
    const before = talker.said.length;
    for (let count = 0; count < 10; count++) {
      await talker.say(1_000);
      // Unwatched this would wait for 16 KiB or a minute.
      await until(() => receiver.text() === talker.said, 5_000);
    }
    await pause(2_000);
    const shipped = receiver.chunks.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(shipped).toBe(talker.said.length - before);
    expect(receiver.broken).toBe(0);
  });
});
