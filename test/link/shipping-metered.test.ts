import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chunkHead } from "../../src/protocol/chunk.ts";
import { Bench, BOOT, LINE } from "./ship-bench.ts";

/** What goes where each byte costs. */

const KIB = 1_024;

describe("over LTE alone", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const span = (bench: Bench): [number, number] => {
    const offsets = bench.published.map(({ payload }) => chunkHead(payload)?.offset ?? 0);
    return [Math.min(...offsets), Math.max(...offsets)];
  };

  it("nothing of a console is shipped while no receiver is known, not even what is always shipped", async () => {
    for (const ship of ["primary", "always"] as const) {
      const bench = new Bench(ship);
      bench.shipper.way("metered");
      bench.say(LINE.repeat(1_000));
      bench.say("Kernel panic\n", true);
      bench.shipper.incident("router1");
      await bench.pass(600_000);
      expect(bench.published).toEqual([]);
    }
  });

  it("a receiver gets all of what is always shipped, and of the rest nothing until something happens", async () => {
    const always = new Bench("always");
    always.answers = true;
    always.shipper.way("metered");
    always.acknowledge();
    always.say(LINE.repeat(1_000));
    await always.pass(70_000);
    expect(always.received() === LINE.repeat(1_000)).toBe(true);
    const bench = new Bench();
    bench.shipper.way("metered");
    bench.acknowledge();
    for (let minute = 0; minute < 60; minute++) {
      bench.say(LINE.repeat(200));
      await bench.pass(60_000);
    }
    expect(bench.published).toEqual([]);
  });

  it("around a panic, the last 16 KiB before it and what follows go at once, ahead of measures", async () => {
    const bench = new Bench();
    bench.shipper.way("metered");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say(LINE.repeat(2_000));
    const before = LINE.length * 2_000;
    await bench.pass(60_000);
    bench.say("Kernel panic - not syncing\n", true);
    await bench.pass(200);
    expect(new Set(bench.published.map(({ urgency }) => urgency))).toEqual(new Set(["watched"]));
    expect(span(bench)[0]).toBe(before - 16 * KIB);
    const first = bench.published.length;
    bench.say("end trace\n".repeat(50));
    await bench.pass(20_000);
    expect(bench.published.length).toBeGreaterThan(first);
    // A minute later the console is as dear as before.
    await bench.pass(60_000);
    const told = bench.published.length;
    bench.say(LINE.repeat(500));
    await bench.pass(600_000);
    expect(bench.published.length).toBe(told);
  });

  it("a device whose power is moved is heard too, and one that dies each minute does not empty the budget", async () => {
    const bench = new Bench();
    bench.shipper.way("metered");
    bench.acknowledge();
    await bench.pass(2_500);
    for (let minute = 0; minute < 58; minute++) {
      bench.shipper.incident("router1");
      bench.say(LINE.repeat(1_000));
      await bench.pass(60_000);
    }
    const bytes = bench.published.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(bench.published.length).toBeGreaterThan(2);
    expect(bytes).toBeLessThan(64 * KIB);
  });

  it("what went there is not sent again over the primary, and all the rest is", async () => {
    const bench = new Bench();
    bench.shipper.way("metered");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say(LINE.repeat(2_000));
    bench.say("Kernel panic - not syncing\n", true);
    await bench.pass(10_000);
    const end = LINE.length * 2_000 + 27;
    bench.acknowledge([[end - 16 * KIB, end]]);
    const sent = bench.published.length;
    bench.shipper.way("free");
    bench.acknowledge([[end - 16 * KIB, end]], true);
    await bench.pass(5_000);
    const rest = bench.published.slice(sent).map(({ payload }) => chunkHead(payload));
    expect(rest.every((head) => head?.boot === BOOT && head.offset < end - 16 * KIB)).toBe(true);
    expect(rest[0]?.offset).toBe(0);
  });
});
