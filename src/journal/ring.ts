import type { Disk } from "../disk/disk.ts";
import { decodeRecord, encodeRecord, KIND, PAYLOAD_LIMIT, RECORD_HEADER, type StoredRecord } from "./record.ts";

/**
 * A ring of preallocated segments, overwritten in place. Each segment begins with a head record whose generation is
 * one higher than that of the segment before; the rest of it is the longest prefix of records that check out.
 */

export interface Segment {
  readonly name: string;
  readonly generation: number;
  /** Where its valid records end, at the latest: of an older one only its size is known before it is read. */
  end: number;
  readonly head: StoredRecord;
}

export interface RingOptions {
  readonly segmentBytes: number;
  readonly segments: number;
  /** Payload of a new segment's head: what must survive the loss of all segments before it. */
  readonly head: () => Uint8Array;
  /**
   * 8 bytes of chance, after each open and at the begin of each segment. Without them a record that is written again
   * byte for byte would make valid what an earlier life left behind it.
   */
  readonly salt: () => Uint8Array;
}

export interface Ring {
  /** Oldest first. */
  segments(): readonly Segment[];
  /** Takes a record; `flush` writes it. */
  append(record: StoredRecord): void;
  /** Bytes taken and not written. */
  pending(): number;
  flush(): void;
  /** Flushes, and waits until the medium has it. */
  sync(): void;
  /** The valid records of a segment, in order. */
  read(segment: Segment): Generator<StoredRecord>;
}

const SALT_ROOM = RECORD_HEADER + 64;

/** Splits a quota into segments: at most 4 MiB each, at least four of them. */
export function segmentation(quotaBytes: number): { segmentBytes: number; segments: number } {
  const segmentBytes = Math.max(128 * 1024, Math.min(4 * 1024 * 1024, Math.floor(quotaBytes / 8)));
  return { segmentBytes, segments: Math.max(4, Math.floor(quotaBytes / segmentBytes)) };
}

export function openRing(disk: Disk, prefix: string, options: RingOptions): Ring {
  let segments = findSegments(disk, prefix);
  let queue: Uint8Array[] = [];
  let queued = 0;
  let crc = scanNewest(disk, segments.at(-1));
  let unsynced = false;
  let salted = false;

  /** The segment to write to, with this life's salt in it. */
  const current = (): Segment => {
    const segment = segments.at(-1);
    if (segment === undefined) return roll();
    if (salted) return segment;
    return segment.end + SALT_ROOM <= options.segmentBytes ? putSalt(segment) : roll();
  };

  const putSalt = (segment: Segment): Segment => {
    salted = true;
    return put(segment, { kind: KIND.life, track: 0, boot: 0, position: 0, monoMs: 0, payload: options.salt() });
  };

  const write = (): void => {
    const segment = segments.at(-1);
    if (segment === undefined || queued === 0) return;
    disk.write(segment.name, segment.end - queued, Buffer.concat(queue));
    queue = [];
    queued = 0;
    unsynced = true;
  };

  const put = (segment: Segment, record: StoredRecord): Segment => {
    const encoded = encodeRecord(record, segment.generation, crc);
    crc = encoded.crc;
    queue.push(encoded.bytes);
    queued += encoded.bytes.length;
    segment.end += encoded.bytes.length;
    return segment;
  };

  const syncNow = (): void => {
    write();
    const segment = segments.at(-1);
    if (segment !== undefined && unsynced) disk.sync(segment.name);
    unsynced = false;
  };

  const roll = (): Segment => {
    syncNow();
    const payload = options.head();
    if (RECORD_HEADER + payload.length > Math.min(PAYLOAD_LIMIT, options.segmentBytes / 2)) {
      throw new Error(`a head of ${payload.length} bytes does not fit a segment of ${options.segmentBytes}`);
    }
    const generation = (segments.at(-1)?.generation ?? 0) + 1;
    const name = nextName(disk, prefix, segments, options);
    const head: StoredRecord = { kind: KIND.head, track: 0, boot: 0, position: 0, monoMs: 0, payload };
    const segment: Segment = { name, generation, end: 0, head };
    segments = [...segments.filter((one) => one.name !== name), segment];
    crc = 0;
    return putSalt(put(segment, head));
  };

  return {
    segments: () => segments,
    append(record) {
      const size = RECORD_HEADER + record.payload.length;
      if (record.payload.length > PAYLOAD_LIMIT || size > options.segmentBytes / 2) {
        throw new Error(`a record of ${size} bytes does not fit a segment of ${options.segmentBytes}`);
      }
      const segment = current();
      put(segment.end + size > options.segmentBytes ? roll() : segment, record);
    },
    pending: () => queued,
    flush: write,
    sync: syncNow,
    *read(segment) {
      const bytes = Buffer.from(disk.read(segment.name, 0, segment.end));
      for (const decoded of scan(bytes)) yield decoded.record;
    },
  };
}

function* scan(bytes: Buffer) {
  let at = 0;
  let crc = 0;
  let generation: number | null = null;
  for (;;) {
    const decoded = decodeRecord(bytes, at, generation, crc);
    if (decoded === null) return;
    yield decoded;
    ({ crc, generation, end: at } = decoded);
  }
}

/** By their heads alone: a ring of gigabytes must not be read whole before the first byte can be written. */
function findSegments(disk: Disk, prefix: string): Segment[] {
  const names = disk.list().filter((one) => one.startsWith(`${prefix}-`) && one.endsWith(".seg"));
  const found = names.flatMap((name): Segment[] => {
    const size = disk.size(name);
    const first = Buffer.from(disk.read(name, 0, RECORD_HEADER));
    if (first.length < RECORD_HEADER) return [];
    const length = Math.min(size, RECORD_HEADER + first.readUInt32BE(4), RECORD_HEADER + PAYLOAD_LIMIT);
    const decoded = decodeRecord(Buffer.from(disk.read(name, 0, length)), 0, null, 0);
    if (decoded === null || decoded.record.kind !== KIND.head) return [];
    return [{ name, generation: decoded.generation, end: size, head: decoded.record }];
  });
  return found.sort((a, b) => a.generation - b.generation);
}

/** Where the newest segment really ends, and the checksum to go on from. */
function scanNewest(disk: Disk, segment: Segment | undefined): number {
  let crc = 0;
  if (segment === undefined) return crc;
  let end = 0;
  for (const decoded of scan(Buffer.from(disk.read(segment.name, 0, segment.end)))) ({ crc, end } = decoded);
  segment.end = end;
  return crc;
}

/** A file not in use yet, then a new one, then the oldest. */
function nextName(disk: Disk, prefix: string, segments: readonly Segment[], options: RingOptions): string {
  const there = disk.list();
  for (let index = 0; index < options.segments; index++) {
    const name = `${prefix}-${String(index).padStart(4, "0")}.seg`;
    if (segments.some((one) => one.name === name)) continue;
    if (!there.includes(name)) disk.create(name, options.segmentBytes);
    return name;
  }
  return segments[0]?.name ?? `${prefix}-0000.seg`;
}
