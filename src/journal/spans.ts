import { type Gap, gapOf, textOf } from "./range.ts";
import { KIND, type StoredRecord } from "./record.ts";
import type { Segment } from "./segment.ts";
import { Pace, type Steps } from "./steps.ts";

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

  /** What a segment that is just being written holds so far. */
  written(segment: Segment): Contents {
    return this.known.get(keyOf(segment)) ?? this.begin(segment);
  }

  /** Reads an old segment, in steps; known when all of it was read. */
  *learn(segment: Segment, records: Iterable<StoredRecord>): Steps<void> {
    const contents: Contents = { spans: [], claims: claimsOf(segment.head.payload) };
    const pace = new Pace();
    for (const record of records) {
      if (pace.isDue(record)) yield;
      note(contents, record);
    }
    if (!this.has(segment)) this.known.set(keyOf(segment), contents);
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

export const NOTHING: Contents = { spans: [], claims: [] };

/** What segments hold together in which some records stand twice; they come in order of their positions. */
export function mergedContents(claims: readonly Claim[], records: Iterable<StoredRecord>): Contents {
  const contents: Contents = { spans: [], claims: latest(claims) };
  const last = new Map<string, { readonly record: StoredRecord; readonly next: number }>();
  for (const record of records) {
    if (record.kind !== KIND.data && record.kind !== KIND.gap) continue;
    const key = `${record.track}@${record.boot}`;
    const before = last.get(key);
    if (before !== undefined && isSame(before, record)) continue;
    note(contents, record);
    const span = contents.spans.find((one) => one.track === record.track && one.boot === record.boot);
    if (span !== undefined && before !== undefined && record.position > before.next) span.gaps++;
    last.set(key, { record, next: span?.next ?? 0 });
  }
  return contents;
}

/** How far each track had come at the latest of them. */
function latest(claims: readonly Claim[]): Claim[] {
  const most = new Map<string, Claim>();
  for (const claim of claims) {
    const key = `${claim.track}@${claim.head?.boot}`;
    if ((claim.head?.next ?? 0) >= (most.get(key)?.head?.next ?? 0)) most.set(key, claim);
  }
  return [...most.values()];
}

function isSame({ record, next }: { record: StoredRecord; next: number }, again: StoredRecord): boolean {
  if (again.kind === KIND.data) return again.position < next;
  return record.position === again.position && record.kind === again.kind && record.monoMs === again.monoMs;
}

/** What missing offsets that show at the begin of segments or in them come from. */
export function causeOf(group: readonly Segment[], following: Segment | undefined): Gap["cause"] {
  return group.some(({ head }) => head.early) && wereUnsynced(following) ? "crash" : "corrupt";
}

/** Whether a power cut may have found what stood before the segments before this one half written. */
export function wereUnsynced(following: Segment | undefined): boolean {
  return following === undefined || following.head.lagging;
}

export function claimsOf(payload: Uint8Array): Claim[] {
  const { tracks } = JSON.parse(textOf(payload)) as { tracks: [string, number, Claim["head"]][] };
  return tracks.map(([name, track, head]) => ({ name, track, head }));
}

/** Takes in a record; where its track stands after it, or null where it is of none. */
export function note({ spans }: Contents, record: StoredRecord): number | null {
  if (record.kind !== KIND.data && record.kind !== KIND.gap) return null;
  const { track, boot, position, monoMs } = record;
  const bytes = record.kind === KIND.data ? record.payload.length : 0;
  const gaps = record.kind === KIND.gap ? 1 : 0;
  const next = position + (record.kind === KIND.data ? bytes : (gapOf(record).length ?? 0));
  const before = spans.find((one) => one.track === track && one.boot === boot);
  if (before === undefined) {
    spans.push({ track, boot, first: position, next, bytes, gaps, firstMonoMs: monoMs });
    return next;
  }
  // In place: this is done for every record.
  before.next = Math.max(before.next, next);
  before.bytes += bytes;
  before.gaps += gaps;
  return before.next;
}

/** Each track in each boot: its spans added up, what was written twice counted once, what is missing as a gap. */
export function totalsOf(all: Iterable<Contents>): Span[] {
  const found = new Map<string, Span>();
  for (const { spans, claims } of all) {
    for (const span of spans) {
      const key = `${span.track}@${span.boot}`;
      const sum = found.get(key);
      if (sum === undefined) found.set(key, { ...span });
      else add(sum, span);
    }
    for (const { track, head } of claims) {
      const sum = found.get(`${track}@${head?.boot}`);
      if (sum !== undefined && head !== null) skipTo(sum, head.next);
    }
  }
  return [...found.values()];
}

function skipTo(sum: Span, offset: number): void {
  if (offset <= sum.next) return;
  sum.next = offset;
  sum.gaps++;
}

function add(sum: Span, span: Span): void {
  skipTo(sum, span.first);
  sum.next = Math.max(sum.next, span.next);
  sum.bytes += span.bytes;
  sum.gaps += span.gaps;
}

function keyOf(segment: Segment): string {
  return `${segment.name}@${segment.generation}`;
}
