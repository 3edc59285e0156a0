import { z } from "zod";
import { parseJson } from "../protocol/envelope.ts";
import type { IndexLine, StoredGap } from "./index-line.ts";

/**
 * What is stored of one track, as its index lines say: how far each boot is known (bytes that are here, or a gap that
 * was declared), and the sums that people ask for. Everything below a boot's `next` is accounted for.
 */

export interface BootHeld {
  next: number;
  /** Gaps of unknown length take no room: who heard of one twice tells by these. */
  readonly unknownGaps: Set<string>;
}

export interface GapSum {
  count: number;
  bytes: number;
  /** How many had no known length. */
  unknown: number;
}

export interface RecentGap extends StoredGap {
  readonly boot: number;
  readonly offset: number;
  readonly heard: number;
}

export interface Held {
  readonly boots: Map<number, BootHeld>;
  bytes: number;
  lastByte: { readonly heard: number; readonly wall: number | null } | null;
  readonly gaps: Map<string, GapSum>;
  recent: readonly RecentGap[];
}

/** More boots than a site can name; the one not heard of for longest is forgotten. */
const BOOTS_LIMIT = 256;
const UNKNOWN_GAPS_LIMIT = 1_024;
const RECENT_LIMIT = 16;

export function nothingHeld(): Held {
  return { boots: new Map(), bytes: 0, lastByte: null, gaps: new Map(), recent: [] };
}

export function gapKey(offset: number, cause: string): string {
  return `${offset} ${cause}`;
}

export function applyLine(held: Held, line: IndexLine): void {
  const boot = bootOf(held, line.boot);
  if ("n" in line) {
    boot.next = Math.max(boot.next, line.offset + line.n);
    held.bytes += line.n;
    held.lastByte = { heard: line.heard, wall: line.wall };
    return;
  }
  const { cause, length, count = 1 } = line.gap;
  if (length === null) remember(boot.unknownGaps, gapKey(line.offset, cause));
  else boot.next = Math.max(boot.next, line.offset + length);
  const sum = held.gaps.get(cause) ?? { count: 0, bytes: 0, unknown: 0 };
  held.gaps.set(cause, {
    count: sum.count + count,
    bytes: sum.bytes + (length ?? 0),
    unknown: sum.unknown + (length === null ? count : 0),
  });
  held.recent = [...held.recent, { ...line.gap, boot: line.boot, offset: line.offset, heard: line.heard }].slice(
    -RECENT_LIMIT,
  );
}

function bootOf(held: Held, boot: number): BootHeld {
  const found = held.boots.get(boot) ?? { next: 0, unknownGaps: new Set<string>() };
  // The newest stands last.
  held.boots.delete(boot);
  held.boots.set(boot, found);
  forgetOldest(held.boots, BOOTS_LIMIT);
  return found;
}

function remember(keys: Set<string>, key: string): void {
  keys.add(key);
  const [oldest] = keys;
  if (keys.size > UNKNOWN_GAPS_LIMIT && oldest !== undefined) keys.delete(oldest);
}

/** Keeps a map's newest entries. */
export function forgetOldest<K>(map: Map<K, unknown>, limit: number): void {
  for (const key of map.keys()) {
    if (map.size <= limit) return;
    map.delete(key);
  }
}

const count = z.int().min(0);
const savedSchema = z.object({
  v: z.literal(1),
  /** The last day whose index is in this. */
  through: z.string().regex(/^\d{4}-\d\d-\d\d$/),
  boots: z.array(z.object({ boot: count, next: count, unknownGaps: z.array(z.string()) })),
  bytes: count,
  lastByte: z.object({ heard: z.number(), wall: z.number().nullable() }).nullable(),
  gaps: z.record(z.string(), z.object({ count, bytes: count, unknown: count })),
  recent: z.array(
    z.object({
      cause: z.string(),
      length: count.nullable(),
      count: count.optional(),
      boot: count,
      offset: count,
      heard: z.number(),
    }),
  ),
});

/** Written when a day is over, so that a start need not read the indexes of a year. */
export function encodeHeld(held: Held, through: string): string {
  const { bytes, lastByte, recent } = held;
  const boots = [...held.boots].map(([boot, { next, unknownGaps }]) => ({ boot, next, unknownGaps: [...unknownGaps] }));
  return JSON.stringify({ v: 1, through, boots, bytes, lastByte, gaps: Object.fromEntries(held.gaps), recent });
}

/** Null when it is not whole: the indexes then tell all of it. */
export function decodeHeld(text: string): { held: Held; through: string } | null {
  const saved = savedSchema.safeParse(parseJson(text)).data;
  if (saved === undefined) return null;
  const { through, bytes, lastByte, recent } = saved;
  const boots = new Map(
    saved.boots.map(({ boot, next, unknownGaps }) => [boot, { next, unknownGaps: new Set(unknownGaps) }]),
  );
  return { held: { boots, bytes, lastByte, gaps: new Map(Object.entries(saved.gaps)), recent }, through };
}
