import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineCutter, SkipHalfLine, WholeLines } from "../../src/operator/lines.ts";
import { GapsOnce, inOrder, sliceChunk, stretches, timeAt } from "../../src/operator/pieces.ts";
import type { Chunk } from "../../src/protocol/chunk.ts";
import { chunk, consoleBytes, cut } from "./chunks.ts";

const bytesOf = (chunks: readonly Chunk[]) => Buffer.concat(chunks.map(({ data }) => data));
const cuts = fc.array(fc.nat(80), { maxLength: 8 });

describe("chunks that are cut", () => {
  it("keep every byte and its time, wherever they are cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(40), fc.nat(40), (bytes, one, other) => {
        const [whole] = cut(bytes, []);
        if (whole === undefined) return;
        const [from, to] = [Math.min(one, other, bytes.length), Math.min(Math.max(one, other), bytes.length)];
        const slice = sliceChunk(whole, from, to);
        expect(Buffer.from(slice.data)).toEqual(Buffer.from(bytes.subarray(from, to)));
        for (const at of slice.data.keys()) expect(timeAt(slice, at)).toBe(from + at);
        expect(bytesOf([{ ...slice, data: Buffer.concat([...stretches(slice)].map(({ data }) => data)) }])).toEqual(
          Buffer.from(slice.data),
        );
      }),
    );
  });

  it("show a gap before the byte that came after it, and lose nothing around it", () => {
    fc.assert(
      fc.property(consoleBytes, cuts, fc.array(fc.nat(90), { maxLength: 4 }), (bytes, places, offsets) => {
        const gaps = offsets.map((offset) => ({ cause: "replug", length: null, offset }));
        const items = [...inOrder(1, cut(bytes, places), gaps)];
        expect(Buffer.concat(items.flatMap(({ chunk: one }) => (one ? [one.data] : [])))).toEqual(Buffer.from(bytes));
        expect(items.filter(({ gap }) => gap !== undefined)).toHaveLength(gaps.length);
        let end = 0;
        for (const { gap, chunk: one } of items) {
          if (gap !== undefined) expect(Math.min(gap.offset, bytes.length)).toBe(end);
          else end = (one?.offset ?? 0) + (one?.data.length ?? 0);
        }
      }),
    );
  });
});

describe("a gap that two tell", () => {
  const gap = { cause: "replug", length: null, offset: 5 };

  it("is shown once, whoever tells it first", () => {
    const once = new GapsOnce();
    expect(once.fromRead(1, [{ ...gap, monoMs: 100 }])).toHaveLength(1);
    expect(once.fromRead(1, [{ ...gap, monoMs: 100 }])).toHaveLength(0);
    expect(once.fromLedger(1, [gap])).toHaveLength(0);
    expect(once.fromLedger(1, [gap])).toHaveLength(1);
    expect(once.fromRead(1, [{ ...gap, monoMs: 900 }])).toHaveLength(0);
  });

  it("is another one in another boot, or when the cable was pulled twice without a word between", () => {
    const once = new GapsOnce();
    const twice = [
      { ...gap, monoMs: 100 },
      { ...gap, monoMs: 200 },
    ];
    expect(once.fromRead(1, twice)).toHaveLength(2);
    expect(once.fromRead(2, twice)).toHaveLength(2);
  });
});

describe("lines", () => {
  const linesOf = (chunks: readonly Chunk[]) => {
    const cutter = new LineCutter();
    const lines = [...chunks.flatMap((one) => cutter.push(one)), ...cutter.end()];
    return lines.map(({ offset, monoMs, bytes }) => [offset, monoMs, Buffer.from(bytes).toString("latin1")]);
  };

  it("are the same with the same times over every split of the text into two, and over random ones into many", () => {
    const bytes = Buffer.from("one\r\ntwo ✓\n\nfour\rfive\r\n\u001b[1msix");
    const whole = linesOf(cut(bytes, []));
    for (const at of bytes.keys()) expect(linesOf(cut(bytes, [at]))).toEqual(whole);
    fc.assert(
      fc.property(consoleBytes, cuts, (text, places) => {
        expect(linesOf(cut(text, places))).toEqual(linesOf(cut(text, [])));
      }),
    );
  });

  it("a read that is broken off has shown whole lines, and what is held back is the rest", () => {
    fc.assert(
      fc.property(consoleBytes, cuts, (bytes, places) => {
        const whole = new WholeLines();
        const shown = cut(bytes, places).flatMap((one) => whole.push(one));
        const text = bytesOf(shown);
        expect(text.length === 0 || text.at(-1) === 10).toBe(true);
        expect(Buffer.concat([text, bytesOf(whole.flush())])).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it("a line without end is not held back for ever", () => {
    const whole = new WholeLines();
    const shown = Array.from({ length: 100 }, (_, index) => whole.push(chunk(index * 1_024, "x".repeat(1_024)))).flat();
    expect(bytesOf(shown).length).toBeGreaterThanOrEqual(64 * 1_024);
  });

  it("the rest of a line whose beginning is not there is left out, wherever the text is cut", () => {
    const bytes = Buffer.from("lf of a line\nwhole\nlogin: ");
    for (const at of bytes.keys()) {
      const half = new SkipHalfLine(true);
      const shown = cut(bytes, [at]).flatMap((one) => half.push(one));
      expect(bytesOf([...shown, ...half.end()]).toString()).toBe("whole\nlogin: ");
    }
  });

  it("a console that ends no line is shown all the same", () => {
    const half = new SkipHalfLine(true);
    expect(half.push(chunk(100, "no end at all"))).toEqual([]);
    expect(bytesOf(half.end()).toString()).toBe("no end at all");
  });
});
