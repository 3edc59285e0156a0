import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { missingIn } from "../../src/core/ranges.ts";
import { seeded } from "../sim/random.ts";
import { LteWorld } from "./lte-world.ts";

const DAY_S = 86_400;
const MB = 1e6;

/** Every command that was accepted, once; none later than its selection lived. */
function orderly(world: LteWorld): { executed: number } {
  const intents = world.core.records.filter((one) => one.kind === "intent");
  const ids = intents.map(({ intent }) => intent.id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(world.core.drives.length).toBe(ids.length);
  return { executed: ids.length };
}

describe("a site on LTE alone", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("loses nothing, does nothing twice and keeps its budget over a day in which the carrier comes and goes", async () => {
    const random = seeded(20_261_124);
    const world = new LteWorld(random, 3 * MB);
    let nextFlapS = 5;
    for (let second = 0; second < DAY_S; second += 4) {
      if (second >= nextFlapS) {
        world.connect(!world.online);
        nextFlapS += world.online ? random.between(60, 2_400) : random.between(1, 300);
      }
      if (second % 96 === 0) world.say("alarm-panel", `door ${second % 13} ${random.hex(4)}\r\n`);
      if (second % 12 === 0) world.say("router1", `%LINK-3-UPDOWN: changed state ${second}\r\n`);
      if (second % 1_800 === 900) world.order((second / 1_800) % 2 < 1 ? "on" : "off");
      // Who has no answer asks again, with the same id.
      for (const order of second % 20 === 0 ? world.orders : [])
        if (order.nonce !== null && !order.result && world.core.nowMs - order.sentMs < 600_000) world.repeat(order);
      if (second % 60 === 0) world.govern();
      await world.step();
    }
    world.connect(true);
    for (let second = 0; second < 300; second += 4) await world.step();
    world.stop();
    expect(world.connects).toBeGreaterThan(40);
    // Nothing lost: all of what is always shipped, every record of the ledger.
    expect(world.got.get("alarm-panel/rx")?.equals(world.said.get("alarm-panel/rx") ?? Buffer.alloc(0))).toBe(true);
    const last = world.core.records.at(-1)?.seq ?? 0;
    expect(missingIn(world.records, [1, last - 2])).toEqual([]);
    expect(world.got.get("router1/rx")).toBeUndefined();
    // Nothing twice, though commands came twice and were repeated.
    expect(orderly(world).executed).toBeGreaterThan(20);
    expect(world.orders.filter(({ nonce, result }) => nonce !== null && !result)).toEqual([]);
    expect(world.account.day).toBeLessThan(2.4 * MB);
    expect(world.level).not.toBe("last");
  }, 240_000);

  it("spares what it can once the budget is spent, and still takes and answers every command", async () => {
    const world = new LteWorld(seeded(7), 150_000);
    world.connect(true);
    for (let second = 0; second < 7_200; second += 4) {
      if (second % 4 === 0) world.say("alarm-panel", `${seeded(second).hex(200)}\r\n`);
      if (second % 1_200 === 600) world.order((second / 1_200) % 2 < 1 ? "on" : "off");
      if (second % 60 === 0) world.govern();
      await world.step();
    }
    world.stop();
    expect(world.level).not.toBe("normal");
    expect(world.orders.map(({ result }) => result)).toEqual(world.orders.map(() => true));
    expect(orderly(world).executed).toBe(world.orders.length);
    const text = (world.said.get("alarm-panel/rx")?.length ?? 0) - (world.got.get("alarm-panel/rx")?.length ?? 0);
    expect(text).toBeGreaterThan(100_000);
  }, 120_000);

  it("comes back after thirty dark days in order, with its gaps declared, and acts on nothing that was said meanwhile", async () => {
    const world = new LteWorld(seeded(30), 50 * MB);
    world.connect(true);
    for (let second = 0; second < 120; second += 4) {
      if (second === 60) world.order("off");
      if (second === 100) world.order("on", true);
      world.say("alarm-panel", `before ${second}\r\n`);
      await world.step();
    }
    expect(orderly(world).executed).toBe(1);
    const [decided, hesitant] = world.orders;
    expect(hesitant?.nonce).toMatch(/nonce/);
    world.connect(false);
    // Whoever is in despair sends: select and operate, over and over. The broker keeps it all for the site.
    for (let day = 0; day < 30; day++) {
      for (let hour = 0; hour < 24; hour++) {
        world.core.pass(3_600_000);
        world.say("alarm-panel", `day ${day} hour ${hour} ${seeded(day * 24 + hour).hex(1_000)}\r\n`);
        world.order(hour % 2 === 0 ? "on" : "off");
        for (const one of [decided, hesitant]) if (one) world.repeat(one);
        world.core.emit({ type: "console-gap", ...GAP, offset: day * 24 + hour });
      }
    }
    world.core.pass(3_600_000);
    const dark = world.core.records.length;
    const all = world.said.get("alarm-panel/rx")?.length ?? 0;
    // The ring went round: of the first days nothing is left.
    world.first = all - 600_000;
    const drives = world.core.drives.length;
    const from = world.arrived.length;
    world.connect(true);
    for (let second = 0; second < 1_800; second += 4) {
      if (second % 60 === 0) world.govern();
      await world.step();
    }
    world.stop();
    const arrived = world.arrived.slice(from);
    // How it is comes before what was; records before text; never more under way than a reply may wait behind.
    const first = (kind: string) => arrived.findIndex(({ topic }) => topic.includes(kind));
    expect(first("/up/state")).toBeLessThan(first("/up/capture"));
    expect(first("/up/event")).toBeLessThan(first("/up/capture"));
    expect(world.mostUnderWay).toBeLessThan(200 * 1_024);
    expect(missingIn(world.records, [1, dark])).toEqual([]);
    // What the ring still has is there, byte by byte; what it has not is a hole that begins at nothing else.
    const got = world.gotSpans.get("alarm-panel/rx") ?? [];
    expect(got.at(-1)).toEqual([world.first, all]);
    const said = world.said.get("alarm-panel/rx") ?? Buffer.alloc(0);
    expect(world.got.get("alarm-panel/rx")?.subarray(world.first).equals(said.subarray(world.first))).toBe(true);
    // One was decided long ago and is answered again; one comes with a selection that is over; the rest only asked.
    expect(orderly(world).executed).toBe(1);
    expect(world.core.drives.length).toBe(drives);
    const refused = world.core.replies.filter(({ id, phase }) => id === hesitant?.id && phase === "rejected");
    expect(refused.length).toBeGreaterThan(700);
    expect(new Set(refused.map(({ code }) => code?.slice(0, 6)))).toEqual(new Set(["nonce."]));
    expect(decided?.result).toBe(true);
  }, 240_000);
});

const GAP = { console: "router1", track: "rx", boot: 7, cause: "overrun", length: null } as const;
