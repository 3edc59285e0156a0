import { randomBytes } from "node:crypto";
import type { Disk } from "../disk/disk.ts";
import { type Gap, gapOf, type Range, RangeReader, textOf } from "./range.ts";
import { KIND, type StoredRecord } from "./record.ts";
import { openRing, type Ring, type Segment, segmentation } from "./ring.ts";

/** The journal over one folder: the ledger ring and the capture ring. Blocking; the worker calls it. */

export interface Recovered {
  /** JSON of the newest snapshot, and of the records after it. */
  readonly snapshot: string | null;
  readonly records: readonly string[];
  readonly tracks: Readonly<Record<string, TrackHead>>;
}

/** Where a capture track ends: the offset of its next byte in its last boot. */
export interface TrackHead {
  readonly boot: number;
  readonly next: number;
}

export interface CaptureItem {
  readonly track: string;
  readonly boot: number;
  readonly offset: number;
  readonly monoMs: number;
  readonly content: { readonly data: Uint8Array } | { readonly gap: Gap };
}

/** A ledger record as it is handed over. */
export interface LedgerLine {
  readonly seq: number;
  readonly boot: number;
  /** ms */
  readonly mono: number;
  readonly json: string;
}

interface Span {
  readonly track: number;
  readonly boot: number;
  readonly first: number;
  next: number;
  bytes: number;
  gaps: number;
  readonly firstMonoMs: number;
}

export interface TrackStat {
  readonly boots: readonly { boot: number; first: number; next: number; firstMonoMs: number }[];
  readonly bytes: number;
  readonly gaps: number;
}

/** While the disk refuses, so much is held in memory; the rest becomes a gap. */
const HELD_LIMIT = 8 * 1024 * 1024;
const DATA_LIMIT = 16 * 1024;

export class JournalStore {
  private readonly ledger: Ring;
  private readonly capture: Ring;
  private readonly ids = new Map<string, number>();
  private readonly heads = new Map<number, TrackHead>();
  private readonly spans = new Map<string, Span[]>();
  private readonly heldLedger: { records: LedgerLine[]; snapshot: string }[] = [];
  private readonly held: CaptureItem[] = [];
  private heldBytes = 0;
  private readonly lost = new Map<number, { offset: number; bytes: number; boot: number; monoMs: number }>();
  private snapshot: Uint8Array = new Uint8Array();
  readonly recovered: Recovered;

  constructor(disk: Disk, quota: { captureBytes: number; ledgerBytes: number }, salt = () => randomBytes(8)) {
    this.ledger = openRing(disk, "ledger", { ...segmentation(quota.ledgerBytes), head: () => this.snapshot, salt });
    this.capture = openRing(disk, "capture", {
      ...segmentation(quota.captureBytes),
      head: () => this.captureHead(),
      salt,
    });
    this.recoverCapture();
    this.recovered = { ...this.recoverLedger(), tracks: this.trackHeads() };
  }

  private recoverLedger(): { snapshot: string | null; records: string[] } {
    const newest = this.ledger.segments().at(-1);
    if (newest === undefined) return { snapshot: null, records: [] };
    const records: string[] = [];
    for (const record of this.ledger.read(newest)) {
      if (record.kind === KIND.ledger) records.push(textOf(record.payload));
    }
    return { snapshot: textOf(newest.head.payload) || null, records };
  }

  /** Only the newest segment: its head tells where every track stood when it began. */
  private recoverCapture(): void {
    const newest = this.capture.segments().at(-1);
    if (newest !== undefined) this.spansOf(newest);
  }

  /** What a segment holds, read when it is first asked for. */
  private spansOf(segment: Segment): readonly Span[] {
    const known = this.spans.get(keyOf(segment));
    if (known !== undefined) return known;
    const newest = segment === this.capture.segments().at(-1);
    this.spans.set(keyOf(segment), []);
    for (const record of this.capture.read(segment)) {
      if (newest && record.kind === KIND.head) this.learnHead(record.payload);
      this.note(segment, record, newest);
    }
    return this.spans.get(keyOf(segment)) ?? [];
  }

  /** Reads one more old segment ahead of the first question. False when all are known. */
  warm(): boolean {
    const cold = this.capture.segments().findLast((segment) => !this.spans.has(keyOf(segment)));
    if (cold !== undefined) this.spansOf(cold);
    return cold !== undefined;
  }

  private captureHead(): Uint8Array {
    const heads = [...this.ids].map(([name, id]) => [name, id, this.heads.get(id) ?? null]);
    return Buffer.from(JSON.stringify({ tracks: heads }));
  }

  private learnHead(payload: Uint8Array): void {
    const { tracks } = JSON.parse(textOf(payload)) as { tracks: [string, number, TrackHead | null][] };
    for (const [name, id, head] of tracks) {
      this.ids.set(name, id);
      if (head !== null) this.heads.set(id, head);
    }
  }

  trackHeads(): Record<string, TrackHead> {
    const heads: Record<string, TrackHead> = {};
    for (const [name, id] of this.ids) {
      const head = this.heads.get(id);
      if (head !== undefined) heads[name] = head;
    }
    return heads;
  }

  /** Records in order; `snapshot` is the state with them in it, for the head of a segment that may begin after them. */
  appendLedger(records: readonly LedgerLine[], snapshot: string): void {
    this.heldLedger.push({ records: [...records], snapshot });
    this.drain();
  }

  appendCapture(items: readonly CaptureItem[]): void {
    for (const item of items) this.hold(item);
    this.drain();
  }

  /** Writes what is held. Throws when the disk refuses; nothing is dropped by that, the next call tries again. */
  drain(): void {
    this.drainLedger();
    for (let first = this.held[0]; first !== undefined; first = this.held[0]) {
      this.take(first);
      this.held.shift();
      this.heldBytes -= sizeOf(first);
    }
    for (const id of this.lost.keys()) this.declareLost(id);
    this.capture.flush();
  }

  private drainLedger(): void {
    for (let first = this.heldLedger[0]; first !== undefined; first = this.heldLedger[0]) {
      for (let record = first.records[0]; record !== undefined; record = first.records[0]) {
        const { seq, boot, mono, json } = record;
        this.ledger.append({
          kind: KIND.ledger,
          track: 0,
          boot,
          position: seq,
          monoMs: mono,
          payload: Buffer.from(json),
        });
        first.records.shift();
      }
      // Only now: a segment that begins with one of these records must carry the state before them.
      this.snapshot = Buffer.from(first.snapshot);
      this.heldLedger.shift();
    }
    this.ledger.flush();
  }

  private hold(item: CaptureItem): void {
    if (this.heldBytes > HELD_LIMIT && "data" in item.content) return this.lose(item, item.content.data.length);
    this.held.push(item);
    this.heldBytes += sizeOf(item);
  }

  private lose(item: CaptureItem, bytes: number): void {
    const id = this.idOf(item.track);
    const before = this.lost.get(id) ?? { offset: item.offset, bytes: 0, boot: item.boot, monoMs: item.monoMs };
    this.lost.set(id, { ...before, bytes: before.bytes + bytes });
  }

  private take(item: CaptureItem): void {
    const id = this.idOf(item.track);
    const base = { track: id, boot: item.boot, monoMs: item.monoMs };
    if ("gap" in item.content) {
      const payload = Buffer.from(JSON.stringify(item.content.gap));
      return this.put({ ...base, kind: KIND.gap, position: item.offset, payload });
    }
    const { data } = item.content;
    for (let at = 0; at < data.length; at += DATA_LIMIT) {
      this.put({ ...base, kind: KIND.data, position: item.offset + at, payload: data.subarray(at, at + DATA_LIMIT) });
    }
  }

  private declareLost(id: number): void {
    const lost = this.lost.get(id);
    if (lost === undefined) return;
    const gap: Gap = { cause: "overrun", length: lost.bytes };
    const payload = Buffer.from(JSON.stringify(gap));
    this.put({ kind: KIND.gap, track: id, boot: lost.boot, position: lost.offset, monoMs: lost.monoMs, payload });
    this.lost.delete(id);
  }

  private put(record: StoredRecord): void {
    const before = this.capture.segments().at(-1);
    this.capture.append(record);
    const segment = this.capture.segments().at(-1);
    if (segment === undefined) return;
    if (segment !== before) this.forgetRecycled();
    this.note(segment, record, true);
  }

  /** A recycled segment has a new generation under an old name: what it held is gone. */
  private forgetRecycled(): void {
    const living = new Set(this.capture.segments().map(keyOf));
    for (const key of this.spans.keys()) if (!living.has(key)) this.spans.delete(key);
  }

  private note(segment: Segment, record: StoredRecord, latest: boolean): void {
    if (record.kind !== KIND.data && record.kind !== KIND.gap) return;
    const spans = this.spans.get(keyOf(segment)) ?? [];
    const length = record.kind === KIND.data ? record.payload.length : (gapOf(record).length ?? 0);
    const next = record.position + length;
    const before = spans.find((one) => one.track === record.track && one.boot === record.boot);
    const bytes = record.kind === KIND.data ? length : 0;
    const gaps = record.kind === KIND.gap ? 1 : 0;
    if (before === undefined) {
      const { track, boot, position, monoMs } = record;
      spans.push({ track, boot, first: position, next, bytes, gaps, firstMonoMs: monoMs });
    } else {
      // In place: this is done for every record.
      before.next = next;
      before.bytes += bytes;
      before.gaps += gaps;
    }
    this.spans.set(keyOf(segment), spans);
    if (latest) this.heads.set(record.track, { boot: record.boot, next });
  }

  private idOf(name: string): number {
    const known = this.ids.get(name);
    if (known !== undefined) return known;
    const id = Math.max(0, ...this.ids.values()) + 1;
    this.ids.set(name, id);
    return id;
  }

  /** Makes room for these names in the next segment head, so that a track is known before its first byte. */
  announce(names: readonly string[]): void {
    const fresh = names.filter((name) => !this.ids.has(name));
    for (const name of fresh) this.idOf(name);
    if (fresh.length === 0) return;
    const payload = this.captureHead();
    this.capture.append({ kind: KIND.head, track: 0, boot: 0, position: 0, monoMs: 0, payload });
    this.capture.flush();
  }

  sync(which: "ledger" | "capture"): void {
    (which === "ledger" ? this.ledger : this.capture).sync();
  }

  pending(): number {
    return this.ledger.pending() + this.capture.pending();
  }

  /** Bytes `[from, to)` of a track, at most `limit` of them. Without a boot: the last one. */
  readCapture(track: string, boot: number | null, from: number, to: number, limit: number): Range | null {
    const id = this.ids.get(track);
    const which = boot ?? (id === undefined ? undefined : this.heads.get(id)?.boot);
    if (id === undefined || which === undefined) return null;
    const mine = this.segmentsWith(id, which);
    const first = mine[0]?.span.first ?? 0;
    const next = mine.at(-1)?.span.next ?? 0;
    const reader = new RangeReader(Math.max(from, first), Math.min(to, next), limit);
    for (const { segment, span } of mine) {
      if (span.next < reader.from || span.first > reader.to || reader.full) continue;
      for (const record of this.capture.read(segment)) {
        if (record.track === id && record.boot === which) reader.take(record);
      }
    }
    return { boot: which, pieces: reader.pieces, gaps: reader.gaps, first, next, end: reader.end() };
  }

  private segmentsWith(track: number, boot: number): { segment: Segment; span: Span }[] {
    return this.capture.segments().flatMap((segment) => {
      const spans = this.spansOf(segment);
      const span = spans.find((one) => one.track === track && one.boot === boot);
      return span === undefined ? [] : [{ segment, span }];
    });
  }

  /** Offset of the first byte at or after a mono time of a boot (the last boot without one). */
  offsetAt(track: string, boot: number | null, monoMs: number): number {
    const id = this.ids.get(track);
    const which = boot ?? (id === undefined ? undefined : this.heads.get(id)?.boot);
    if (id === undefined || which === undefined) return 0;
    const mine = this.segmentsWith(id, which);
    const later = mine.findIndex(({ span }) => span.firstMonoMs > monoMs);
    const from = later < 0 ? mine.length - 1 : Math.max(0, later - 1);
    for (const { segment } of mine.slice(from)) {
      for (const record of this.capture.read(segment)) {
        if (record.track === id && record.boot === which && record.monoMs >= monoMs) return record.position;
      }
    }
    return mine.at(-1)?.span.next ?? 0;
  }

  /** JSON of ledger records with `from <= seq < to`, oldest first, at most `limit`. */
  readLedger(from: number, to: number, limit: number): string[] {
    const found: string[] = [];
    for (const segment of this.ledger.segments()) {
      for (const record of this.ledger.read(segment)) {
        if (record.kind === KIND.ledger && record.position >= from && record.position < to) {
          found.push(textOf(record.payload));
          if (found.length >= limit) return found;
        }
      }
    }
    return found;
  }

  stat(): Record<string, TrackStat> {
    const stats: Record<string, TrackStat> = {};
    for (const [name, id] of this.ids) {
      const spans = this.capture.segments().flatMap((one) => this.spansOf(one));
      const mine = spans.filter((one) => one.track === id);
      const boots = [...new Set(mine.map((one) => one.boot))].map((boot) => {
        const held = mine.filter((one) => one.boot === boot);
        return {
          boot,
          first: held[0]?.first ?? 0,
          next: held.at(-1)?.next ?? 0,
          firstMonoMs: held[0]?.firstMonoMs ?? 0,
        };
      });
      const sum = (of: (span: Span) => number) => mine.reduce((total, one) => total + of(one), 0);
      stats[name] = { boots, bytes: sum((one) => one.bytes), gaps: sum((one) => one.gaps) };
    }
    return stats;
  }

  ringStat(): Record<"ledger" | "capture", { segments: number; usedBytes: number }> {
    const of = (ring: Ring) => ({
      segments: ring.segments().length,
      usedBytes: ring.segments().reduce((total, one) => total + one.end, 0),
    });
    return { ledger: of(this.ledger), capture: of(this.capture) };
  }
}

function keyOf(segment: Segment): string {
  return `${segment.name}@${segment.generation}`;
}

function sizeOf(item: CaptureItem): number {
  return "data" in item.content ? item.content.data.length : 64;
}
