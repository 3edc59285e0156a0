import type { EventsStore, LedgerLine } from "./events-store.ts";

/** The ledger as it comes: in order of `seq` to the store, early records wait within a bound. */

const EARLY_LIMIT = 2_000;
const EARLY_BYTES = 1024 * 1024;

export class EventsIntake {
  readonly store: EventsStore;
  /** Records that the site no longer had when they were asked for. */
  lost: number;
  lostAt: number | null = null;
  /** Ask the site how far its ledger goes, at the next occasion at or after this. Null: no need. */
  probeAt: number | null = null;
  private known = 0;
  private skipTo = 0;
  private progressAt: number;
  private holeSince: number | null = null;
  private readonly early = new Map<number, { record: LedgerLine; size: number }>();
  private earlyBytes = 0;
  private readonly onRecord: (record: LedgerLine, heard: number) => void;

  /** @param onRecord hears each record once, in order. */
  constructor(store: EventsStore, lost: number, nowMs: number, onRecord: (record: LedgerLine, heard: number) => void) {
    this.store = store;
    this.lost = lost;
    this.progressAt = nowMs;
    this.onRecord = onRecord;
  }

  get next(): number {
    return Math.max(this.store.next, this.skipTo);
  }

  take(record: LedgerLine, heard: number): void {
    if (record.seq < this.next || this.early.has(record.seq)) return;
    const size = record.seq === this.next ? 0 : JSON.stringify(record).length;
    this.known = Math.max(this.known, record.seq + 1);
    if (record.seq > this.next && (this.early.size >= EARLY_LIMIT || this.earlyBytes + size > EARLY_BYTES))
      return this.noteHole(heard);
    this.early.set(record.seq, { record, size });
    this.earlyBytes += size;
    this.drain(heard);
  }

  /** The site says how far its ledger goes. */
  tellHead(next: number, heard: number): void {
    this.known = Math.max(this.known, next);
    this.noteHole(heard);
  }

  /** The site signed that it has nothing before this one any more. */
  skip(before: number, heard: number): void {
    const to = Math.min(before, ...this.early.keys());
    if (to <= this.next) return;
    this.lost += to - this.next;
    this.lostAt = heard;
    this.skipTo = to;
    this.drain(heard);
  }

  /** The site signed that its ledger goes no further: records behind that are not its own, or are told again. */
  trimHead(next: number, heard: number): boolean {
    for (const [seq, { size }] of this.early) {
      if (seq < next) continue;
      this.early.delete(seq);
      this.earlyBytes -= size;
    }
    const before = this.known;
    this.known = Math.min(before, Math.max(next, this.next));
    this.noteHole(heard);
    return this.known < before;
  }

  /** The site signed that its ledger ends before what is here: it is another one, and is stored from its beginning. */
  restart(first: number, next: number, heard: number): void {
    this.store.restart(first);
    this.early.clear();
    Object.assign(this, { earlyBytes: 0, skipTo: 0, known: next, progressAt: heard, holeSince: null });
    this.noteHole(heard);
  }

  hole(): { from: number; to: number; since: number; torn: boolean } | null {
    const to = this.early.size > 0 ? Math.min(...this.early.keys()) : this.known;
    if (to <= this.next) return null;
    return { from: this.next, to, since: this.holeSince ?? this.progressAt, torn: this.early.size > 0 };
  }

  private drain(heard: number): void {
    for (let found = this.early.get(this.next); found !== undefined; found = this.early.get(this.next)) {
      this.early.delete(found.record.seq);
      this.earlyBytes -= found.size;
      this.store.add(found.record);
      this.progressAt = heard;
      this.holeSince = null;
      this.onRecord(found.record, heard);
    }
    this.noteHole(heard);
  }

  private noteHole(heard: number): void {
    this.holeSince = this.hole() === null ? null : (this.holeSince ?? heard);
  }
}
