import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dueGaps, type GapLimits, nextGapMs, type ToldGap, takeGap } from "../../src/core/gaps.ts";

const gapOf = (console: string, offset: number, length: number | null) => ({
  console,
  track: "rx" as const,
  boot: 1,
  offset,
  cause: "overrun",
  length,
});

interface Told {
  readonly atMs: number;
  readonly gap: ToldGap;
}

/** Gaps as they happen, with the wake-ups that the limiter asks for, and the end of the site. */
function run(gaps: readonly { console: string; afterMs: number; length: number | null }[]): Told[] {
  let limits: GapLimits = {};
  let nowMs = 0;
  const told: Told[] = [];
  for (const [offset, { console, afterMs, length }] of gaps.entries()) {
    const until = nowMs + afterMs;
    for (let due = nextGapMs(limits); due !== null && due <= until; due = nextGapMs(limits)) {
      const step = dueGaps(limits, due);
      limits = step.limits;
      told.push(...step.tell.map((gap) => ({ atMs: due ?? 0, gap })));
    }
    nowMs = until;
    const step = takeGap(limits, gapOf(console, offset, length), nowMs);
    limits = step.limits;
    if (step.tell !== null) told.push({ atMs: nowMs, gap: step.tell });
  }
  const last = dueGaps(limits, nowMs, true);
  return [...told, ...last.tell.map((gap) => ({ atMs: nowMs, gap }))];
}

const gaps = fc.array(
  fc.record({
    console: fc.constantFrom("router1", "switch1"),
    afterMs: fc.oneof(fc.nat(100), fc.nat(100_000)),
    length: fc.option(fc.nat(1_000)),
  }),
  { maxLength: 200 },
);

describe("gaps in the ledger", () => {
  it("every gap is counted once, and known lengths add up", () => {
    fc.assert(
      fc.property(gaps, (happened) => {
        for (const console of ["router1", "switch1"]) {
          const mine = happened.filter((one) => one.console === console);
          const told = run(happened).filter(({ gap }) => gap.console === console);
          expect(told.reduce((sum, { gap }) => sum + gap.count, 0)).toBe(mine.length);
          if (mine.some(({ length }) => length === null)) continue;
          const lost = mine.reduce((sum, { length }) => sum + (length ?? 0), 0);
          expect(told.reduce((sum, { gap }) => sum + (gap.length ?? 0), 0)).toBe(lost);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("at most a few a minute of each console are told", () => {
    fc.assert(
      fc.property(gaps, (happened) => {
        const all = run(happened).filter(({ gap }) => gap.console === "router1");
        // The last may be what was left at the end of the site.
        for (const { atMs } of all.slice(0, -1)) {
          const within = all.slice(0, -1).filter((one) => one.atMs >= atMs && one.atMs < atMs + 60_000);
          expect(within.length).toBeLessThanOrEqual(6);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("a console that loses all day does not fill the ledger", () => {
    const day = Array.from({ length: 86_400 }, () => ({ console: "router1", afterMs: 1_000, length: null }));
    expect(run(day).length).toBeLessThan(40);
  });
});
