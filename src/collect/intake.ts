import { type Chunk, chunkHead, decodeChunk } from "../protocol/chunk.ts";
import { forgetOldest } from "./held.ts";
import { type StoredGap, storedMarks } from "./index-line.ts";
import type { TrackStore } from "./track-store.ts";

/**
 * One track as it comes over the wire: repeats, pieces before their time, notices of gaps. What follows on what is
 * stored goes to the store; the rest waits within a bound, or is dropped and asked for again.
 */

export interface DeclaredGap extends StoredGap {
  readonly offset: number;
  readonly monoMs: number;
}

/** Bytes that the site has and that are not here, by what it or its chunks have said so far. */
export interface Hole {
  readonly boot: number;
  readonly from: number;
  readonly to: number;
  /** Since when it is known; the collector's clock. */
  readonly since: number;
  /** A piece behind it is here already: it was lost, not only not sent yet. */
  readonly torn: boolean;
}

export interface IntakeOptions {
  readonly store: TrackStore;
  /** The site's wall time of a mono, where it is known. */
  readonly wallOf: (boot: number, monoMs: number) => number | null;
  /** Whether this many more bytes may wait in memory. */
  readonly room: (bytes: number) => boolean;
  /** Every piece that could be read, also one that is here already. */
  readonly onPiece: (chunk: Chunk) => void;
}

interface BootIntake {
  /** The highest offset that anybody said this boot has. */
  known: number;
  readonly early: Map<number, Uint8Array>;
  gaps: readonly DeclaredGap[];
  progressAt: number;
  holeSince: number | null;
  /** A piece came that cannot be read without bytes that are not at hand. */
  stuck: boolean;
}

const EARLY_BYTES = 256 * 1024;
const EARLY_LIMIT = 512;
const GAPS_LIMIT = 1_024;
const BOOTS_LIMIT = 64;
/** What is asked for when nobody said how far it goes. */
const STUCK_BYTES = 16 * 1024;

export class TrackIntake {
  readonly store: TrackStore;
  private readonly options: IntakeOptions;
  private readonly boots = new Map<number, BootIntake>();

  constructor(options: IntakeOptions) {
    this.options = options;
    this.store = options.store;
  }

  /** A chunk of a boot that the site is known to have. False: it is none, or there is no room for it. */
  chunk(payload: Uint8Array, heard: number): boolean {
    const head = chunkHead(payload);
    if (head === null) return false;
    const boot = this.bootOf(head.boot, heard);
    if (head.offset > this.store.nextOf(head.boot)) return this.keepEarly(boot, head.boot, head.offset, payload, heard);
    const taken = this.take(boot, payload, heard);
    this.drain(head.boot, boot, heard);
    return taken;
  }

  /** The site says how far a boot goes. */
  tellHead(boot: number, next: number, heard: number): void {
    const intake = this.bootOf(boot, heard);
    intake.known = Math.max(intake.known, next);
    this.noteHole(boot, intake, heard);
  }

  /** The site signed that this boot ends before what is here: its numbers began again, and so does what is stored. */
  restart(boot: number, next: number, heard: number): void {
    this.boots.delete(boot);
    this.store.restart(boot);
    this.declare(boot, [{ cause: "renumbered", length: null, offset: 0, monoMs: 0 }], heard);
    this.tellHead(boot, next, heard);
  }

  /** Nothing lies behind this, whatever a stray piece seemed to say before. Returns true where one did. */
  trimHead(boot: number, next: number, heard: number): boolean {
    const intake = this.bootOf(boot, heard);
    for (const offset of intake.early.keys()) if (offset > next) intake.early.delete(offset);
    const before = intake.known;
    intake.known = Math.min(before, Math.max(next, this.store.nextOf(boot)));
    this.noteHole(boot, intake, heard);
    return intake.known < before;
  }

  declare(boot: number, gaps: readonly DeclaredGap[], heard: number): void {
    const intake = this.bootOf(boot, heard);
    intake.gaps = [...intake.gaps, ...gaps].sort((a, b) => a.offset - b.offset).slice(0, GAPS_LIMIT);
    this.drain(boot, intake, heard);
  }

  /** What comes next of a boot is gone for ever, up to here or the first piece that is at hand. */
  giveUp(boot: number, to: number, cause: string, heard: number): void {
    const intake = this.bootOf(boot, heard);
    const next = this.store.nextOf(boot);
    const end = Math.min(to, ...intake.early.keys());
    if (end > next) this.addGap(boot, { cause, length: end - next, offset: next, monoMs: 0 }, heard);
    this.drain(boot, intake, heard);
  }

  holes(): Hole[] {
    return [...this.boots].flatMap(([boot, intake]): Hole[] => {
      const from = this.store.nextOf(boot);
      const to = Math.max(intake.known, intake.stuck ? from + STUCK_BYTES : 0);
      const torn = intake.stuck || intake.early.size > 0;
      return to > from ? [{ boot, from, to, since: intake.holeSince ?? intake.progressAt, torn }] : [];
    });
  }

  /** When something of this boot was last stored, or since when it is looked at. */
  progressAt(boot: number): number {
    return this.boots.get(boot)?.progressAt ?? 0;
  }

  /** Bytes that wait for their turn in memory. */
  get waitingBytes(): number {
    let sum = this.store.pendingBytes;
    for (const { early } of this.boots.values()) for (const payload of early.values()) sum += payload.length;
    return sum;
  }

  private bootOf(boot: number, heard: number): BootIntake {
    const found = this.boots.get(boot);
    if (found !== undefined) return found;
    const made: BootIntake = {
      known: 0,
      early: new Map(),
      gaps: [],
      progressAt: heard,
      holeSince: null,
      stuck: false,
    };
    this.boots.set(boot, made);
    forgetOldest(this.boots, BOOTS_LIMIT);
    return made;
  }

  private keepEarly(boot: BootIntake, id: number, offset: number, payload: Uint8Array, heard: number): boolean {
    boot.known = Math.max(boot.known, offset);
    this.noteHole(id, boot, heard);
    let size = payload.length;
    for (const one of boot.early.values()) size += one.length;
    if (size > EARLY_BYTES || boot.early.size >= EARLY_LIMIT || !this.options.room(payload.length)) return false;
    boot.early.set(offset, payload);
    // One that came with a range is a piece of it, also while it waits.
    const chunk = decodeChunk(payload);
    if (chunk !== null) this.options.onPiece(chunk);
    return true;
  }

  /** Stores what of a chunk is new. */
  private take(intake: BootIntake, payload: Uint8Array, heard: number): boolean {
    const head = chunkHead(payload);
    if (head === null || !this.options.room(payload.length)) return false;
    const { boot, offset, dictionaryLength } = head;
    const dictionary = this.store.bytesBefore(boot, offset, dictionaryLength);
    const chunk = dictionary && decodeChunk(payload, dictionary);
    if (chunk === null) {
      intake.stuck = dictionary === null;
      this.noteHole(boot, intake, heard);
      return false;
    }
    this.options.onPiece(chunk);
    const next = this.store.nextOf(boot);
    const skip = next - offset;
    if (skip >= chunk.data.length) return true;
    const marks = storedMarks(chunk.marks, chunk.monoMs);
    const passed = marks.filter(([at]) => at <= skip).at(-1)?.[1] ?? 0;
    const mono = chunk.monoMs + passed;
    this.store.add({
      boot,
      offset: next,
      mono,
      wall: this.options.wallOf(boot, mono),
      heard,
      marks: marks.filter(([at]) => at > skip).map(([at, ms]): [number, number] => [at - skip, ms - passed]),
      data: chunk.data.subarray(skip),
    });
    Object.assign(intake, { progressAt: heard, stuck: false, holeSince: null });
    return true;
  }

  /** Stores what has become possible: gaps that are reached, and pieces that came early. */
  private drain(boot: number, intake: BootIntake, heard: number): void {
    for (;;) {
      const next = this.store.nextOf(boot);
      const [gap] = intake.gaps;
      if (gap !== undefined && gap.offset <= next) {
        intake.gaps = intake.gaps.slice(1);
        this.addGap(boot, gap, heard);
        continue;
      }
      const early = [...intake.early.keys()].find((offset) => offset <= next);
      if (early === undefined) break;
      const payload = intake.early.get(early);
      intake.early.delete(early);
      if (payload !== undefined) this.take(intake, payload, heard);
    }
    this.noteHole(boot, intake, heard);
  }

  private addGap(boot: number, gap: DeclaredGap, heard: number): void {
    const { cause, length, monoMs } = gap;
    const next = this.store.nextOf(boot);
    const rest = length === null ? null : gap.offset + length - next;
    if (rest !== null ? rest <= 0 : this.store.knowsGap(boot, gap.offset, cause)) return;
    const stored: StoredGap = { cause, length: rest, ...((gap.count ?? 1) > 1 && { count: gap.count }) };
    const offset = rest === null ? gap.offset : next;
    // Where nobody could say when it was, 0 stands for it.
    const wall = monoMs === 0 ? null : this.options.wallOf(boot, monoMs);
    this.store.add({ boot, offset, mono: monoMs, wall, heard, gap: stored });
    const intake = this.boots.get(boot);
    if (intake !== undefined && rest !== null)
      Object.assign(intake, { progressAt: heard, stuck: false, holeSince: null });
  }

  private noteHole(boot: number, intake: BootIntake, heard: number): void {
    const open = intake.stuck || intake.known > this.store.nextOf(boot);
    intake.holeSince = open ? (intake.holeSince ?? heard) : null;
  }
}
