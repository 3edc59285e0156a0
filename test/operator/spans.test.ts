import { describe, expect, it } from "vitest";
import type { CaptureSource, Extent } from "../../src/operator/capture-source.ts";
import { PastRead } from "../../src/operator/past.ts";
import type { Item } from "../../src/operator/pieces.ts";
import { Interrupted } from "../../src/operator/site-source.ts";
import { planSpans, type Want } from "../../src/operator/spans.ts";
import { parseWhen } from "../../src/operator/when.ts";
import { chunk } from "./chunks.ts";

/** One byte a second, in each boot from its mono 0. */
const MS_PER_BYTE = 1_000;
const ZERO = Date.UTC(2026, 10, 23);
const HOUR = 3_600_000;
const NOW = ZERO + 10 * HOUR;

function source(extent: Extent): CaptureSource & { asked: number } {
  const clamp = (boot: number, offset: number) => {
    const held = extent.boots.find((one) => one.boot === boot);
    return Math.min(held?.next ?? 0, Math.max(held?.first ?? 0, offset));
  };
  return {
    asked: 0,
    extent: async () => extent,
    async offsetAt(boot, at) {
      this.asked++;
      const clock = extent.clocks.find((one) => one.boot === boot);
      const nowMono = clock === undefined ? 2 * HOUR : NOW - clock.wall + clock.mono;
      return clamp(boot, Math.ceil(("monoMs" in at ? at.monoMs : nowMono - at.agoMs) / MS_PER_BYTE));
    },
    async *read({ boot, from, to }) {
      const text = "line\n".repeat(Math.ceil(to / 5)).slice(from, to);
      yield { chunks: [chunk(from, text, from * MS_PER_BYTE, boot)], gaps: [], to };
    },
  };
}

const clock = (boot: number, hour: number) => ({ boot, mono: 0, wall: ZERO + hour * HOUR });
const held = (boot: number, next: number, first = 0) => ({ boot, first, next, firstMonoMs: first * MS_PER_BYTE });
const when = (text: string | undefined) => (text === undefined ? null : parseWhen(text, NOW));

async function planned(extent: Extent, want: { since?: string; until?: string; all?: boolean; from?: Want["from"] }) {
  const from = source(extent);
  const plan = await planSpans(from, extent, {
    all: want.all ?? false,
    since: when(want.since),
    until: when(want.until),
    from: want.from ?? null,
    nowMs: NOW,
  });
  return { ...plan, spans: plan.spans.map((span) => [span.boot, span.from, span.to]), asked: from.asked };
}

/** Boot 7 from 00:00 (two hours of text), boot 8 from 04:00, boot 9 from 08:00 and still going on. */
const KNOWN: Extent = {
  boots: [held(7, 7_200), held(8, 7_200), held(9, 7_200)],
  clocks: [clock(7, 0), clock(8, 4), clock(9, 8)],
  current: 9,
};

describe("which text is meant", () => {
  it("without words: the last 16 KiB, back over boots, from the beginning of a line", async () => {
    expect(await planned(KNOWN, {})).toMatchObject({
      spans: [
        [7, 5_216, 7_200],
        [8, 0, 7_200],
        [9, 0, 7_200],
      ],
      cutsLine: true,
    });
    expect(await planned({ ...KNOWN, boots: [held(9, 100)] }, {})).toMatchObject({
      spans: [[9, 0, 100]],
      cutsLine: false,
    });
    expect(await planned({ ...KNOWN, boots: [held(9, 100, 40)] }, {})).toMatchObject({
      spans: [[9, 40, 100]],
      cutsLine: false,
    });
  });

  it("between two times: only what was said then, and a boot that is wholly outside is not even asked", async () => {
    const { spans, asked } = await planned(KNOWN, { since: "2026-11-23T04:30:00Z", until: "2026-11-23T08:10:00Z" });
    expect(spans).toEqual([
      [8, 1_800, 7_200],
      [9, 0, 600],
    ]);
    expect(asked).toBe(2);
  });

  it("since a time ago, of the boot that goes on by its own count, of older ones by their clock", async () => {
    expect((await planned(KNOWN, { since: "1h" })).spans).toEqual([[9, 3_600, 7_200]]);
    expect((await planned(KNOWN, { since: "5h" })).spans).toEqual([
      [8, 3_600, 7_200],
      [9, 0, 7_200],
    ]);
    expect((await planned(KNOWN, { since: "1d" })).spans).toEqual([
      [7, 0, 7_200],
      [8, 0, 7_200],
      [9, 0, 7_200],
    ]);
  });

  it("needs no clock for the boot that goes on", async () => {
    const extent = { ...KNOWN, boots: [held(9, 7_200)], clocks: [] };
    expect(await planned(extent, { since: "30m" })).toMatchObject({ spans: [[9, 5_400, 7_200]], doubts: [] });
    expect((await planned(extent, { since: new Date(NOW - HOUR).toISOString() })).spans).toEqual([[9, 3_600, 7_200]]);
  });

  it("a boot without a clock is shown whole and said to be in doubt, unless its neighbours tell when it was", async () => {
    const without8 = { ...KNOWN, clocks: [clock(7, 0), clock(9, 8)] };
    const doubtful = await planned(without8, { since: "2026-11-23T05:00:00Z" });
    expect(doubtful.spans).toEqual([
      [8, 0, 7_200],
      [9, 0, 7_200],
    ]);
    expect(doubtful.doubts).toEqual([expect.stringContaining("boot 8")]);
    expect(await planned(without8, { since: "2026-11-23T08:30:00Z" })).toMatchObject({
      spans: [[9, 1_800, 7_200]],
      doubts: [],
    });
    expect(
      (await planned({ ...KNOWN, clocks: [clock(8, 4)], current: null }, { since: "2026-11-23T03:00:00Z" })).spans,
    ).toEqual([
      [7, 0, 7_200],
      [8, 0, 7_200],
      [9, 0, 7_200],
    ]);
  });

  it("by a clock that nothing had set, it is said what the times are worth", async () => {
    const unset = { ...KNOWN, clocks: [clock(7, 0), { ...clock(8, 4), trust: "none" as const }, clock(9, 8)] };
    const { spans, doubts } = await planned(unset, { since: "2026-11-23T05:00:00Z" });
    expect(spans[0]).toEqual([8, 3_600, 7_200]);
    expect(doubts).toEqual([expect.stringContaining("may be wrong")]);
  });

  it("where another read stopped: exactly from there on, over the boots after it", async () => {
    const { spans } = await planned(KNOWN, { from: { boot: 8, offset: 4_000 } });
    expect(spans).toEqual([
      [8, 4_000, 7_200],
      [9, 0, 7_200],
    ]);
  });

  it("all is all", async () => expect((await planned(KNOWN, { all: true })).spans).toHaveLength(3));
});

describe("a read that is ended early", () => {
  /** In pieces of this size, three to a step. */
  const inPieces = (size: number): CaptureSource => ({
    ...source(KNOWN),
    async *read({ boot, from, to }) {
      const text = "line\n".repeat(to).slice(0, to);
      for (let at = from; at < to; at += 3 * size) {
        const end = Math.min(to, at + 3 * size);
        const starts = [0, 1, 2].map((index) => at + index * size).filter((start) => start < end);
        const chunks = starts.map((start) => chunk(start, text.slice(start, Math.min(end, start + size)), start, boot));
        yield { chunks, gaps: [], to: end };
      }
    },
  });

  it("has shown whole lines wherever it ended, and going on from where it says gives the rest and nothing twice", async () => {
    const short = { ...KNOWN, boots: KNOWN.boots.map((one) => ({ ...one, next: 60 })) };
    const read = async (size: number, from: Want["from"], stopAfter: number) => {
      const stop = new AbortController();
      const want = { all: from === null, since: null, until: null, from, nowMs: NOW };
      let text = "";
      const past = new PastRead(inPieces(size), await planSpans(source(short), short, want), {
        show: ({ chunk: one }: Item) => {
          text += Buffer.from(one?.data ?? []).toString();
          if (text.length >= stopAfter) stop.abort();
        },
        ready: async () => undefined,
        progress: () => undefined,
        signal: stop.signal,
      });
      await past.run().catch((error: unknown) => expect(error).toBeInstanceOf(Interrupted));
      return { text, reached: past.reached };
    };
    for (const size of [1, 2, 3, 4, 5, 7, 11, 60]) {
      for (let stopAfter = 1; stopAfter < 180; stopAfter += 7) {
        const first = await read(size, null, stopAfter);
        expect(first.text).toMatch(/^(line\n)*$/);
        const rest = await read(size, first.reached, Number.POSITIVE_INFINITY);
        expect(first.text + rest.text).toBe("line\n".repeat(36));
      }
    }
  });
});
