import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstMissing, missingIn, type Span, unionOf } from "../../src/core/ranges.ts";

const span = fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 12 })).map(([from, length]): Span => [from, from + length]);
const spans = fc.array(span, { maxLength: 12 });
const numbersOf = (ranges: readonly Span[]) =>
  ranges.flatMap(([from, to]) => [...Array(to - from).keys()].map((at) => from + at));

describe("ranges", () => {
  it("a union holds what was put in, sorted, with no two that touch", () => {
    fc.assert(
      fc.property(spans, (ranges) => {
        const union = unionOf(ranges);
        expect(numbersOf(union)).toEqual([...new Set(numbersOf(ranges))].sort((a, b) => a - b));
        for (const [index, [from]] of union.slice(1).entries())
          expect(from).toBeGreaterThan(union[index]?.[1] ?? Infinity);
      }),
    );
  });

  it("what is missing is what nobody put in", () => {
    fc.assert(
      fc.property(spans, span, (ranges, wanted) => {
        const union = unionOf(ranges);
        const held = new Set(numbersOf(union));
        expect(numbersOf(missingIn(union, wanted))).toEqual(numbersOf([wanted]).filter((one) => !held.has(one)));
        let first = wanted[0];
        while (held.has(first)) first++;
        expect(firstMissing(union, wanted[0])).toBe(first);
      }),
    );
  });
});
