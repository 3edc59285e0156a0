import { crc32 } from "node:zlib";

/**
 * One record of a segment: crc32 u32, length u32 (of the payload), generation u32, track u16, kind u8, zero u8,
 * boot u32, position u64, mono u64 (ms), payload; big endian. The checksum covers all but itself and goes on from the
 * checksum of the record before, so bytes that an earlier life left behind never parse as what comes next.
 */
export interface StoredRecord {
  readonly kind: RecordKind;
  readonly track: number;
  readonly boot: number;
  /** Byte offset of a capture track, sequence number of the ledger. */
  readonly position: number;
  readonly monoMs: number;
  readonly payload: Uint8Array;
}

export const KIND = { head: 1, data: 2, gap: 3, ledger: 4, life: 5, end: 6 } as const;
export type RecordKind = (typeof KIND)[keyof typeof KIND];

export const RECORD_HEADER = 36;

export function sizeOnDisk(records: readonly StoredRecord[]): number {
  return records.reduce((sum, { payload }) => sum + RECORD_HEADER + payload.length, 0);
}

/** Larger data is split; it keeps recovery's reads and the loss of a torn record small. */
export const PAYLOAD_LIMIT = 1024 * 1024;

/** Writes the record at `at` and tells its checksum, from which the next one goes on. */
export function encodeRecord(
  bytes: Buffer,
  at: number,
  record: StoredRecord,
  generation: number,
  crcBefore: number,
): number {
  const end = at + RECORD_HEADER + record.payload.length;
  bytes.writeUInt32BE(record.payload.length, at + 4);
  bytes.writeUInt32BE(generation, at + 8);
  bytes.writeUInt16BE(record.track, at + 12);
  bytes.writeUInt8(record.kind, at + 14);
  bytes.writeUInt8(0, at + 15);
  bytes.writeUInt32BE(record.boot, at + 16);
  writeU64(bytes, record.position, at + 20);
  writeU64(bytes, Math.max(0, Math.floor(record.monoMs)), at + 28);
  bytes.set(record.payload, at + RECORD_HEADER);
  const crc = crc32(bytes.subarray(at + 4, end), crcBefore);
  bytes.writeUInt32BE(crc, at);
  return crc;
}

/** In two halves: a BigInt for each would be garbage. */
function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

export interface Decoded {
  readonly record: StoredRecord;
  readonly generation: number;
  readonly crc: number;
  readonly end: number;
}

/** Of how many bytes the record at `at` says that it is, or null when there is no telling yet. */
export function lengthAt(bytes: Buffer, at: number): number | null {
  return at + RECORD_HEADER > bytes.length ? null : RECORD_HEADER + bytes.readUInt32BE(at + 4);
}

/** Of which segment the record at `at` says that it is, whether it checks out or not. */
export function generationAt(bytes: Buffer, at: number): number {
  return at + RECORD_HEADER > bytes.length ? 0 : bytes.readUInt32BE(at + 8);
}

/** The record at `at`, or null when the valid prefix ends here. The payload is a view, not a copy. */
export function decodeRecord(
  segment: Buffer,
  at: number,
  generation: number | null,
  crcBefore: number,
): Decoded | null {
  if (at + RECORD_HEADER > segment.length) return null;
  const length = segment.readUInt32BE(at + 4);
  const found = segment.readUInt32BE(at + 8);
  const end = at + RECORD_HEADER + length;
  if (length > PAYLOAD_LIMIT || end > segment.length || found === 0) return null;
  if (generation !== null && found !== generation) return null;
  const crc = crc32(segment.subarray(at + 4, end), crcBefore);
  if (crc !== segment.readUInt32BE(at)) return null;
  const kind = kindOf(segment.readUInt8(at + 14));
  if (kind === null) return null;
  const record: StoredRecord = {
    kind,
    track: segment.readUInt16BE(at + 12),
    boot: segment.readUInt32BE(at + 16),
    position: Number(segment.readBigUInt64BE(at + 20)),
    monoMs: Number(segment.readBigUInt64BE(at + 28)),
    payload: segment.subarray(at + RECORD_HEADER, end),
  };
  return { record, generation: found, crc, end };
}

function kindOf(value: number): RecordKind | null {
  return Object.values(KIND).find((kind) => kind === value) ?? null;
}
