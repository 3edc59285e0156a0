import type { Disk } from "../disk/disk.ts";
import { textOf } from "./range.ts";
import { KIND, type StoredRecord } from "./record.ts";
import { type Batch, Ring, type RingOptions } from "./ring.ts";
import { groupsOf, type Segment } from "./segment.ts";
import { atOnce, Pace, type Steps } from "./steps.ts";

/** The ledger: records in one sequence, and at the begin of each segment the state before what follows. */

/** A ledger record as it is handed over. */
export interface LedgerLine {
  readonly seq: number;
  readonly boot: number;
  /** ms */
  readonly mono: number;
  readonly json: string;
}

/** The state before a batch: what a segment that begins with it must carry. */
interface Before {
  readonly snapshot: Uint8Array;
  /** The first record that is not in it. */
  readonly floor: number;
}

interface Group extends Before {
  records: LedgerLine[];
  bytes: number;
  /** Records before it were dropped: the state goes along, or what they did would be forgotten. */
  afterLoss: boolean;
}

/** While the disk refuses, so much of records is held; of what is more the state remains, and a hole in the sequence. */
const HELD_LIMIT = 2 * 1024 * 1024;
const MERGED = 16 * 1024;
const APART = 32;

export class LedgerLog {
  readonly ring: Ring<Before>;
  private readonly waiting: Group[] = [];
  private waitingBytes = 0;
  /** The newest state that is known, and what follows it. */
  private newest: Before;
  /** The newest segment needs the one before: the state is due. */
  private relies = false;
  readonly recovered: { readonly snapshot: string | null; readonly records: readonly string[] };

  constructor(disk: Disk, options: Pick<RingOptions<Before>, "segmentBytes" | "segments" | "salt">) {
    this.ring = new Ring(disk, "ledger", {
      ...options,
      syncAtRoll: true,
      head: ([first]) => {
        const { snapshot, floor } = first?.tag ?? this.newest;
        // The first one after a start: the state with the records of the life before in it comes with the next.
        const [record] = first?.records ?? [];
        if (record !== undefined && record.kind === KIND.ledger && record.position > floor) this.relies = true;
        return { payload: snapshot, floor };
      },
    });
    const { before, records, scattered } = this.recover();
    // Only the main thread can tell the state with the records in it; until it does a new segment relies on older ones.
    this.newest = before;
    // What a killed process wrote may never have reached the card, and this life goes on from it.
    this.ring.adopt(
      records.map((line) => ({ records: [recordOf(line)], tag: before })),
      scattered,
    );
    this.recovered = { snapshot: textOf(before.snapshot) || null, records: records.map((one) => one.json) };
  }

  /** Records in order; `snapshot` is the state with them in it. */
  append(records: readonly LedgerLine[], snapshot: string): void {
    const bytes = records.reduce((sum, { json }) => sum + json.length, 0);
    const last = this.waiting.at(-1);
    // Each group holds a whole state: while many wait, they wait together.
    if (last !== undefined && this.waiting.length > APART && last.bytes + bytes < MERGED) {
      last.records.push(...records);
      last.bytes += bytes;
    } else {
      const floor = Math.min(this.newest.floor || Number.MAX_SAFE_INTEGER, records[0]?.seq ?? this.newest.floor);
      this.waiting.push({ ...this.newest, floor, records: [...records], bytes, afterLoss: this.relies });
      this.relies = false;
    }
    this.waitingBytes += bytes;
    this.newest = { snapshot: Buffer.from(snapshot), floor: (records.at(-1)?.seq ?? this.newest.floor - 1) + 1 };
    while (this.waitingBytes > HELD_LIMIT && this.waiting.length > 1) this.dropOldest();
  }

  /** Writes what was taken. Throws when the disk refuses; the next call tries again. */
  drain(): void {
    // What was refused before goes first, and makes room in memory.
    this.ring.flush();
    for (let group = this.waiting.shift(); group !== undefined; group = this.waiting.shift()) {
      this.waitingBytes -= group.bytes;
      for (const batch of this.batchesOf(group)) this.ring.append(batch);
      this.ring.flush();
    }
  }

  private dropOldest(): void {
    const oldest = this.waiting.shift();
    this.waitingBytes -= oldest?.bytes ?? 0;
    const [next] = this.waiting;
    if (next !== undefined) next.afterLoss = true;
  }

  /** As few as fit: a segment that begins within a group carries the state before all of it. */
  private batchesOf({ records, snapshot, floor, afterLoss }: Group): Batch<Before>[] {
    const tag = { snapshot, floor };
    const batches: Batch<Before>[] = [];
    let batch: StoredRecord[] = [];
    let bytes = 0;
    const close = (): void => {
      if (batch.length > 0) batches.push({ records: batch, tag });
      batch = [];
      bytes = 0;
    };
    if (afterLoss) batch.push({ kind: KIND.head, track: 0, boot: 0, position: 0, monoMs: floor, payload: snapshot });
    if (afterLoss) close();
    for (const record of records.map(recordOf)) {
      const size = record.payload.length + 64;
      if (bytes + size > this.ring.batchLimit()) close();
      bytes += size;
      batch.push(record);
    }
    close();
    return batches;
  }

  /** The newest state, and the records after it: mostly in the newest segment, else also in the ones before. */
  private recover(): { before: Before; records: LedgerLine[]; scattered: boolean } {
    const segments = this.ring.segments();
    const newest = segments.at(-1);
    if (newest === undefined)
      return { before: { snapshot: new Uint8Array(), floor: 0 }, records: [], scattered: false };
    let before: Before = { snapshot: newest.head.payload, floor: newest.head.floor };
    const found = new Map<number, LedgerLine>();
    let scattered = false;
    for (const segment of segments.toReversed()) {
      const known = found.size;
      for (const record of this.ring.read(segment)) {
        if (record.kind === KIND.head && segment === newest && record.monoMs > before.floor) {
          before = { snapshot: Uint8Array.from(record.payload), floor: record.monoMs };
          found.clear();
        }
        if (record.kind !== KIND.ledger || record.position < before.floor || found.has(record.position)) continue;
        found.set(record.position, lineOf(record));
      }
      scattered ||= newest.head.rewrites && segment !== newest && found.size > known;
      const complete = found.has(before.floor) || (segment !== newest && found.size === known);
      if (complete && !segment.head.rewrites) break;
    }
    return { before, records: inOrder(found), scattered };
  }

  /** JSON of records with `from <= seq < to`, oldest first, at most `limit`. */
  read(from: number, to: number, limit: number): string[] {
    return atOnce(this.reading(from, to, limit));
  }

  /** The same in steps. */
  *reading(from: number, to: number, limit: number): Steps<string[]> {
    for (;;) {
      const found = yield* this.readFrom(this.ring.segments(), from, to, limit);
      if (found !== null) return found;
    }
  }

  /** Null when a segment began meanwhile. */
  private *readFrom(segments: readonly Segment[], from: number, to: number, limit: number): Steps<string[] | null> {
    const found: string[] = [];
    const pace = new Pace();
    let last = -1;
    const groups = groupsOf(segments);
    for (const [index, group] of groups.entries()) {
      // The next one begins at or before what is asked for: nothing of this one is.
      const following = groups[index + 1]?.[0]?.head;
      if (following !== undefined && !following.rewrites && following.floor <= from && following.floor > 0) continue;
      for (const record of this.recordsOf(group)) {
        if (pace.isDue(record)) {
          yield;
          if (this.ring.segments() !== segments) return null;
        }
        if (record.kind !== KIND.ledger || record.position <= last) continue;
        if (record.position >= to) return found;
        last = record.position;
        if (last >= from) found.push(textOf(record.payload));
        if (found.length >= limit) return found;
      }
    }
    return found;
  }

  /** In order, also where some were written again behind later ones. */
  private *recordsOf(group: readonly Segment[]): Generator<StoredRecord> {
    const [only] = group;
    if (only !== undefined && group.length === 1) return yield* this.ring.read(only);
    const all: StoredRecord[] = [];
    for (const segment of group)
      for (const record of this.ring.read(segment)) all.push({ ...record, payload: Uint8Array.from(record.payload) });
    yield* all.sort((a, b) => a.position - b.position);
  }

  /** JSON of the last records, oldest first, without reading more of the ring than they take. */
  readLast(count: number): string[] {
    let found: LedgerLine[] = [];
    let chain = new Map<number, LedgerLine>();
    let lowest = Number.MAX_SAFE_INTEGER;
    for (const segment of this.ring.segments().toReversed()) {
      for (const record of this.ring.read(segment)) {
        if (record.kind === KIND.ledger && record.position < lowest) chain.set(record.position, lineOf(record));
      }
      // What it writes again may go on further in the segment before.
      if (segment.head.rewrites) continue;
      found = [...inOrder(chain), ...found].slice(-count);
      lowest = found[0]?.seq ?? lowest;
      chain = new Map();
      if (found.length >= count) break;
    }
    return [...inOrder(chain), ...found].slice(-count).map((one) => one.json);
  }

  segments(): readonly Segment[] {
    return this.ring.segments();
  }

  /** Written when a life ends in order. */
  appendEnd(): void {
    const tag = this.newest;
    const payload = new Uint8Array();
    this.ring.append({ records: [{ kind: KIND.end, track: 0, boot: 0, position: 0, monoMs: 0, payload }], tag });
  }

  /** Whether the last life ended in order; null when there was none. */
  endedCleanly(): boolean | null {
    const newest = this.ring.segments().at(-1);
    if (newest === undefined) return null;
    let clean = false;
    for (const { kind } of this.ring.read(newest)) clean = kind === KIND.end;
    return clean;
  }
}

function inOrder(lines: ReadonlyMap<number, LedgerLine>): LedgerLine[] {
  return [...lines.values()].sort((a, b) => a.seq - b.seq);
}

function recordOf({ seq, boot, mono, json }: LedgerLine): StoredRecord {
  return { kind: KIND.ledger, track: 0, boot, position: seq, monoMs: mono, payload: Buffer.from(json) };
}

function lineOf({ position, boot, monoMs, payload }: StoredRecord): LedgerLine {
  return { seq: position, boot, mono: monoMs, json: textOf(payload) };
}
