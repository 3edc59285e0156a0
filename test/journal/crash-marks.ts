import { KIND } from "../../src/journal/record.ts";
import type { Segment } from "../../src/journal/segment.ts";
import type { JournalStore } from "../../src/journal/store.ts";

/** What the crash model counts and how it marks what it writes, so that anything at a wrong place shows. */

export interface Tally {
  states: number;
  cuts: number;
  kills: number;
  lives: number;
  faults: Record<string, number>;
  /** Bytes and records that a sync had confirmed and that were looked for. */
  syncedBytes: number;
  syncedRecords: number;
  lostSynced: number;
  corrupt: number;
  undeclared: number;
  readonly problems: string[];
}

export function newTally(): Tally {
  const counts = { states: 0, cuts: 0, kills: 0, lives: 0, syncedBytes: 0, syncedRecords: 0 };
  return { ...counts, faults: {}, lostSynced: 0, corrupt: 0, undeclared: 0, problems: [] };
}

export const TRACKS = ["a/rx", "b/rx"] as const;
export type Track = (typeof TRACKS)[number];

/** Stretches of bytes and of records. */
export type Unowned = Record<Track | "ledger", [number, number][]>;

export const nothing = (): Unowned => ({ "a/rx": [], "b/rx": [], ledger: [] });

export interface Known {
  seq: number;
  offset: Record<Track, number>;
}

/** What one byte of a track must be: it tells the boot, the track and the offset, so that a byte at a wrong place shows. */
export function byteAt(boot: number, track: number, offset: number): number {
  return (Math.imul(offset + 1, 0x9e3779b1) ^ Math.imul(boot + 7 * track, 0x85ebca6b)) >>> 24;
}

export function recordText(boot: number, seq: number): string {
  return JSON.stringify({ seq, boot, words: `${byteAt(boot, 9, seq)}`.repeat(1 + (seq % 20)) });
}

export function both(one: Unowned, other: Unowned): Unowned {
  const joined = (name: keyof Unowned): [number, number][] => [...one[name], ...other[name]];
  return { "a/rx": joined("a/rx"), "b/rx": joined("b/rx"), ledger: joined("ledger") };
}

export function copyOf({ seq, offset }: Known): Known {
  return { seq, offset: { ...offset } };
}

export function declaredIn(
  gaps: readonly { offset: number; length: number | null }[],
  from: number,
  to: number,
): number {
  const within = gaps.filter(({ offset }) => offset >= from && offset < to);
  return within.reduce((sum, { length }) => sum + (length ?? 0), 0);
}

export function lastOf(store: JournalStore, segment: Segment): number {
  const records = [...store.ledger.ring.read(segment)].filter(({ kind }) => kind === KIND.ledger);
  return records.reduce((most, { position }) => Math.max(most, position), 0);
}

/** The newest snapshot and what follows, as the last sequence number that is known. */
export function lastSeq(store: JournalStore): number {
  const { snapshot, records } = store.recovered;
  const seqs = [snapshot ?? "", ...records].filter(Boolean).map((json) => (JSON.parse(json) as { seq: number }).seq);
  return Math.max(0, ...seqs);
}
