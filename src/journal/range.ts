import { KIND, type StoredRecord } from "./record.ts";

/** A range of one track as it comes out of the ring, and the gaps that were declared in it. */

/** Declared loss; `length` in bytes, or null where nobody can know. */
export interface Gap {
  readonly cause: "start" | "crash" | "reboot" | "replug" | "quota" | "overrun";
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

/** Collects what belongs to a range from records in order. */
export class RangeReader {
  readonly pieces: Piece[] = [];
  readonly gaps: (Gap & { offset: number; monoMs: number })[] = [];
  readonly from: number;
  readonly to: number;
  private left: number;
  private reached: number;

  constructor(from: number, to: number, limit: number) {
    this.from = from;
    this.to = to;
    this.left = limit;
    this.reached = from;
  }

  get full(): boolean {
    return this.left <= 0;
  }

  end(): number {
    return this.full ? this.reached : Math.max(this.reached, this.to);
  }

  take(record: StoredRecord): void {
    if (this.full || record.position > this.to) return;
    const { position: offset, monoMs } = record;
    if (record.kind === KIND.gap) {
      if (offset >= this.from) this.gaps.push({ ...gapOf(record), offset, monoMs });
      return;
    }
    if (record.kind !== KIND.data || offset + record.payload.length <= this.from || offset >= this.to) return;
    const start = Math.max(this.from, offset);
    const stop = Math.min(this.to, offset + record.payload.length, start + this.left);
    // A copy: the payload is a view into a whole segment.
    const data = Uint8Array.from(record.payload.subarray(start - offset, stop - offset));
    this.pieces.push({ offset: start, monoMs, data });
    this.left -= data.length;
    this.reached = stop;
  }
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

export function gapOf(record: StoredRecord): Gap {
  return JSON.parse(textOf(record.payload)) as Gap;
}
