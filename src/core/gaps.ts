import type { ConsoleGap } from "./events.ts";

/**
 * How declared gaps reach the ledger: a few a minute and console as they happen, the rest counted into one more. The
 * gaps themselves lie in the capture ring, all of them; these records are for whoever reads `events`.
 */

/** Gaps of one console that were told together: the newest of them, and how many they were. */
export type ToldGap = ConsoleGap & { readonly count: number };

export type GapLimits = Readonly<Record<string, GapLimit>>;

interface GapLimit {
  readonly sinceMs: number;
  readonly windowMs: number;
  readonly told: number;
  readonly held: ToldGap | null;
}

const WINDOW_MS = 60_000;
/** A console that never stops losing must not fill the ledger: its records come ever more seldom, up to this. */
const WINDOW_LIMIT_MS = 3_600_000;
const TOLD_PER_WINDOW = 3;

/** Tells it now, or holds it back for the end of the minute. */
export function takeGap(
  limits: GapLimits,
  gap: ConsoleGap,
  nowMs: number,
): { readonly limits: GapLimits; readonly tell: ToldGap | null } {
  const limit = limitAt(limits[gap.console], nowMs);
  const one = joined(limit.held, gap);
  const tells = limit.told < TOLD_PER_WINDOW;
  const next = tells ? { ...limit, told: limit.told + 1, held: null } : { ...limit, held: one };
  return { limits: { ...limits, [gap.console]: next }, tell: tells ? one : null };
}

/** What was held back and may be told now; `all` does not wait for it to be due. */
export function dueGaps(
  limits: GapLimits,
  nowMs: number,
  all = false,
): { readonly limits: GapLimits; readonly tell: readonly ToldGap[] } {
  const tell: ToldGap[] = [];
  const kept = Object.entries(limits).flatMap(([console, one]): [string, GapLimit][] => {
    if (!all && nowMs < one.sinceMs + one.windowMs) return [[console, one]];
    if (one.held === null) return [];
    tell.push(one.held);
    return [[console, { ...longer(one, nowMs), told: TOLD_PER_WINDOW }]];
  });
  return { limits: Object.fromEntries(kept), tell };
}

/** A minute that is over with nothing held back begins anew; with something, a longer one with one place for it. */
function limitAt(before: GapLimit | undefined, nowMs: number): GapLimit {
  if (before !== undefined && nowMs < before.sinceMs + before.windowMs) return before;
  if (before === undefined || before.held === null) return { sinceMs: nowMs, windowMs: WINDOW_MS, told: 0, held: null };
  return { ...longer(before, nowMs), held: before.held };
}

function longer(one: GapLimit, nowMs: number): GapLimit {
  const windowMs = Math.min(2 * one.windowMs, WINDOW_LIMIT_MS);
  return { sinceMs: nowMs, windowMs, told: TOLD_PER_WINDOW - 1, held: null };
}

/** When the next one that is held back becomes due; null: none is. */
export function nextGapMs(limits: GapLimits): number | null {
  const due = Object.values(limits).flatMap(({ held, sinceMs, windowMs }) =>
    held === null ? [] : [sinceMs + windowMs],
  );
  return due.length === 0 ? null : Math.min(...due);
}

/** Where one of them has no known length, the sum has none. */
function joined(held: ToldGap | null, gap: ConsoleGap): ToldGap {
  if (held === null) return { ...gap, count: 1 };
  const length = held.length === null || gap.length === null ? null : held.length + gap.length;
  return { ...gap, length, count: held.count + 1 };
}
