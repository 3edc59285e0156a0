import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chunksOf, Packer } from "../../src/link/chunking.ts";
import type { Urgency } from "../../src/link/outbox.ts";
import { createShipper, type Shipper } from "../../src/link/shipper.ts";
import { chunkHead, decodeChunk } from "../../src/protocol/chunk.ts";
import { parseJson } from "../../src/protocol/envelope.ts";
import { parseTopic, siteRoot } from "../../src/protocol/topics.ts";

const ROOT = siteRoot("acme", "one");
const BOOT = 7;

type Gap = { offset: number; monoMs: number; cause: "overrun"; length: number | null };

/** A journal in memory, and a connection that takes so much or nothing. */
class Bench {
  nowMs = 0;
  readonly texts = new Map<string, Buffer>([["7/router1/rx", Buffer.alloc(0)]]);
  readonly gaps: Gap[] = [];
  first = 0;
  ledger: { seq: number }[] = [];
  room = Number.MAX_SAFE_INTEGER;
  reads = 0;
  offers = 0;
  /** The queue is full, and not of what is shipped. */
  refuses = false;
  /** Chunks until the connection breaks and is there again. */
  breakAfter = 0;
  /** The receiver acknowledges what it has, ten times a second. */
  answers = false;
  private told = 0;
  readonly published: { topic: string; payload: Uint8Array; urgency: Urgency }[] = [];
  readonly shipper: Shipper;

  constructor(
    ship: "primary" | "on-demand" = "primary",
    old = "",
    tracks: Readonly<Record<string, { boot: number; next: number }>> = {},
  ) {
    if (old !== "") this.texts.set("3/router1/rx", Buffer.from(old));
    this.shipper = createShipper({
      root: ROOT,
      boot: BOOT,
      monoMs: () => this.nowMs,
      tracks,
      ledgerNext: 1,
      consoles: [{ name: "router1", ship }],
      roomy: () => this.room > 0,
      publish: (topic, payload, urgency) => {
        this.offers++;
        if (this.refuses) return false;
        if (this.room-- <= 0) return false;
        this.published.push({ topic, payload, urgency });
        if (--this.breakAfter === 0) {
          this.shipper.way("none");
          this.shipper.way("free");
        }
        return true;
      },
      journal: {
        readCapture: async (track, boot, from, to) => this.read(`${boot}/${track}`, boot ?? BOOT, from, to),
        readLedger: async (from, to, limit) =>
          this.ledger
            .filter(({ seq }) => seq >= from && seq < to)
            .slice(0, limit)
            .map((one) => JSON.stringify(one)),
        stats: async () => ({
          "router1/rx": {
            bytes: 0,
            gaps: 0,
            boots: [...this.texts].map(([key, text]) => ({
              boot: Number(key.split("/")[0]),
              first: 0,
              next: text.length,
              firstMonoMs: 0,
            })),
          },
        }),
      },
      times: { backfillMs: 1_000 },
    });
  }

  private read(key: string, boot: number, from: number, to: number) {
    this.reads++;
    const text = this.texts.get(key) ?? Buffer.alloc(0);
    const start = Math.max(from, this.first);
    const end = Math.min(to, text.length);
    // Pieces as the capture makes them: a few hundred bytes each.
    const pieces = [];
    for (let at = start; at < end; at += 500)
      pieces.push({ offset: at, monoMs: at, data: text.subarray(at, Math.min(end, at + 500)) });
    const gaps = this.gaps.filter(({ offset }) => offset >= from && offset <= to);
    return { boot, pieces, gaps, first: this.first, next: text.length, end: Math.max(start, end) };
  }

  say(text: string, urgent = false): void {
    const before = this.texts.get("7/router1/rx") ?? Buffer.alloc(0);
    const data = Buffer.from(text);
    this.texts.set("7/router1/rx", Buffer.concat([before, data]));
    const item = { track: "router1/rx", boot: BOOT, offset: before.length, monoMs: this.nowMs, content: { data } };
    this.shipper.captured([item], urgent);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.nowMs += Math.min(100, left);
      await vi.advanceTimersByTimeAsync(Math.min(100, left));
      if (!this.answers || this.told === this.published.length) continue;
      this.told = this.published.length;
      this.acknowledge([[0, this.received().length]]);
    }
  }

  acknowledge(ranges: readonly (readonly [number, number])[] = [], kept = false): void {
    const tracks = [{ boot: BOOT, track: "router1/rx", ranges }];
    this.shipper.perform({ type: "acknowledged", receiver: "vault", tracks, kept });
  }

  /** Puts together what came, as a receiver does that has only what came. */
  received(boot = BOOT): string {
    let text = Buffer.alloc(0);
    for (const { topic, payload } of this.published) {
      const head = chunkHead(payload);
      if (parseTopic(topic)?.topic.name !== "up/capture/{console}/{track}" || head?.boot !== boot) continue;
      if (head.offset > text.length) throw new Error(`a hole before ${head.offset}`);
      const chunk = decodeChunk(payload, text.subarray(0, head.offset));
      if (chunk === null) throw new Error(`cannot be decoded at ${head.offset}`);
      const end = chunk.offset + chunk.data.length;
      if (end > text.length) text = Buffer.concat([text.subarray(0, chunk.offset), chunk.data]);
    }
    return text.toString();
  }
}

const LINE = "Interface GigabitEthernet0/1, changed state to up\n";

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
