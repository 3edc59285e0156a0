import type { Disk } from "../disk/disk.ts";
import {
  type Decoded,
  decodeRecord,
  generationAt,
  KIND,
  lengthAt,
  PAYLOAD_LIMIT,
  RECORD_HEADER,
  type StoredRecord,
} from "./record.ts";

/** Segments as they lie on a disk: how they are found, named and read. */

export interface Segment {
  readonly name: string;
  readonly generation: number;
  readonly sizeBytes: number;
  /** Where its valid records end, at the latest: of an older one only its size is known before it is read. */
  end: number;
  /** What is known to be on the medium. */
  syncedEnd: number;
  /** A sync said so, or an earlier life went on from it: a killed one may have left the newest in the kernel only. */
  confirmed: boolean;
  readonly head: SegmentHead;
}

/** The first record of a segment. */
export interface SegmentHead {
  /** What must survive the loss of all segments before it. */
  readonly payload: Uint8Array;
  /** The segment before: its generation and where its records ended when this one began. */
  readonly before: { readonly generation: number; readonly end: number };
  /**
   * What came after `before` may not have reached the medium, and is written here again; `before` is then where the
   * oldest of it stood.
   */
  readonly rewrites: boolean;
  /** Not all of the segment before was on the medium when this one began. */
  readonly early: boolean;
  /** Nor all of those before it. */
  readonly lagging: boolean;
  /** Position of the first record that was to follow, where the ring counts in one sequence. */
  readonly floor: number;
}

const REWRITES = 1;
const EARLY = 2;
const LAGGING = 4;

export function headRecord({ payload, before, rewrites, early, lagging, floor }: SegmentHead): StoredRecord {
  const track = (rewrites ? REWRITES : 0) | (early ? EARLY : 0) | (lagging ? LAGGING : 0);
  return { kind: KIND.head, track, boot: before.generation, position: before.end, monoMs: floor, payload };
}

function headOf({ track, boot, position, monoMs, payload }: StoredRecord): SegmentHead {
  return {
    payload: Uint8Array.from(payload),
    before: { generation: boot, end: position },
    rewrites: (track & REWRITES) !== 0,
    early: (track & EARLY) !== 0,
    lagging: (track & LAGGING) !== 0,
    floor: monoMs,
  };
}

const WINDOW = 256 * 1024;
/** Segments that may have been begun since the last sync, with tries that failed. */
const BEGUN_AT_ONCE = 64;

/**
 * The valid records of a segment in order. Payloads are views into a window that moves on: who keeps one copies it.
 */
export function* readSegment(disk: Disk, name: string, end: number): Generator<Decoded & { readonly at: number }> {
  let window: Buffer = Buffer.alloc(0);
  let base = 0;
  let at = 0;
  let crc = 0;
  let generation: number | null = null;
  while (at + RECORD_HEADER <= end) {
    const length: number = lengthAt(window, at - base) ?? RECORD_HEADER;
    if (length > RECORD_HEADER + PAYLOAD_LIMIT || at + length > end) return;
    if (at - base + length > window.length) {
      const bytes = disk.read(name, at, Math.min(end - at, Math.max(WINDOW, length)));
      if (bytes.length < length) return;
      window = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      base = at;
      continue;
    }
    const decoded = decodeRecord(window, at - base, generation, crc);
    if (decoded === null) return;
    yield { ...decoded, at, end: at + length };
    at += length;
    ({ crc, generation } = decoded);
  }
}

/** One segment by its head, or null where there is none that checks out. */
export function findSegment(disk: Disk, name: string): Segment | null {
  const size = disk.size(name);
  const first = Buffer.from(disk.read(name, 0, RECORD_HEADER));
  const length = Math.min(size, lengthAt(first, 0) ?? 0, RECORD_HEADER + PAYLOAD_LIMIT);
  if (length === 0) return null;
  const decoded = decodeRecord(Buffer.from(disk.read(name, 0, length)), 0, null, 0);
  if (decoded === null || decoded.record.kind !== KIND.head) return null;
  const { generation, record } = decoded;
  return { name, generation, sizeBytes: size, end: size, syncedEnd: size, confirmed: true, head: headOf(record) };
}

/** By their heads alone: a ring of gigabytes must not be read whole before the first byte can be written. */
export function findSegments(disk: Disk, prefix: string): { segments: Segment[]; unreadable: string[] } {
  const unreadable: string[] = [];
  const headless: { readonly name: string; readonly generation: number }[] = [];
  const segments = filesOf(disk, prefix).flatMap((name): Segment[] => {
    try {
      const found = findSegment(disk, name);
      if (found !== null) return [found];
      const bytes = Buffer.from(disk.read(name, 0, WINDOW));
      if (bytes.some((byte) => byte !== 0)) headless.push({ name, generation: generationAt(bytes, 0) });
      return [];
    } catch (error) {
      unreadable.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return [];
    }
  });
  segments.sort((a, b) => a.generation - b.generation);
  const newest = segments.at(-1)?.generation ?? 0;
  for (const { name, generation } of headless) {
    // The begin of a segment that a power cut found half written.
    if (generation > newest && generation <= newest + BEGUN_AT_ONCE) continue;
    unreadable.push(`${name}: its first record does not check out, what follows cannot be read`);
  }
  return { segments, unreadable };
}

/** Segments in order, those together that hold the same records because some were written again. */
export function groupsOf(segments: readonly Segment[]): Segment[][] {
  const groups: Segment[][] = [];
  let reach = Number.MAX_SAFE_INTEGER;
  for (const segment of segments.toReversed()) {
    const [group] = groups;
    if (group !== undefined && segment.generation >= reach) group.unshift(segment);
    else {
      groups.unshift([segment]);
      reach = Number.MAX_SAFE_INTEGER;
    }
    if (segment.head.rewrites) reach = Math.min(reach, segment.head.before.generation);
  }
  return groups;
}

export function filesOf(disk: Disk, prefix: string): string[] {
  return disk.list().filter((one) => one.startsWith(`${prefix}-`) && one.endsWith(".seg"));
}

export function segmentName(prefix: string, index: number): string {
  return `${prefix}-${String(index).padStart(4, "0")}.seg`;
}

/** Splits a quota into segments: at most 4 MiB each, at least four of them. */
export function segmentation(quotaBytes: number): { segmentBytes: number; segments: number } {
  const segmentBytes = Math.max(128 * 1024, Math.min(4 * 1024 * 1024, Math.floor(quotaBytes / 8)));
  return { segmentBytes, segments: Math.max(4, Math.floor(quotaBytes / segmentBytes)) };
}
