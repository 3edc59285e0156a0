import { missingIn, unionOf } from "../../src/core/ranges.ts";
import { createMemoryDisk, type MemoryDisk } from "../../src/disk/memory-disk.ts";
import { KIND, type StoredRecord } from "../../src/journal/record.ts";
import { claimsOf } from "../../src/journal/spans.ts";
import { type CaptureItem, JournalStore, RING_NAMES } from "../../src/journal/store.ts";
import type { Random } from "../sim/random.ts";
import {
  both,
  byteAt,
  copyOf,
  declaredIn,
  type Known,
  lastOf,
  lastSeq,
  nothing,
  recordText,
  type Tally,
  TRACKS,
  type Track,
  type Unowned,
} from "./crash-marks.ts";
import { FaultPlan, Killed } from "./fault-plan.ts";

/**
 * A journal on a disk that loses power, fails and kills its writer, and what is promised of it: what a sync confirmed is
 * there afterwards, and nothing is ever there that was not written.
 */

/** Small rings are overwritten all the time; in large ones also what an earlier boot synced must be there. */
const SMALL = { captureBytes: 32 * 1024, ledgerBytes: 32 * 1024, segmentBytes: 4 * 1024 };
const LARGE = { ...SMALL, captureBytes: 1024 * 1024, ledgerBytes: 1024 * 1024 };
/** Records that surely fill a segment. */
const ROLL_TRIES = 100;
const MAX = Number.MAX_SAFE_INTEGER;

/** One story of a disk: several lives, ended by kills and power cuts; each end is looked at in several ways. */
export class CrashStory {
  private readonly random: Random;
  private readonly tally: Tally;
  private readonly name: string;
  private readonly faults: FaultPlan;
  private readonly quota: typeof SMALL;
  private disk: MemoryDisk;
  private store: JournalStore;
  private boot: number;
  /** Records by sequence number: what was handed over last under it. */
  private readonly texts = new Map<number, Set<string>>();
  private given: Known = { seq: 0, offset: { "a/rx": 0, "b/rx": 0 } };
  private synced: Known = { seq: 0, offset: { "a/rx": 0, "b/rx": 0 } };
  private readonly earlier: { boot: number; synced: Known; unowned: Unowned }[] = [];
  /** What a killed life had written and no sync had confirmed: it may go, but not in silence. */
  private unowned = nothing();
  /** The same while nothing has failed since: the next sync that goes well owns it. */
  private doubtful = nothing();

  constructor(random: Random, tally: Tally, name: string) {
    this.random = random;
    this.tally = tally;
    this.name = name;
    this.faults = new FaultPlan(random, tally.faults);
    this.quota = random.chance(0.5) ? SMALL : LARGE;
    this.disk = createMemoryDisk();
    this.boot = 1;
    this.store = this.open(this.disk);
    this.faults.arm(this.disk);
  }

  run(lives: number): void {
    for (let life = 0; life < lives; life++) {
      this.tally.lives++;
      this.live();
      this.end();
    }
  }

  private open(disk: MemoryDisk): JournalStore {
    return new JournalStore(disk, this.quota, () => Buffer.from(this.random.hex(8), "hex"));
  }

  private live(): void {
    const steps = this.random.between(1, 25);
    try {
      for (let step = 0; step < steps; step++) this.step();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.tally.kills++;
    }
  }

  private step(): void {
    const what = this.random.next();
    if (what < 0.35)
      this.attempt(
        () => this.record(),
        () => undefined,
      );
    else if (what < 0.75)
      this.attempt(
        () => this.capture(),
        () => undefined,
      );
    else if (what < 0.87) this.syncBoth();
    else if (what < 0.97) this.syncBeside();
    else this.rollLedger();
    // A disk full of power cuts: at any step the power may go, and what is left is looked at on a copy.
    if (this.random.chance(0.5)) this.look(this.cutCopy());
  }

  private attempt(work: () => void, done: () => void): void {
    try {
      work();
      done();
    } catch (error) {
      if (error instanceof Killed) throw error;
      this.sufferTrouble();
    }
  }

  /** After this a sync that goes well says nothing about what lives before this one wrote. */
  private sufferTrouble(): void {
    this.unowned = both(this.unowned, this.doubtful);
    this.doubtful = nothing();
  }

  /** Records that nobody has synced until a segment begins behind them; then the power goes in several ways. */
  private rollLedger(): void {
    const newest = (): number => this.store.ledger.segments().at(-1)?.generation ?? 0;
    const before = newest();
    for (let tries = 0; newest() === before && tries < ROLL_TRIES; tries++)
      this.attempt(
        () => this.record(),
        () => undefined,
      );
    for (let cut = 0; cut < 3; cut++) this.look(this.cutCopy());
  }

  private record(): void {
    const seq = ++this.given.seq;
    const text = recordText(this.boot, seq);
    this.texts.set(seq, (this.texts.get(seq) ?? new Set()).add(text));
    const snapshot = JSON.stringify({ seq, boot: this.boot });
    this.store.appendLedger([{ seq, boot: this.boot, mono: seq, json: text }], snapshot);
  }

  private capture(): void {
    const items = Array.from({ length: this.random.between(1, 4) }, (): CaptureItem => {
      const track = this.random.pick(TRACKS);
      const offset = this.given.offset[track];
      const index = TRACKS.indexOf(track);
      const data = Uint8Array.from({ length: this.random.between(1, 600) }, (_, at) =>
        byteAt(this.boot, index, offset + at),
      );
      this.given.offset[track] += data.length;
      return { track, boot: this.boot, offset, monoMs: offset, content: { data } };
    });
    this.store.appendCapture(items);
  }

  private syncBoth(): void {
    const before = copyOf(this.given);
    this.attempt(
      () => this.store.sync("ledger"),
      () => {
        this.synced.seq = before.seq;
        this.doubtful.ledger = [];
      },
    );
    this.attempt(
      () => this.store.sync("capture"),
      () => this.confirm(before),
    );
  }

  /** As the worker does: while a sync is under way more is written. */
  private syncBeside(): void {
    let written = false;
    this.attempt(
      () => this.store.drain("capture"),
      () => {
        written = true;
      },
    );
    if (!written) return;
    const before = copyOf(this.given);
    const job = this.store.startSync("capture");
    if (job === null) return;
    let error: Error | null = null;
    const half = this.random.between(0, job.names.length + 1);
    for (const [index, name] of job.names.entries()) {
      if (index === half)
        this.attempt(
          () => this.capture(),
          () => undefined,
        );
      if (error === null) error = this.caught(() => this.disk.sync(name));
    }
    if (job.done(error)) this.confirm(before);
  }

  private confirm({ offset }: Known): void {
    Object.assign(this.synced.offset, offset);
    // What a killed life left is on the medium too, once a sync of the next one went well.
    this.doubtful = { ...nothing(), ledger: this.doubtful.ledger };
  }

  private caught(work: () => void): Error | null {
    try {
      work();
      return null;
    } catch (error) {
      if (error instanceof Killed || !(error instanceof Error)) throw error;
      this.sufferTrouble();
      return error;
    }
  }

  private cutCopy(): MemoryDisk {
    const copy = this.disk.copy();
    const share = this.random.pick([0, 0.1, 0.5, 0.9, 1]);
    copy.cutPower(() => this.random.chance(share));
    this.tally.cuts++;
    return copy;
  }

  /** The life ends: killed, what was written is there; without power, what was synced is. */
  private end(): void {
    const killed = this.random.chance(0.4);
    if (killed && this.random.chance(0.4)) this.failLastSync();
    if (!killed) {
      this.disk.onCall = null;
      this.disk = this.cutCopy();
    }
    this.disk.onCall = null;
    this.look(this.disk.copy());
    this.store = this.open(this.disk);
    this.goOn(killed);
    this.faults.arm(this.disk);
  }

  /** The last that it hears is that a sync failed: the kernel calls the pages clean, and only some are on the medium. */
  private failLastSync(): void {
    this.disk.onCall = ({ what }) =>
      what === "sync" ? { error: new Error("dropped"), keep: () => this.random.chance(0.5) } : null;
    for (const which of RING_NAMES)
      this.attempt(
        () => this.store.sync(which),
        () => undefined,
      );
  }

  private goOn(sameBoot: boolean): void {
    const seq = lastSeq(this.store);
    this.given.seq = seq;
    if (sameBoot) this.doubtful.ledger.push([this.synced.seq + 1, seq + 1]);
    this.synced.seq = Math.min(this.synced.seq, seq);
    if (sameBoot) {
      for (const track of TRACKS) {
        const head = this.store.recovered.tracks[track];
        const next = head?.boot === this.boot ? head.next : 0;
        this.doubtful[track].push([this.synced.offset[track], next]);
        this.unowned[track].push(...this.goneOf(track, next));
        this.given.offset[track] = next;
      }
      return;
    }
    this.earlier.push({ boot: this.boot, synced: copyOf(this.synced), unowned: both(this.unowned, this.doubtful) });
    this.boot++;
    this.given.offset = { "a/rx": 0, "b/rx": 0 };
    // The ledger goes on over boots; what a power cut left of it is on the medium.
    this.unowned = { ...nothing(), ledger: this.unowned.ledger };
    this.doubtful = nothing();
    this.synced = { seq: this.synced.seq, offset: { "a/rx": 0, "b/rx": 0 } };
  }

  /** What the killed life had in its memory only. */
  private goneOf(track: Track, next: number): [number, number][] {
    const range = this.store.readCapture(track, this.boot, 0, MAX, MAX);
    const held = (range?.pieces ?? []).map((one): [number, number] => [one.offset, one.offset + one.data.length]);
    return missingIn(unionOf(held), [range?.first ?? next, next]).map(([from, to]) => [from, to]);
  }

  /** What a new life finds, and what it must. */
  private look(disk: MemoryDisk): void {
    this.tally.states++;
    disk.onCall = null;
    const store = this.open(disk);
    const seq = lastSeq(store);
    this.tally.syncedRecords += this.synced.seq;
    if (seq < this.synced.seq) this.lost(`ledger at ${seq}, synced ${this.synced.seq}`);
    if (seq > this.given.seq) this.wrong(`ledger at ${seq}, given ${this.given.seq}`);
    this.lookAtLedger(store, seq);
    this.lookAtCapture(store, this.boot, this.synced, both(this.unowned, this.doubtful));
    const before = this.earlier.at(-1);
    if (before !== undefined && this.quota === LARGE && !this.faults.squeezed)
      this.lookAtCapture(store, before.boot, before.synced, before.unowned);
  }

  private lookAtLedger(store: JournalStore, seq: number): void {
    // The oldest segment may have been half overwritten when the power went: that is the quota, not a loss. While the
    // card refuses the two after it are tried too.
    const victims = this.tight
      ? store.ledger.segments().filter(({ name }, at) => at === 0 || (at < 3 && this.faults.begun.has(name)))
      : [];
    const overwritten = Math.max(0, ...victims.map((one) => lastOf(store, one) + 1));
    let last: number | null = null;
    for (const json of store.readLedger(0, MAX, MAX)) {
      const record = JSON.parse(json) as { seq: number };
      if (last === null && !this.tight && record.seq > 1) this.lost(`the ledger begins at ${record.seq}`);
      if (this.texts.get(record.seq)?.has(json) !== true) this.wrong(`ledger record ${json}`);
      const begin = (last ?? record.seq) + 1;
      if (begin > overwritten && missingIn(unionOf(this.unowned.ledger), [begin, record.seq]).length > 0)
        this.lost(`ledger ${record.seq} follows ${last}`);
      last = record.seq;
    }
    if (last !== null && last < Math.min(seq, this.synced.seq)) this.lost(`ledger ends at ${last} of ${seq}`);
    const tail = store.readLastLedger(3).map((json) => (JSON.parse(json) as { seq: number }).seq);
    if (last !== null && tail.at(-1) !== last) this.wrong(`the last records are ${tail.join()}, not up to ${last}`);
  }

  private lookAtCapture(store: JournalStore, boot: number, synced: Known, unowned: Unowned): void {
    for (const [index, track] of TRACKS.entries()) {
      const range = store.readCapture(track, boot, 0, MAX, MAX);
      const next = range?.next ?? 0;
      const first = range?.first ?? 0;
      const sum = synced.offset[track];
      this.tally.syncedBytes += Math.max(0, sum - first);
      // Several lives may have left it, each a stretch.
      const mayGo = unionOf(unowned[track]);
      const excused = mayGo.some(([from, to]) => next >= from && to >= sum);
      if (next < sum && !excused) this.lost(`${track} at ${next}, synced ${sum} (boot ${boot})`);
      let covered = first;
      for (const { offset, data } of range?.pieces ?? []) {
        if (offset < covered) this.wrong(`${track}: ${offset} comes twice`);
        for (const [at, byte] of data.entries())
          if (byte !== byteAt(boot, index, offset + at)) return this.wrong(`${track}: byte at ${offset + at}`);
        const missing = declaredIn(range?.gaps ?? [], covered, offset);
        if (missing !== offset - covered) this.undeclared(`${track}: ${covered} to ${offset}, declared ${missing}`);
        const promised = mayGo.reduce((most, [from, to]) => (covered >= from ? Math.max(most, to) : most), covered);
        const kept = offset > promised && promised < sum && !this.wasGivenUp(store, boot, track, covered);
        if (kept) this.lost(`${track}: ${promised} to ${offset} was synced (boot ${boot})`);
        covered = offset + data.length;
      }
    }
  }

  /** A segment that was being overwritten when the power went: what it held was given up, all of it or a part. */
  private wasGivenUp(store: JournalStore, boot: number, track: Track, at: number): boolean {
    const { ring } = store.capture;
    const id = ring
      .segments()
      .flatMap((one) => claimsOf(one.head.payload).filter(({ name }) => name === track))[0]?.track;
    return ring.segments().some((segment, index) => {
      const after = ring.segments()[index + 1]?.generation ?? 0;
      // On a full disk, and when the oldest cannot be written, the one after it goes.
      const skipped = this.faults.squeezed && after > segment.generation + 1;
      if (!this.faults.begun.has(segment.name) && !skipped) return false;
      const isMine = (one: StoredRecord): boolean => one.kind !== KIND.head && one.track === id && one.boot === boot;
      const mine = [...ring.read(segment)].filter(isMine);
      const claim = claimsOf(segment.head.payload).find(({ name }) => name === track)?.head;
      const begin = claim?.boot === boot ? claim.next : 0;
      return (
        at >= begin &&
        at === mine.reduce((end, { position, payload }) => Math.max(end, position + payload.length), begin)
      );
    });
  }

  private get tight(): boolean {
    return this.quota === SMALL || this.faults.squeezed;
  }

  private lost(text: string): void {
    this.tally.lostSynced++;
    this.tell(`lost: ${text}`);
  }

  private wrong(text: string): void {
    this.tally.corrupt++;
    this.tell(`corrupt: ${text}`);
  }

  private undeclared(text: string): void {
    this.tally.undeclared++;
    this.tell(`undeclared: ${text}`);
  }

  private tell(text: string): void {
    if (this.tally.problems.length < 20) this.tally.problems.push(`${this.name}: ${text}`);
  }
}
