import { KIND, type StoredRecord } from "./record.ts";

/** A range of one track as it comes out of the ring, and the gaps that were declared in it. */

/** Declared loss; `length` in bytes, or null where nobody can know. */
export interface Gap {
  /**
   * `corrupt` and `crash` are declared by the reader, from offsets that are missing: in a segment that does not check
   * out, or that a power cut found half written.
   */
  readonly cause: "start" | "reboot" | "replug" | "quota" | "overrun" | "corrupt" | "crash";
  readonly length: number | null;
}

export interface Piece {
  readonly offset: number;
  readonly monoMs: number;
  readonly data: Uint8Array;
}

export interface Range {
  readonly boot: number;
  readonly pieces: readonly Piece[];
  readonly gaps: readonly (Gap & { readonly offset: number; readonly monoMs: number })[];
  /** First offset that the ring still holds and first one that it does not hold yet. */
  readonly first: number;
  readonly next: number;
  /** Where the read ended; less than asked when the limit was reached. */
  readonly end: number;
}

/** Collects what belongs to a range from records in order. What was written twice counts once. */
export class RangeReader {
  readonly pieces: Piece[] = [];
  readonly gaps: (Gap & { offset: number; monoMs: number })[] = [];
  readonly from: number;
  readonly to: number;
  private left: number;
  private reached: number;
  /** Where the next record must begin; what lies between is lost. */
  private expected: number;
  private atMs = 0;

  /** `expected`: where the first record that is shown to it must begin. */
  constructor(from: number, to: number, limit: number, expected = 0) {
    this.from = from;
    this.to = to;
    this.left = limit;
    this.reached = from;
    this.expected = expected;
  }

  get full(): boolean {
    return this.left <= 0;
  }

  end(): number {
    return this.full ? this.reached : Math.max(this.reached, this.to);
  }

  /** `cause` of what is missing before it. */
  take(record: StoredRecord, cause: Gap["cause"] = "corrupt"): void {
    if (this.full) return;
    const { position: offset, monoMs } = record;
    this.atMs = monoMs;
    this.upTo(offset, cause);
    if (record.position > this.to) return;
    if (record.kind === KIND.gap) return this.takeGap(record);
    if (record.kind !== KIND.data) return;
    const end = offset + record.payload.length;
    this.expected = Math.max(this.expected, end);
    if (end <= this.reached || offset >= this.to) return;
    const start = Math.max(this.reached, offset);
    const stop = Math.min(this.to, end, start + this.left);
    // A copy: the payload is a view into a part of a segment.
    const data = Uint8Array.from(record.payload.subarray(start - offset, stop - offset));
    this.pieces.push({ offset: start, monoMs, data });
    this.left -= data.length;
    this.reached = stop;
  }

  /** It is known that the track had come so far. */
  upTo(offset: number, cause: Gap["cause"]): void {
    const missing = { cause, length: offset - this.expected, offset: this.expected, monoMs: this.atMs };
    if (missing.length <= 0 || this.full) return;
    if (missing.offset >= this.from && missing.offset <= this.to) this.gaps.push(missing);
    this.expected = offset;
  }

  /** What comes before is there, and not asked for. */
  skipTo(offset: number): void {
    this.expected = Math.max(this.expected, offset);
  }

  private takeGap(record: StoredRecord): void {
    const { position: offset, monoMs } = record;
    const gap = { ...gapOf(record), offset, monoMs };
    this.expected = Math.max(this.expected, offset + (gap.length ?? 0));
    const known = this.gaps.some((one) => one.offset === offset && one.monoMs === monoMs && one.cause === gap.cause);
    if (offset >= this.from && !known) this.gaps.push(gap);
  }
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

export function gapOf(record: StoredRecord): Gap {
  return JSON.parse(textOf(record.payload)) as Gap;
}
