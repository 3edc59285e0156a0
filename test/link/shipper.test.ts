import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chunksOf, Packer } from "../../src/link/chunking.ts";
import { chunkHead } from "../../src/protocol/chunk.ts";
import { parseJson } from "../../src/protocol/envelope.ts";
import { Bench, BOOT, LINE, ROOT } from "./ship-bench.ts";

describe("the shipper", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("ships what a receiver puts together byte by byte, and packs with what went before", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.answers = true;
    bench.acknowledge();
    await bench.pass(2_500);
    for (let count = 0; count < 40; count++) {
      bench.say(LINE.repeat(50));
      await bench.pass(200);
    }
    await bench.pass(61_000);
    expect(bench.received() === LINE.repeat(2_000)).toBe(true);
    const bytes = bench.published.reduce((sum, { payload }) => sum + payload.length, 0);
    expect(bytes).toBeLessThan(2_000 * LINE.length * 0.05);
    expect(new Set(bench.published.map(({ urgency }) => urgency))).toEqual(new Set(["unwatched"]));
  });

  it("says nothing of a console on demand; of others also what nobody acknowledges, once", async () => {
    const lazy = new Bench("on-demand");
    lazy.shipper.way("free");
    lazy.acknowledge();
    lazy.say(LINE, true);
    await lazy.pass(120_000);
    expect(lazy.published).toEqual([]);
    const alone = new Bench();
    alone.shipper.way("free");
    alone.say(LINE, true);
    await alone.pass(600_000);
    expect(alone.published.map(({ urgency }) => urgency)).toEqual(["unwatched"]);
  });

  it("does not say again to nobody in particular what it said before the restart", async () => {
    const bench = new Bench("primary", "", { "router1/rx": { boot: BOOT, next: 300_000 } });
    bench.texts.set("7/router1/rx", Buffer.alloc(300_000, "x"));
    bench.shipper.way("free");
    await bench.pass(100_000);
    expect(bench.published).toEqual([]);
    bench.say(LINE, true);
    await bench.pass(1_000);
    expect(bench.published.map(({ payload }) => chunkHead(payload)?.offset)).toEqual([300_000]);
  });

  it("sends a panic at once", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say("Kernel panic - not syncing\n", true);
    await bench.pass(100);
    expect(bench.received()).toContain("panic");
  });

  it("while the broker takes nothing it reads nothing, and goes on when there is room", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.acknowledge();
    bench.room = 3;
    bench.say(LINE.repeat(2_000));
    await bench.pass(14_000);
    expect(bench.published.length).toBe(3);
    const { reads } = bench;
    bench.say(LINE.repeat(2_000));
    await bench.pass(14_000);
    expect(bench.reads).toBe(reads);
    bench.room = 1_000;
    bench.shipper.room();
    bench.answers = true;
    await bench.pass(61_000);
    expect(bench.received() === LINE.repeat(4_000)).toBe(true);
  });

  it("does not spin at a queue that is full of what matters more", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.acknowledge();
    bench.refuses = true;
    bench.say(LINE.repeat(100), true);
    await bench.pass(12_000);
    expect(bench.offers).toBeGreaterThan(10);
    expect(bench.offers).toBeLessThan(70);
    bench.refuses = false;
    await bench.pass(1_000);
    expect(bench.received() === LINE.repeat(100)).toBe(true);
  });

  it("after a break it begins where the acknowledged ends, with a chunk that needs nothing of before", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say(LINE.repeat(1_000), true);
    await bench.pass(100);
    const before = bench.published.length;
    bench.shipper.way("none");
    bench.say(LINE, true);
    await bench.pass(60_000);
    expect(bench.published.length).toBe(before);
    bench.shipper.way("free");
    bench.acknowledge([[0, 40_000]], true);
    await bench.pass(2_500);
    const head = chunkHead(bench.published[before]?.payload ?? new Uint8Array());
    expect(head).toEqual({ boot: BOOT, offset: 40_000, dictionaryLength: 0 });
    expect(bench.received() === LINE.repeat(1_001)).toBe(true);
  });

  it("packs nothing with what went over a connection before", async () => {
    const bench = new Bench();
    bench.answers = true;
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say(LINE.repeat(100), true);
    await bench.pass(1_000);
    bench.shipper.way("none");
    bench.shipper.way("free");
    await bench.pass(2_500);
    bench.say(LINE.repeat(100), true);
    await bench.pass(100);
    const head = chunkHead(bench.published.at(-1)?.payload ?? new Uint8Array());
    expect(head).toEqual({ boot: BOOT, offset: 5_000, dictionaryLength: 0 });
  });

  it("what went into a connection that broke in the middle goes again at once over the next", async () => {
    const bench = new Bench();
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(2_500);
    bench.say(LINE.repeat(1_000), true);
    bench.breakAfter = 1;
    await bench.pass(4_000);
    const offsets = bench.published.map(({ payload }) => chunkHead(payload)?.offset);
    expect(offsets.filter((offset) => offset === 0).length).toBe(2);
  });

  it("brings the text of earlier boots when it has the time", async () => {
    const bench = new Bench("primary", LINE.repeat(500));
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(5_000);
    expect(bench.received(3) === LINE.repeat(500)).toBe(true);
    expect(bench.published.every(({ urgency }) => urgency === "backfill")).toBe(true);
  });

  it("does not wait for ever for what the ring has lost", async () => {
    const bench = new Bench();
    bench.say(LINE.repeat(2_000));
    bench.first = 50_000;
    bench.shipper.way("free");
    bench.acknowledge();
    await bench.pass(3_000);
    expect(chunkHead(bench.published[0]?.payload ?? new Uint8Array())?.offset).toBe(50_000);
    bench.acknowledge([[50_000, 100_000]]);
    const before = bench.published.length;
    await bench.pass(120_000);
    expect(bench.published.length).toBe(before);
  });

  it("sends the ledger again from where it was acknowledged", async () => {
    const bench = new Bench();
    bench.ledger = Array.from({ length: 150 }, (_, at) => ({ seq: at + 1 }));
    bench.shipper.recorded(1, 151);
    bench.shipper.way("free");
    const tracks = [{ boot: 0, track: "ledger", ranges: [[0, 31]] as const }];
    bench.shipper.perform({ type: "acknowledged", receiver: "vault", tracks, kept: true });
    await bench.pass(2_500);
    const seqs = bench.published.flatMap(({ topic, payload }) =>
      topic === `${ROOT}/up/event` ? (parseJson(payload) as { records: { seq: number }[] }).records : [],
    );
    expect(seqs.map(({ seq }) => seq)).toEqual(Array.from({ length: 120 }, (_, at) => at + 31));
  });
});

describe("a declared gap", () => {
  it("divides chunks: what follows needs nothing of before, so that who watches can ask what is missing", () => {
    const data = Buffer.from(LINE.repeat(20));
    const pieces = [
      { offset: 0, monoMs: 1, data },
      { offset: data.length, monoMs: 2, data },
    ];
    const packer = new Packer();
    const gap = { offset: data.length, length: null, cause: "overrun" } as const;
    const heads = (gaps: (typeof gap)[]) =>
      chunksOf(BOOT, pieces, gaps).map((chunk) => chunkHead(packer.pack(chunk))?.dictionaryLength);
    expect(heads([])).toEqual([0]);
    expect(heads([gap])).toEqual([0, 0]);
  });
});
