import { parseJson } from "../protocol/envelope.ts";
import type { Folder } from "./folder.ts";

/** A site's ledger records, one a line as the site made them, in order of `seq`. The file is its own commit log. */

export type LedgerLine = Readonly<Record<string, unknown>> & { readonly seq: number };

const TAIL = 256 * 1024;

export class EventsStore {
  readonly path: string;
  private readonly folder: Folder;
  private size = 0;
  private pending: string[] = [];
  private pendingSize = 0;
  private nextSeq = 1;
  private committedSeq = 1;
  private spoilt = false;
  private restarts = 0;
  /** The newest records that were there at the start. */
  readonly tail: readonly LedgerLine[];

  constructor(folder: Folder, path: string) {
    this.folder = folder;
    this.path = path;
    const { size, records } = recover(folder, path);
    if (folder.size(path) > size) folder.truncate(path, size);
    this.size = size;
    this.tail = records;
    this.nextSeq = (records.at(-1)?.seq ?? 0) + 1;
    this.committedSeq = this.nextSeq;
  }

  get waiting(): boolean {
    return this.pending.length > 0;
  }

  get pendingBytes(): number {
    return this.pendingSize;
  }

  get bytes(): number {
    return this.size;
  }

  /** Every record before this one is here, waits to be written, or is gone for ever. */
  get next(): number {
    return this.nextSeq;
  }

  get committed(): number {
    return this.committedSeq;
  }

  /** Takes a record at or after `next`; numbers between are given up. */
  add(record: LedgerLine): void {
    if (record.seq < this.nextSeq) throw new Error(`${this.path}: record ${record.seq} is added at ${this.nextSeq}`);
    const line = JSON.stringify(record);
    this.pending.push(line);
    this.pendingSize += line.length + 1;
    this.nextSeq = record.seq + 1;
  }

  /** The site counts anew: what it says from here on stands behind what is here, with numbers that begin again. */
  restart(seq: number): void {
    this.restarts++;
    this.nextSeq = seq;
    this.committedSeq = seq;
  }

  /** Puts what waits on the disk. Throws when the disk would not; nothing is lost by that. */
  async commit(): Promise<void> {
    const lines = this.pending.length;
    if (lines === 0) return;
    const { nextSeq: next, restarts } = this;
    const bytes = Buffer.from(`${this.pending.join("\n")}\n`);
    if (this.spoilt && this.folder.size(this.path) > this.size) this.folder.truncate(this.path, this.size);
    this.spoilt = true;
    this.folder.write(this.path, this.size, bytes);
    await this.folder.sync(this.path);
    this.spoilt = false;
    this.size += bytes.length;
    this.pending = this.pending.slice(lines);
    this.pendingSize = this.pending.reduce((sum, line) => sum + line.length + 1, 0);
    if (restarts === this.restarts) this.committedSeq = next;
  }
}

/** From the end backwards, until a whole record is found: the file may be of years. */
function recover(folder: Folder, path: string): { size: number; records: readonly LedgerLine[] } {
  const whole = folder.size(path);
  if (whole === 0) return { size: 0, records: [] };
  for (let length = Math.min(TAIL, whole); ; length = Math.min(whole, length * 4)) {
    const text = Buffer.from(folder.read(path, whole - length, length));
    const found = recordsIn(text, length === whole);
    if (found.records.length > 0 || length === whole)
      return { size: whole - length + found.end, records: found.records };
  }
}

/** Whole records of a piece of the file, and where the last of them ends. */
function recordsIn(bytes: Buffer, fromStart: boolean): { records: LedgerLine[]; end: number } {
  const records: LedgerLine[] = [];
  let end = 0;
  // Unless the piece is the whole file, it begins in the middle of a line.
  let from = fromStart ? 0 : bytes.indexOf(10) + 1;
  for (let found = bytes.indexOf(10, from); found >= 0; found = bytes.indexOf(10, from)) {
    const record = asLedgerLine(parseJson(bytes.subarray(from, found)));
    if (record !== null) {
      records.push(record);
      end = found + 1;
    }
    from = found + 1;
  }
  return { records, end };
}

/** Null for anything that is no record with a place in the order. */
export function asLedgerLine(value: unknown): LedgerLine | null {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !("seq" in value)) return null;
  return Number.isSafeInteger(value.seq) && Number(value.seq) >= 0 ? (value as LedgerLine) : null;
}
