import { recordProof } from "../protocol/records.ts";
import type { EventsStore, LedgerLine } from "./events-store.ts";

/**
 * The ledger as it comes. Records are not signed, what the site answers is: each waits here, within a bound, until an
 * answer has told that it is the site's. Then it goes to the store, in order of `seq`.
 */

/** What somebody says is the record of a number: whoever may publish can say something else beside it. */
interface Candidate {
  readonly record: LedgerLine;
  readonly proof: string;
  readonly size: number;
}

/** Records that the site has and that are not stored. */
export interface EventsHole {
  readonly from: number;
  readonly to: number;
  readonly since: number;
  /** They are here and wait for the site's word; one behind them is here; or only their number is known. */
  readonly kind: "unproved" | "torn" | "tail";
}

const HELD_LIMIT = 2_000;
const HELD_BYTES = 1024 * 1024;
const CANDIDATES = 4;
/** Asked about at once. */
const RUN_LIMIT = 500;

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
  private runSince: number | null = null;
  private readonly held = new Map<number, Candidate[]>();
  private heldCount = 0;
  private heldBytes = 0;
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

  get waitingBytes(): number {
    return this.store.pendingBytes + this.heldBytes;
  }

  /** One that came, from whomever. */
  hear(record: LedgerLine, heard: number): void {
    const { seq } = record;
    if (seq < this.next) return;
    this.known = Math.max(this.known, seq + 1);
    const proof = recordProof(record);
    const size = JSON.stringify(record).length;
    const others = this.held.get(seq) ?? [];
    if (!others.some((one) => one.proof === proof) && this.makeRoom(seq, size)) {
      this.drop(seq);
      this.keep(seq, [...others.slice(1 - CANDIDATES), { record, proof, size }]);
    }
    this.noteHole(heard);
  }

  /** The site says how far its ledger goes. */
  tellHead(next: number, heard: number): void {
    this.known = Math.max(this.known, next);
    this.noteHole(heard);
  }

  /** All that the site has from `next` on up to the last of these, as it signed it. */
  take(records: readonly LedgerLine[], heard: number): void {
    for (const record of records) if (record.seq >= this.next) this.add(record, heard);
    this.noteHole(heard);
  }

  /** The same by what it signed for each. Returns how many were here that it did not sign. */
  prove(proofs: readonly (readonly [number, string])[], heard: number): number {
    let strangers = 0;
    for (const [seq, proof] of proofs) {
      if (seq < this.next) continue;
      const found = this.held.get(seq)?.find((one) => one.proof === proof);
      strangers += this.drop(seq) - (found === undefined ? 0 : 1);
      // It has to be asked for: the rest waits.
      if (found === undefined) break;
      this.add(found.record, heard);
    }
    this.noteHole(heard);
    return strangers;
  }

  /** The site signed that it has nothing before this one any more. */
  skip(before: number, heard: number): void {
    if (before <= this.next) return;
    this.giveUp(before, heard);
    this.forget((seq) => seq < before);
    this.noteHole(heard);
  }

  /** The site signed that its ledger goes no further: records behind that are not its own, or are told again. */
  trimHead(next: number, heard: number): boolean {
    this.forget((seq) => seq >= next);
    const before = this.known;
    this.known = Math.min(before, Math.max(next, this.next));
    this.noteHole(heard);
    return this.known < before;
  }

  /** The site signed that its ledger ends before what is here: it is another one, and is stored from its beginning. */
  restart(first: number, next: number, heard: number): void {
    this.store.restart(first);
    this.forget(() => true);
    Object.assign(this, { skipTo: 0, known: next, progressAt: heard, holeSince: null });
    this.noteHole(heard);
  }

  hole(): EventsHole | null {
    const { next: from } = this;
    const since = this.holeSince ?? this.progressAt;
    let to = from;
    while (this.held.has(to) && to - from < RUN_LIMIT) to++;
    if (to > from) return { from, to, since: this.runSince ?? since, kind: "unproved" };
    if (this.held.size > 0) return { from, to: Math.min(...this.held.keys()), since, kind: "torn" };
    return this.known > from ? { from, to: this.known, since, kind: "tail" } : null;
  }

  private add(record: LedgerLine, heard: number): void {
    // What the site signed goes on with this one: what is missing before it is missing there.
    if (record.seq > this.next) this.giveUp(record.seq, heard);
    this.forget((seq) => seq <= record.seq);
    this.store.add(record);
    this.progressAt = heard;
    this.holeSince = null;
    this.runSince = null;
    this.onRecord(record, heard);
  }

  private giveUp(before: number, heard: number): void {
    this.lost += before - this.next;
    this.lostAt = heard;
    this.skipTo = before;
  }

  private keep(seq: number, candidates: Candidate[]): void {
    this.held.set(seq, candidates);
    this.heldCount += candidates.length;
    this.heldBytes += candidates.reduce((sum, { size }) => sum + size, 0);
  }

  /** Returns how many there were. */
  private drop(seq: number): number {
    const candidates = this.held.get(seq) ?? [];
    this.held.delete(seq);
    this.heldCount -= candidates.length;
    this.heldBytes -= candidates.reduce((sum, { size }) => sum + size, 0);
    return candidates.length;
  }

  private forget(which: (seq: number) => boolean): void {
    for (const seq of this.held.keys()) if (which(seq)) this.drop(seq);
  }

  /** What comes sooner matters more: the furthest ones go for it. False: this one is the furthest. */
  private makeRoom(seq: number, size: number): boolean {
    while (this.heldCount >= HELD_LIMIT || (this.heldBytes > 0 && this.heldBytes + size > HELD_BYTES)) {
      const furthest = Math.max(...this.held.keys());
      if (furthest <= seq) return false;
      this.drop(furthest);
    }
    return true;
  }

  private noteHole(heard: number): void {
    this.holeSince = this.known > this.next ? (this.holeSince ?? heard) : null;
    this.runSince = this.held.has(this.next) ? (this.runSince ?? heard) : null;
  }
}
