import { type Gap, gapOf, textOf } from "./range.ts";
import { KIND, type StoredRecord } from "./record.ts";
import type { Segment } from "./segment.ts";

/** What each capture segment holds of which track: kept as it is written, read when it is first asked for. */

export interface Span {
  readonly track: number;
  readonly boot: number;
  readonly first: number;
  next: number;
  bytes: number;
  gaps: number;
  readonly firstMonoMs: number;
}

/** Where a track stood when a segment began. */
export interface Claim {
  readonly name: string;
  readonly track: number;
  readonly head: { readonly boot: number; readonly next: number } | null;
}

export interface Contents {
  readonly spans: Span[];
  readonly claims: readonly Claim[];
}

export class Spans {
  private readonly known = new Map<string, Contents>();

  has(segment: Segment): boolean {
    return this.known.has(keyOf(segment));
  }

  of(segment: Segment, read: (segment: Segment) => Iterable<StoredRecord>): Contents {
    const known = this.known.get(keyOf(segment));
    if (known !== undefined) return known;
    const contents = this.begin(segment);
    for (const record of read(segment)) note(contents, record);
    return contents;
  }

  /** A record that was just written. */
  note(segment: Segment, record: StoredRecord): void {
    note(this.known.get(keyOf(segment)) ?? this.begin(segment), record);
  }

  /** A recycled segment has a new generation under an old name: what it held is gone. */
  keepOnly(segments: readonly Segment[]): void {
    const living = new Set(segments.map(keyOf));
    for (const key of this.known.keys()) if (!living.has(key)) this.known.delete(key);
  }

  private begin(segment: Segment): Contents {
    const contents = { spans: [], claims: claimsOf(segment.head.payload) };
    this.known.set(keyOf(segment), contents);
    return contents;
  }
}

/** What missing offsets at the begin of a segment or in it come from. */
export function causeOf(segment: Segment): Gap["cause"] {
  return segment.head.early ? "crash" : "corrupt";
}

export function claimsOf(payload: Uint8Array): Claim[] {
  const { tracks } = JSON.parse(textOf(payload)) as { tracks: [string, number, Claim["head"]][] };
  return tracks.map(([name, track, head]) => ({ name, track, head }));
}

function note({ spans }: Contents, record: StoredRecord): void {
  if (record.kind !== KIND.data && record.kind !== KIND.gap) return;
  const { track, boot, position, monoMs } = record;
  const bytes = record.kind === KIND.data ? record.payload.length : 0;
  const gaps = record.kind === KIND.gap ? 1 : 0;
  const next = position + (record.kind === KIND.data ? bytes : (gapOf(record).length ?? 0));
  const before = spans.find((one) => one.track === track && one.boot === boot);
  if (before === undefined) {
    spans.push({ track, boot, first: position, next, bytes, gaps, firstMonoMs: monoMs });
    return;
  }
  // In place: this is done for every record.
  before.next = Math.max(before.next, next);
  before.bytes += bytes;
  before.gaps += gaps;
}

function keyOf(segment: Segment): string {
  return `${segment.name}@${segment.generation}`;
}
