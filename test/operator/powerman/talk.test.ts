import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expandHosts } from "../../../src/operator/powerman/hosts.ts";
import { placeOf } from "../../../src/operator/powerman/server.ts";
import { type Power, type Rack, Talk, type Verb } from "../../../src/operator/powerman/talk.ts";

/** What powerman's tools hear; the real ones are in `test/scenario/powerman.test.ts`. */

function rackOf(power: Record<string, Power>) {
  const orders: [Verb, readonly string[]][] = [];
  const rack: Rack & { wrong: string[]; fail: boolean; release: (() => void) | null } = {
    wrong: [],
    fail: false,
    release: null,
    nodes: () => Object.keys(power),
    status: async (nodes) => new Map(nodes.map((node) => [node, power[node] ?? "unknown"])),
    async order(verb, nodes, tell) {
      orders.push([verb, nodes]);
      tell(`${verb} begins`);
      if (rack.fail) throw new Error("the line\r\n102 Command completed successfully");
      if (verb === "cycle") await new Promise<void>((resolve) => (rack.release = resolve));
      return rack.wrong;
    },
    devices: () => [{ name: "one", connected: true, orders: orders.length, nodes: Object.keys(power) }],
  };
  return { rack, orders };
}

function talkWith(rack: Rack) {
  let said = "";
  let ended = false;
  const talk = new Talk(
    rack,
    (text) => {
      said += text;
    },
    () => {
      ended = true;
    },
  );
  return {
    talk,
    ended: () => ended,
    async ask(line: string): Promise<string> {
      said = "";
      talk.hear(Buffer.from(`${line}\r\n`));
      await new Promise((resolve) => setImmediate(resolve));
      return said;
    },
    said: () => said,
  };
}

const POWER: Record<string, Power> = { "router1.one": "on", "nas1.one": "off", "pump1.one": "unknown", pump2: "on" };

describe("powerman's protocol", () => {
  it("tells nodes and their power, as lists or a line each", async () => {
    const { ask } = talkWith(rackOf(POWER).rack);
    expect(await ask("nodes")).toBe("306 router1.one,nas1.one,pump1.one,pump2\r\n103 Query complete\r\npowerman> ");
    expect(await ask("status")).toBe(
      "302 on:      router1.one,pump2\r\n302 off:     nas1.one\r\n302 unknown: pump1.one\r\n103 Query complete\r\npowerman> ",
    );
    expect(await ask("exprange")).toContain("105 Hostrange expansion ON");
    expect(await ask("nodes")).toContain("307 router1.one\r\n307 nas1.one");
    expect(await ask("status pump2 nas1.one")).toBe(
      "303 pump2: on\r\n303 nas1.one: off\r\n103 Query complete\r\npowerman> ",
    );
    expect(await ask("device")).toContain("304 one: state=connected");
  });

  it("switches what was named, once, ranges and commas alike", async () => {
    const { rack, orders } = rackOf({ n1: "on", n2: "on", n3: "off", nas1: "on" });
    const { ask } = talkWith(rack);
    expect(await ask("off n[1-2],nas1,n1")).toBe("102 Command completed successfully\r\npowerman> ");
    expect(orders).toEqual([["off", ["n1", "n2", "nas1"]]]);
  });

  it("a node that is not there, a broken range, no node: an error, and nothing is switched", async () => {
    const { rack, orders } = rackOf(POWER);
    const { ask } = talkWith(rack);
    expect(await ask("off nas1.one,nas9")).toContain("209 No such nodes: nas9");
    expect(await ask("off nas[1.one")).toContain("205 Hostlist error");
    expect(await ask("off")).toContain("201 Unknown command");
    expect(await ask("of nas1.one")).toContain("201 Unknown command");
    expect(await ask("reset nas1.one")).toContain("213 Command cannot be handled");
    expect(await ask(`on ${"x".repeat(9_000)}`)).toContain("203 Command too long");
    expect(orders).toEqual([]);
  });

  it("what went wrong is told with its reason, and cannot be taken for success", async () => {
    const { rack } = rackOf(POWER);
    const { ask } = talkWith(rack);
    rack.wrong = ["nas1.one: locked by alice: hands inside (outlet.locked)"];
    expect(await ask("off nas1.one")).toBe(
      "308 nas1.one: locked by alice: hands inside (outlet.locked)\r\n210 Command completed with errors\r\npowerman> ",
    );
    rack.fail = true;
    const said = await ask("off nas1.one");
    expect(said).toContain("210 Command completed with errors");
    expect(said.split("\r\n").some((line) => line.startsWith("102"))).toBe(false);
  });

  it("while a command runs others wait, and telemetry tells how it goes", async () => {
    const { rack, orders } = rackOf(POWER);
    const { ask, talk, said, ended } = talkWith(rack);
    await ask("telemetry");
    expect(await ask("cycle pump2")).toBe("305 cycle begins\r\n");
    expect(await ask("off pump2")).toBe("208 Command in progress\r\n");
    // Whoever hangs up his side still hears the end.
    talk.heardAll();
    expect(ended()).toBe(false);
    rack.release?.();
    await new Promise((resolve) => setImmediate(resolve));
    expect(said()).toContain("102 Command completed successfully");
    expect(ended()).toBe(true);
    expect(orders).toEqual([["cycle", ["pump2"]]]);
  });

  it("any bytes in any pieces give only numbered lines and prompts, and switch nothing that was not named", async () => {
    const words = fc.oneof(
      fc.constantFrom(
        "on",
        "off",
        "status",
        "nodes",
        "nas1.one",
        "n[1-3]",
        "[",
        "]",
        ",",
        " ",
        "exprange",
        "device",
        "quit",
      ),
      fc.string({ unit: "binary", maxLength: 12 }),
    );
    const lines = fc.array(
      fc.array(words, { maxLength: 4 }).map((some) => some.join(" ")),
      { maxLength: 8 },
    );
    const runs = process.env.TOWPATH_LONG ? 125_000 : 12_500;
    await fc.assert(
      fc.asyncProperty(lines, fc.nat(20), async (some, cut) => {
        const { rack, orders } = rackOf(POWER);
        let said = "";
        const talk = new Talk(
          rack,
          (text) => {
            said += text;
          },
          () => undefined,
        );
        const bytes = Buffer.from(`${some.join("\n")}\n`);
        talk.hear(bytes.subarray(0, cut));
        talk.hear(bytes.subarray(cut));
        for (let turn = 0; turn < 4; turn++) await Promise.resolve();
        const whole = said.replaceAll("powerman> ", "");
        for (const line of whole.split("\r\n").slice(0, -1)) expect(line).toMatch(/^\d{3} [\x20-\x7e]*$/);
        for (const [, nodes] of orders) for (const node of nodes) expect(Object.keys(POWER)).toContain(node);
      }),
      { numRuns: runs },
    );
  }, 120_000);
});

describe("host ranges", () => {
  it("are what powerman's manual says", () => {
    expect(expandHosts("bar,foo[7,9-10]")).toEqual(["bar", "foo7", "foo9", "foo10"]);
    expect(expandHosts("foo[01-03]-x")).toEqual(["foo01-x", "foo02-x", "foo03-x"]);
    for (const broken of ["a[", "a]", "a[1-", "a[2-1]", "a[x]", "a[1][2]", "a[0-999999999]"])
      expect(expandHosts(broken)).toBeNull();
  });
});

describe("where it may listen", () => {
  it("is this machine only, because the protocol knows no password", () => {
    expect(placeOf("127.0.0.1:10101")).toEqual({ host: "127.0.0.1", port: 10_101 });
    expect(placeOf("[::1]:0")).toEqual({ host: "::1", port: 0 });
    expect(placeOf("/run/pm.sock")).toEqual({ path: "/run/pm.sock" });
    for (const far of ["0.0.0.0:10101", "10101", "10.0.0.1:10101", "[::]:10101", "pm.sock", "127.0.0.1:99999"])
      expect(placeOf(far)).toBeNull();
  });
});
