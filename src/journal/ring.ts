import type { Disk } from "../disk/disk.ts";
import { encodeRecord, KIND, PAYLOAD_LIMIT, RECORD_HEADER, type StoredRecord, sizeOnDisk } from "./record.ts";
import {
  findSegment,
  findSegments,
  groupsOf,
  headRecord,
  readSegment,
  type Segment,
  type SegmentHead,
} from "./segment.ts";
import { SegmentFiles } from "./segment-files.ts";

/**
 * A ring of preallocated segments, overwritten in place. Each segment begins with a head record whose generation is
 * one higher than that of the segment before; the rest of it is the longest prefix of records that check out.
 *
 * What was written stays in memory until a sync said that the medium has it. After a failed write or sync the kernel
 * may have dropped it, and says ok the next time: then all of it is written again, to another segment.
 */

/** Records that are never parted by the begin of a segment. */
export interface Batch<T> {
  readonly records: readonly StoredRecord[];
  /** What the owner needs to make the head of a segment that begins with this batch. */
  readonly tag: T;
}

export interface RingOptions<T> {
  readonly segmentBytes: number;
  readonly segments: number;
  /** The head of a segment that begins with these batches. */
  readonly head: (following: readonly Batch<T>[]) => Pick<SegmentHead, "payload" | "floor">;
  /**
   * 8 bytes of chance, after each open and at the begin of each segment. Without them a record that is written again
   * byte for byte would make valid what an earlier life left behind it.
   */
  readonly salt: () => Uint8Array;
  /** Whether a segment begins only when all before it is on the medium. */
  readonly syncAtRoll: boolean;
  /** A batch is in a segment now. */
  readonly placed?: (segment: Segment, batch: Batch<T>) => void;
}

export interface SyncJob {
  /** To be synced, in this order. */
  readonly names: readonly string[];
  /** Tells it how the sync ended; it answers whether all that was written when it began is on the medium. */
  done(error: Error | null): boolean;
}

const SALT_BYTES = RECORD_HEADER + 8;
/** What memory holds beside the payload of a record. */
const RECORD_COST = 128;
const PIECE = 256 * 1024;
export class Ring<T> {
  /** Files that could not be read, each with the reason. */
  readonly unreadable: string[];
  private readonly disk: Disk;
  private readonly files: SegmentFiles;
  private readonly options: RingOptions<T>;
  private list: Segment[];
  private generation: number;
  private todo: Batch<T>[] = [];
  private written: Batch<T>[] = [];
  /** Batches that have left `written` since the start. */
  private settled = 0;
  private held = 0;
  private readonly dirty = new Set<Segment>();
  private failures = 0;
  /** Rises when all that is unsynced is to be written again: a sync that was under way then says nothing. */
  private rewinds = 0;
  private crc = 0;
  private salted = false;
  private distrusted: Segment[] = [];
  /** The newest segment takes more. */
  private open = false;
  /** Where the oldest stands that is to be written again, until all of it is on the medium. */
  private rewrites: SegmentHead["before"] | null = null;
  /** So many of the first batches that are to be written were written before. */
  private again = 0;

  constructor(disk: Disk, prefix: string, options: RingOptions<T>) {
    this.disk = disk;
    this.files = new SegmentFiles(disk, prefix, options);
    this.options = options;
    const { segments, unreadable } = findSegments(disk, prefix);
    this.list = segments;
    this.unreadable = unreadable;
    this.generation = segments.at(-1)?.generation ?? 0;
    const newest = segments.at(-1);
    if (newest !== undefined) this.goOnIn(newest);
  }

  /** Oldest first. */
  segments(): readonly Segment[] {
    return this.list;
  }

  /** Bytes of memory that are held because the medium is not known to have them. */
  heldBytes(): number {
    return this.held;
  }

  /** Takes records; `flush` writes them. */
  append(batch: Batch<T>): void {
    const size = sizeOnDisk(batch.records);
    if (size > this.batchLimit())
      throw new Error(`records of ${size} bytes do not fit a segment of ${this.options.segmentBytes}`);
    this.todo.push(batch);
    this.held += costOf(batch);
  }

  /** Records of an earlier life that no sync of this life has confirmed yet; scattered, they are written again. */
  adopt(batches: readonly Batch<T>[], scattered: boolean): void {
    for (const batch of batches) {
      this.written.push(batch);
      this.held += costOf(batch);
    }
    if (scattered) this.rewind();
  }

  /** Writes again in its place what a killed life may have failed to sync: the kernel would call it clean. */
  distrust(): void {
    this.distrusted = [...this.dirty];
  }

  /** What a batch may be on the disk. */
  batchLimit(): number {
    return this.options.segmentBytes / 2 - 2 * SALT_BYTES;
  }

  /** Writes what was taken. When it throws nothing is lost: the next call writes it elsewhere. */
  flush(): void {
    const epoch = this.rewinds;
    try {
      this.touchDistrusted();
      while (this.todo.length > 0) this.writeSome();
    } catch (error) {
      if (epoch === this.rewinds) this.rewind();
      throw error;
    }
  }

  /** A sync of what is written now, or null when the medium has it all. */
  startSync(): SyncJob | null {
    if (this.dirty.size === 0) return null;
    const ends = [...this.dirty].map((segment) => ({ segment, end: segment.end }));
    const upTo = this.settled + this.written.length;
    const epoch = this.rewinds;
    return {
      names: ends.map(({ segment }) => segment.name),
      done: (error) => {
        if (epoch !== this.rewinds) return false;
        if (error !== null) {
          this.rewind();
          return false;
        }
        for (const { segment, end } of ends) this.settle(segment, end);
        for (const batch of this.written.splice(0, upTo - this.settled)) {
          this.held -= costOf(batch);
          this.settled++;
        }
        this.failures = 0;
        for (const segment of this.list) segment.confirmed ||= segment.syncedEnd > 0;
        this.files.suspects.clear();
        if (this.again === 0) this.rewrites = null;
        return true;
      },
    };
  }

  /** Flushes, and waits until the medium has it. */
  sync(): void {
    this.flush();
    this.syncNow();
  }

  /** The valid records of a segment, in order; payloads are gone with the next one. */
  *read(segment: Segment): Generator<StoredRecord> {
    try {
      for (const { record } of readSegment(this.disk, segment.name, segment.end)) yield record;
    } catch (error) {
      this.unreadable.push(`${segment.name}: ${String(error)}`);
    }
  }

  /** How large each valid record of a segment is on the disk. */
  *sizes(segment: Segment): Generator<number> {
    for (const { payload } of this.read(segment)) yield RECORD_HEADER + payload.length;
  }

  /** The file that the next segment will want, while it is not there. */
  spare(): { name: string; sizeBytes: number } | null {
    return this.files.spare(this.list);
  }

  /** Bytes of files that the quota allows and that are not there. */
  missingBytes(): number {
    return this.files.missingBytes();
  }

  /** Removes files that are more than the quota, oldest first, never one of the two newest segments. */
  trim(): string[] {
    const old = this.list.slice(0, -2).filter((one) => !this.dirty.has(one));
    const removed = this.files.trim(this.list, old);
    this.list = this.list.filter((one) => !removed.includes(one.name));
    return removed;
  }

  /** Where the newest segment of an earlier life really ends, and the checksum to go on from. */
  private goOnIn(newest: Segment): void {
    let end = 0;
    try {
      for (const decoded of readSegment(this.disk, newest.name, newest.end)) {
        this.crc = decoded.crc;
        end = decoded.end;
      }
      this.open = true;
      // What a killed process wrote last may be in the kernel only.
      for (const segment of this.unsure()) {
        segment.confirmed = false;
        this.dirty.add(segment);
      }
    } catch (error) {
      this.unreadable.push(`${newest.name}: ${String(error)}`);
    }
    newest.end = end;
    newest.syncedEnd = end;
  }

  /** The newest, and those before it of which it says so. */
  private unsure(): Segment[] {
    let from = this.list.length - 1;
    const head = this.list[from]?.head;
    if (head?.rewrites === true) return groupsOf(this.list).at(-1) ?? [];
    if (head?.early === true) from--;
    while (this.list[from + 1]?.head.lagging === true) from--;
    return this.list.slice(Math.max(0, from));
  }

  private touchDistrusted(): void {
    for (const segment of this.distrusted.splice(0)) this.rewriteInPlace(segment);
  }

  private rewriteInPlace(segment: Segment): void {
    for (let at = 0; at < segment.end; at += PIECE)
      this.disk.write(segment.name, at, this.disk.read(segment.name, at, Math.min(PIECE, segment.end - at)));
  }

  private writeSome(): void {
    const newest = this.list.at(-1);
    const prelude = this.salted ? [] : [this.saltRecord()];
    const used = (newest?.end ?? 0) + sizeOnDisk(prelude);
    const count = newest !== undefined && this.open ? this.fitting(used, newest.sizeBytes) : 0;
    if (newest === undefined || count === 0) return this.writeFresh();
    this.write(newest, prelude, count);
    this.salted = true;
  }

  /** How many of the batches fit behind what stands there already. */
  private fitting(used: number, sizeBytes: number): number {
    let room = sizeBytes - used;
    const over = this.todo.findIndex(({ records }) => {
      room -= sizeOnDisk(records);
      return room < 0;
    });
    return over < 0 ? this.todo.length : over;
  }

  private write(segment: Segment, prelude: readonly StoredRecord[], count: number): void {
    const batches = this.todo.slice(0, count);
    const records = [...prelude, ...batches.flatMap((batch) => batch.records)];
    const bytes = Buffer.allocUnsafe(sizeOnDisk(records));
    let at = 0;
    let crc = this.crc;
    for (const record of records) {
      crc = encodeRecord(bytes, at, record, segment.generation, crc);
      at += RECORD_HEADER + record.payload.length;
    }
    this.disk.write(segment.name, segment.end, bytes);
    this.crc = crc;
    segment.end += bytes.length;
    this.dirty.add(segment);
    this.todo = this.todo.slice(count);
    this.again = Math.max(0, this.again - count);
    for (const batch of batches) {
      this.written.push(batch);
      this.options.placed?.(segment, batch);
    }
  }

  /** The next segment: its head and what follows go out in one write. */
  private writeFresh(): void {
    if (this.options.syncAtRoll) this.syncNow();
    const { name, sizeBytes } = this.claim();
    const head = this.nextHead();
    const replaced = this.list.find((one) => one.name === name);
    const segment = { name, generation: ++this.generation, sizeBytes, end: 0, syncedEnd: 0, confirmed: false, head };
    const prelude = [headRecord(head), this.saltRecord()];
    this.crc = 0;
    try {
      this.write(segment, prelude, this.fitting(sizeOnDisk(prelude), sizeBytes));
    } catch (error) {
      this.files.suspects.add(name);
      // What was in it may be gone, or may not.
      if (replaced !== undefined && !this.stillThere(replaced)) this.list = this.list.filter((one) => one !== replaced);
      throw error;
    }
    this.list = [...this.list.filter((one) => one !== replaced), segment];
    this.open = true;
    this.salted = true;
  }

  private nextHead(): SegmentHead {
    const before = this.list.at(-1);
    const head = {
      ...this.options.head(this.todo),
      before: this.rewrites ?? { generation: before?.generation ?? 0, end: before?.end ?? 0 },
      rewrites: this.rewrites !== null,
      early: this.dirty.size > 0,
      lagging: [...this.dirty].some((one) => one !== before),
    };
    if (RECORD_HEADER + head.payload.length > Math.min(PAYLOAD_LIMIT, this.options.segmentBytes / 2))
      throw new Error(`a head of ${head.payload.length} bytes does not fit a segment of ${this.options.segmentBytes}`);
    return head;
  }

  private saltRecord(): StoredRecord {
    return { kind: KIND.life, track: 0, boot: 0, position: 0, monoMs: 0, payload: this.options.salt() };
  }

  private claim(): { name: string; sizeBytes: number } {
    // Nothing is overwritten while a segment that came later is not on the medium.
    if (!this.files.hasFree(this.list) && this.recyclable().length === 0) this.confirmAll();
    return this.files.claim(this.list, this.recyclable(), this.failures);
  }

  /** Oldest first, but for those that a recovery would begin with, now or if a killed life's last sync failed. */
  private recyclable(): Segment[] {
    const precious = this.list.findLast((one) => one.confirmed);
    const before = this.list.length > 3 && precious !== undefined ? this.list.indexOf(precious) - 1 : -1;
    const isDoubtful = (one: Segment): boolean => !one.confirmed && one.syncedEnd > 0;
    return this.list.filter((one, at) => one !== precious && at !== before && !this.dirty.has(one) && !isDoubtful(one));
  }

  private confirmAll(): void {
    for (const segment of this.list.filter((one) => !one.confirmed && one.syncedEnd > 0)) {
      this.rewriteInPlace(segment);
      this.disk.sync(segment.name);
      segment.confirmed = true;
    }
    this.syncNow();
  }

  private stillThere(segment: Segment): boolean {
    try {
      return findSegment(this.disk, segment.name)?.generation === segment.generation;
    } catch {
      return true;
    }
  }

  private syncNow(): void {
    const job = this.startSync();
    try {
      for (const name of job?.names ?? []) this.disk.sync(name);
    } catch (error) {
      job?.done(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
    job?.done(null);
  }

  private settle(segment: Segment, end: number): void {
    segment.syncedEnd = Math.max(segment.syncedEnd, end);
    segment.confirmed = true;
    if (segment.end === segment.syncedEnd) this.dirty.delete(segment);
  }

  /** All that the medium may not have is written again, and not there. */
  private rewind(): void {
    this.rewinds++;
    this.failures++;
    this.todo = [...this.written, ...this.todo];
    this.again += this.written.length;
    this.settled += this.written.length;
    this.written = [];
    const oldest = [...this.dirty].sort((a, b) => a.generation - b.generation)[0];
    if (oldest !== undefined) this.rewrites ??= { generation: oldest.generation, end: oldest.syncedEnd };
    for (const segment of this.dirty) this.files.suspects.add(segment.name);
    this.dirty.clear();
    this.open = false;
  }
}

function costOf({ records }: Batch<unknown>): number {
  return records.reduce((sum, { payload }) => sum + RECORD_COST + payload.length, 0);
}
