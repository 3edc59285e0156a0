import type { Disk } from "../disk/disk.ts";
import type { CaptureItem, TrackHead, TrackStat } from "./capture-item.ts";
import { Losses } from "./losses.ts";
import { type Gap, type Range, RangeReader } from "./range.ts";
import { Recent } from "./recent.ts";
import { KIND, type StoredRecord } from "./record.ts";
import { type Batch, Ring, type RingOptions } from "./ring.ts";
import { groupsOf, type Segment } from "./segment.ts";
import {
  type Claim,
  type Contents,
  causeOf,
  claimsOf,
  mergedContents,
  NOTHING,
  note,
  type Span,
  Spans,
  totalsOf,
} from "./spans.ts";
import { atOnce, Pace, type Steps } from "./steps.ts";

/** What consoles said: tracks by byte offset, in one ring. */

interface Held {
  readonly group: readonly Segment[];
  /** What missing offsets in it come from. */
  readonly cause: Gap["cause"];
  readonly span: Span | null;
  /** Where the track stood when the segment began, if it was in this boot. */
  readonly claim: number | null;
}

/** While the card refuses or stalls, so much is held in memory; the rest becomes a gap. */
const HELD_LIMIT = 8 * 1024 * 1024;
const RECENT_BYTES = 1024 * 1024;
const DATA_LIMIT = 16 * 1024;
const MERGED_KEPT = 64;

export class CaptureLog {
  readonly ring: Ring<null>;
  private readonly ids = new Map<string, number>();
  private readonly heads = new Map<number, TrackHead>();
  private readonly spans = new Spans();
  private readonly recent = new Recent(RECENT_BYTES);
  private readonly losses = new Losses();
  private newest: Segment | null = null;
  private contents: Contents = NOTHING;
  private soundUpTo = 0;
  private learning: Steps<void> | null = null;
  private allKnown = false;
  private readonly merged = new Map<string, Contents>();
  private grouped: { of: readonly Segment[]; groups: readonly (readonly Segment[])[] } = { of: [], groups: [] };

  constructor(disk: Disk, options: Pick<RingOptions<null>, "segmentBytes" | "segments" | "salt">) {
    this.ring = new Ring<null>(disk, "capture", {
      ...options,
      syncAtRoll: false,
      head: (following) => ({ payload: this.headBefore(following), floor: 0 }),
      placed: (segment, batch) => this.placed(segment, batch),
    });
    this.recover();
  }

  /** The newest segment tells where every track stood when it began; what it writes again stands before it too. */
  private recover(): void {
    for (const segment of this.groups().at(-1) ?? []) {
      for (const claim of claimsOf(segment.head.payload)) this.learn(claim);
      for (const record of this.ring.read(segment)) {
        if (record.kind === KIND.head) for (const claim of claimsOf(record.payload)) this.learn(claim);
      }
      for (const { track, boot, next } of this.spansOf(segment).spans) this.advance(track, boot, next);
    }
  }

  /** The last life ended in order: all that it left is on the medium. */
  trustAll(): void {
    this.soundUpTo = this.ring.segments().at(-1)?.generation ?? 0;
  }

  private learn({ name, track, head }: Claim): void {
    this.ids.set(name, track);
    if (head !== null) this.advance(track, head.boot, head.next);
  }

  /** Within a boot a head only goes on, also when older records are written again. */
  private advance(track: number, boot: number, next: number): void {
    const before = this.heads.get(track);
    if (before?.boot === boot && before.next >= next) return;
    this.heads.set(track, { boot, next });
  }

  /** Where the tracks stood before these batches. */
  private headBefore(following: readonly Batch<null>[]): Uint8Array {
    const heads = new Map(this.heads);
    for (const record of following.flatMap(({ records }) => records).reverse()) {
      if (record.kind !== KIND.head) heads.set(record.track, { boot: record.boot, next: record.position });
    }
    const tracks = [...this.ids].map(([name, id]) => [name, id, heads.get(id) ?? null]);
    return Buffer.from(JSON.stringify({ tracks }));
  }

  private placed(segment: Segment, { records }: Batch<null>): void {
    if (segment !== this.newest) {
      this.spans.keepOnly([...this.ring.segments(), segment]);
      this.contents = this.spans.written(segment);
    }
    this.newest = segment;
    for (const record of records) {
      const next = note(this.contents, record);
      if (next === null) continue;
      this.recent.add(record);
      this.advance(record.track, record.boot, next);
    }
  }

  private spansOf(segment: Segment) {
    return this.spans.of(segment, (one) => this.ring.read(one));
  }

  trackHeads(): Record<string, TrackHead> {
    const named = [...this.ids].map(([name, id]) => [name, this.heads.get(id)] as const);
    return Object.fromEntries(named.flatMap(([name, head]) => (head === undefined ? [] : [[name, head]])));
  }

  /** Reads a part of one more old segment ahead of the first question. False when all are known. */
  warm(): boolean {
    if (this.allKnown) return false;
    this.learning ??= this.readAll();
    this.allKnown = this.learning.next().done === true;
    return !this.allKnown;
  }

  /** The pause comes first: many may ask at once. */
  private *knowAll(): Steps<void> {
    while (!this.allKnown) {
      yield;
      this.warm();
    }
  }

  /** What each segment holds, newest first. All that is asked meanwhile shares it. */
  private *readAll(): Steps<void> {
    const cold = () => this.ring.segments().findLast((segment) => !this.spans.has(segment));
    for (let next = cold(); next !== undefined; next = cold()) {
      yield;
      yield* this.spans.learn(next, this.ring.read(next));
    }
    for (const group of this.groups().filter(({ length }) => length > 1)) {
      yield;
      this.contentsOf(group);
    }
  }

  /** Takes items; `drain` writes them. What does not fit in memory while the card refuses is declared later. */
  append(items: readonly CaptureItem[]): void {
    for (const item of items) {
      if (this.ring.heldBytes() > HELD_LIMIT) {
        this.losses.lose(item);
        continue;
      }
      for (const loss of this.losses.declare(item.track)) this.take(loss);
      this.take(item);
    }
  }

  /** Writes what was taken. Throws when the disk refuses; the next call tries again. */
  drain(): void {
    this.ring.flush();
    if (!this.losses.any || this.ring.heldBytes() > HELD_LIMIT) return;
    for (const loss of this.losses.declare()) this.take(loss);
    this.ring.flush();
  }

  private take({ track, boot, offset, monoMs, content }: CaptureItem): void {
    if (!this.ids.has(track)) this.announce([track]);
    const id = this.idOf(track);
    if ("gap" in content) {
      const payload = Buffer.from(JSON.stringify(content.gap));
      return this.put({ kind: KIND.gap, track: id, boot, position: offset, monoMs, payload });
    }
    const { data } = content;
    const step = Math.min(DATA_LIMIT, Math.floor(this.ring.batchLimit() / 2));
    for (let at = 0; at < data.length; at += step) {
      const payload = data.subarray(at, at + step);
      this.put({ kind: KIND.data, track: id, boot, position: offset + at, monoMs, payload });
    }
  }

  private put(record: StoredRecord): void {
    this.ring.append({ records: [record], tag: null });
  }

  private idOf(name: string): number {
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    const id = Math.max(0, ...this.ids.values()) + 1;
    this.ids.set(name, id);
    return id;
  }

  /** Names that the next segment must know, so that a track is known before its first byte. */
  announce(names: readonly string[]): void {
    const fresh = names.filter((name) => !this.ids.has(name));
    for (const name of fresh) this.idOf(name);
    if (fresh.length === 0) return;
    this.put({ kind: KIND.head, track: 0, boot: 0, position: 0, monoMs: 0, payload: this.headBefore([]) });
  }

  /** Bytes `[from, to)` of a track, at most `limit` of them. Without a boot: the last one. */
  readCapture(track: string, boot: number | null, from: number, to: number, limit: number): Range | null {
    return atOnce(this.reading(track, boot, from, to, limit));
  }

  /** The same in steps. */
  *reading(track: string, boot: number | null, from: number, to: number, limit: number): Steps<Range | null> {
    const id = this.ids.get(track);
    const which = boot ?? (id === undefined ? undefined : this.heads.get(id)?.boot);
    if (id === undefined || which === undefined) return null;
    yield* this.knowAll();
    for (;;) {
      const range = yield* this.rangeOf(id, which, from, to, limit);
      if (range !== null) return range;
    }
  }

  /**
   * What memory alone can tell while old segments are unread, or null: who watches or ships does not wait for them.
   * `first` is then that of what was read, not of what is held.
   */
  readFresh(track: string, boot: number | null, from: number, to: number, limit: number): Range | null {
    const id = this.ids.get(track) ?? 0;
    const head = this.heads.get(id);
    if (this.allKnown || head === undefined || (boot ?? head.boot) !== head.boot) return null;
    const recent = this.recent.since(id, head.boot, from);
    if (recent === null && from <= head.next) return null;
    const first = recent?.[0]?.position ?? head.next;
    const reader = new RangeReader(from, Math.min(to, head.next), limit, first);
    for (const record of recent ?? []) reader.take(record);
    return { boot: head.boot, pieces: reader.pieces, gaps: reader.gaps, first, next: head.next, end: reader.end() };
  }

  /** Null when a segment of it was overwritten meanwhile. */
  private *rangeOf(id: number, which: number, from: number, to: number, limit: number): Steps<Range | null> {
    const held = this.heldOf(id, which);
    const next = held.reduce((most, { span, claim }) => Math.max(most, span?.next ?? 0, claim ?? 0), 0);
    const first = held.find(({ span }) => span !== null)?.span?.first ?? next;
    const reader = yield* this.readRange(held, id, which, Math.max(from, first), Math.min(to, next), limit);
    if (reader === null) return null;
    return { boot: which, pieces: reader.pieces, gaps: reader.gaps, first, next, end: reader.end() };
  }

  private *readRange(
    held: readonly Held[],
    id: number,
    boot: number,
    from: number,
    to: number,
    limit: number,
  ): Steps<RangeReader | null> {
    const recent = this.recent.since(id, boot, from);
    if (recent !== null) {
      const reader = new RangeReader(from, to, limit, recent[0]?.position);
      for (const record of recent) reader.take(record);
      return reader;
    }
    const reader = new RangeReader(from, to, limit, held.find(({ span }) => span !== null)?.span?.first);
    for (const { group, cause, span, claim } of held) {
      if (reader.full || (span ?? { first: claim ?? 0 }).first > to) break;
      // Nothing of it is asked for: only how far it goes counts.
      if (span !== null && span.next < from) reader.skipTo(span.next);
      else if (span !== null && !(yield* this.readGroup(group, cause, id, boot, reader))) return null;
      if (claim !== null) reader.upTo(claim, cause);
    }
    return reader;
  }

  /** False when it was overwritten meanwhile. */
  private *readGroup(
    group: readonly Segment[],
    cause: Gap["cause"],
    id: number,
    boot: number,
    reader: RangeReader,
  ): Steps<boolean> {
    yield;
    const pace = new Pace();
    if (!this.stillThere(group)) return false;
    for (const record of this.recordsOf(group)) {
      if (pace.isDue(record)) {
        yield;
        if (!this.stillThere(group)) return false;
      }
      if (record.track !== id || record.boot !== boot || record.kind === KIND.head) continue;
      reader.take(record, cause);
      if (reader.full || record.position > reader.to) return true;
    }
    return true;
  }

  /** None of it was overwritten in a pause. */
  private stillThere(group: readonly Segment[]): boolean {
    return group.every((one) => this.ring.segments().includes(one));
  }

  /** In order of each track, where something was written again too. */
  private *recordsOf(group: readonly Segment[]): Generator<StoredRecord> {
    const [only] = group;
    if (only !== undefined && group.length === 1) return yield* this.ring.read(only);
    const all: StoredRecord[] = [];
    for (const segment of group)
      for (const record of this.ring.read(segment)) all.push({ ...record, payload: Uint8Array.from(record.payload) });
    yield* all.sort((a, b) => a.position - b.position || b.kind - a.kind);
  }

  /** Asked for with each read, and the same until a segment begins. */
  private groups(): readonly (readonly Segment[])[] {
    const segments = this.ring.segments();
    if (this.grouped.of !== segments) this.grouped = { of: segments, groups: groupsOf(segments) };
    return this.grouped.groups;
  }

  private contentsOf(group: readonly Segment[]): Contents {
    const [only] = group;
    if (only === undefined || group.length === 1) return only === undefined ? NOTHING : this.spansOf(only);
    const key = group.map(({ generation, end }) => `${generation}:${end}`).join();
    const known = this.merged.get(key);
    if (known !== undefined) return known;
    const contents = mergedContents(
      group.flatMap((one) => this.spansOf(one).claims),
      this.recordsOf(group),
    );
    if (this.merged.size >= MERGED_KEPT) this.merged.clear();
    this.merged.set(key, contents);
    return contents;
  }

  /** The segments that know something of a track in a boot. */
  private heldOf(track: number, boot: number): Held[] {
    const groups = this.groups();
    return groups.flatMap((group, index): Held[] => {
      const { spans, claims } = this.contentsOf(group);
      const span = spans.find((one) => one.track === track && one.boot === boot) ?? null;
      const claim = claims.find((one) => one.track === track && one.head?.boot === boot)?.head?.next ?? null;
      if (span === null && claim === null) return [];
      const wasSound = (group.at(-1)?.generation ?? 0) <= this.soundUpTo;
      const cause = wasSound ? "corrupt" : causeOf(group, groups[index + 1]?.[0]);
      return [{ group, cause, span, claim }];
    });
  }

  /** Offset of the first byte at or after a mono time of a boot (the last boot without one). */
  offsetAt(track: string, boot: number | null, monoMs: number): number {
    return atOnce(this.seeking(track, boot, monoMs));
  }

  /** The same in steps. */
  *seeking(track: string, boot: number | null, monoMs: number): Steps<number> {
    const id = this.ids.get(track);
    const which = boot ?? (id === undefined ? undefined : this.heads.get(id)?.boot);
    if (id === undefined || which === undefined) return 0;
    yield* this.knowAll();
    const mine = this.heldOf(id, which).flatMap(({ group, span }) => (span === null ? [] : [{ group, span }]));
    const later = mine.findIndex(({ span }) => span.firstMonoMs > monoMs);
    const from = later < 0 ? mine.length - 1 : Math.max(0, later - 1);
    const pace = new Pace();
    for (const { group } of mine.slice(Math.max(0, from))) {
      yield;
      // What was overwritten meanwhile began before what is there now.
      for (const record of this.stillThere(group) ? this.recordsOf(group) : []) {
        if (pace.isDue(record)) yield;
        const isMine = record.track === id && record.boot === which && record.kind !== KIND.head;
        if (isMine && record.monoMs >= monoMs) return record.position;
      }
    }
    return mine.at(-1)?.span.next ?? 0;
  }

  stat(): Record<string, TrackStat> {
    return atOnce(this.counting());
  }

  /** The same in steps. */
  *counting(): Steps<Record<string, TrackStat>> {
    yield* this.knowAll();
    const boots = totalsOf(this.groups().map((group) => this.contentsOf(group)));
    return Object.fromEntries(
      [...this.ids].map(([name, id]) => {
        const mine = boots.filter((one) => one.track === id);
        const bytes = mine.reduce((sum, one) => sum + one.bytes, 0);
        const gaps = mine.reduce((sum, one) => sum + one.gaps, 0);
        const heads = mine.map(({ boot, first, next, firstMonoMs }) => ({ boot, first, next, firstMonoMs }));
        return [name, { boots: heads, bytes, gaps }];
      }),
    );
  }
}
