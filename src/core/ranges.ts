/** Sets of numbers as half-open ranges `[from, to)`, sorted, none touching another. */

export type Span = readonly [from: number, to: number];

/** What is in any of them, in whatever order they come. */
export function unionOf(ranges: readonly Span[]): readonly Span[] {
  const union: [number, number][] = [];
  for (const [from, to] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = union.at(-1);
    if (to <= from) continue;
    if (last === undefined || from > last[1]) union.push([from, to]);
    else last[1] = Math.max(last[1], to);
  }
  return union;
}

/** The first number at or after `from` that is in none of them. */
export function firstMissing(ranges: readonly Span[], from: number): number {
  return ranges.find((one) => one[0] <= from && from < one[1])?.[1] ?? from;
}

/** What of `[from, to)` is in none of them. */
export function missingIn(ranges: readonly Span[], [from, to]: Span): readonly Span[] {
  const missing: Span[] = [];
  let at = from;
  for (const [low, high] of ranges) {
    if (high <= at) continue;
    if (low >= to) break;
    if (low > at) missing.push([at, low]);
    at = Math.max(at, high);
  }
  if (at < to) missing.push([at, to]);
  return missing;
}
