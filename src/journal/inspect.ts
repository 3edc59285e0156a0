import { KIND } from "./record.ts";
import { groupsOf, type Segment } from "./segment.ts";
import { wereUnsynced } from "./spans.ts";
import { type JournalStore, RING_NAMES, type RingName } from "./store.ts";

/** A journal looked at from outside, segment by segment: what is there, what is damaged, what is missing. */

export interface SegmentReport {
  readonly name: string;
  readonly generation: number;
  readonly sizeBytes: number;
  /** So far its records check out. */
  readonly validBytes: number;
  readonly records: number;
  /** Bytes of records that stood there when the next segment began and that do not check out; null where nobody knows. */
  readonly missingBytes: number | null;
  /** They were not on the medium yet when the power went. */
  readonly unsynced: boolean;
}

export interface TrackReport {
  readonly track: string;
  readonly boot: number;
  readonly first: number;
  readonly next: number;
  readonly bytes: number;
  /** By cause: how many, and bytes where their length is known. */
  readonly gaps: Readonly<Record<string, { readonly count: number; readonly bytes: number }>>;
}

export interface JournalReport {
  readonly rings: Readonly<Record<RingName, readonly SegmentReport[]>>;
  readonly ledger: {
    readonly first: number | null;
    readonly last: number | null;
    readonly records: number;
    readonly holes: readonly { readonly after: number; readonly before: number }[];
    /** Records that stand twice because a sync failed; they are read once. */
    readonly twice: number;
  };
  readonly tracks: readonly TrackReport[];
  /** Whether the last life ended in order; null when there was none. */
  readonly clean: boolean | null;
  readonly unreadable: readonly string[];
}

const STEP = 1024 * 1024;

export function inspect(store: JournalStore): JournalReport {
  const rings = { ledger: segmentsOf(store, "ledger"), capture: segmentsOf(store, "capture") };
  return {
    rings,
    ledger: ledgerOf(store),
    tracks: tracksOf(store),
    clean: store.ledger.endedCleanly(),
    unreadable: [...new Set(RING_NAMES.flatMap((name) => store[name].ring.unreadable))],
  };
}

/** Segments that say less than the one after them heard. */
export function damaged(report: JournalReport): { readonly ring: RingName; readonly segment: SegmentReport }[] {
  return RING_NAMES.flatMap((ring) =>
    report.rings[ring]
      .filter(({ missingBytes, unsynced }) => missingBytes !== null && missingBytes > 0 && !unsynced)
      .map((segment) => ({ ring, segment })),
  );
}

function segmentsOf(store: JournalStore, ring: RingName): SegmentReport[] {
  const all = store[ring].ring.segments();
  const clean = store.ledger.endedCleanly() === true;
  return all.map((segment, index): SegmentReport => {
    let validBytes = 0;
    let records = 0;
    for (const size of store[ring].ring.sizes(segment)) {
      validBytes += size;
      records++;
    }
    const heard = all.find(({ head }) => head.before.generation === segment.generation)?.head;
    const missingBytes = heard === undefined ? null : Math.max(0, heard.before.end - validBytes);
    const { name, generation, sizeBytes } = segment;
    const unsynced = !clean && (heard?.early ?? false) && wereUnsynced(all[index + 2]);
    return { name, generation, sizeBytes, validBytes, records, missingBytes, unsynced };
  });
}

function ledgerOf(store: JournalStore): JournalReport["ledger"] {
  const seqs: number[] = [];
  let stored = 0;
  for (const group of groupsOf(store.ledger.segments())) {
    const found = new Set<number>();
    for (const segment of group) stored += collect(store, segment, found);
    const last = seqs.at(-1) ?? Number.NEGATIVE_INFINITY;
    seqs.push(...[...found].filter((seq) => seq > last).sort((a, b) => a - b));
  }
  const holes = seqs.flatMap((seq, at) => {
    const before = seqs[at - 1];
    return before !== undefined && seq !== before + 1 ? [{ after: before, before: seq }] : [];
  });
  return {
    ...{ first: seqs[0] ?? null, last: seqs.at(-1) ?? null, records: seqs.length },
    holes,
    twice: stored - seqs.length,
  };
}

function collect(store: JournalStore, segment: Segment, found: Set<number>): number {
  let count = 0;
  for (const { kind, position } of store.ledger.ring.read(segment)) {
    if (kind !== KIND.ledger) continue;
    found.add(position);
    count++;
  }
  return count;
}

function tracksOf(store: JournalStore): TrackReport[] {
  return Object.entries(store.stat()).flatMap(([track, { boots }]) =>
    boots.map(({ boot, first, next }) => trackOf(store, track, { boot, first, next })),
  );
}

function trackOf(
  store: JournalStore,
  track: string,
  { boot, first, next }: { boot: number; first: number; next: number },
): TrackReport {
  const gaps: Record<string, { count: number; bytes: number }> = {};
  let bytes = 0;
  let from = first;
  for (;;) {
    const range = store.readCapture(track, boot, from, next, STEP);
    if (range === null) break;
    bytes += range.pieces.reduce((sum, { data }) => sum + data.length, 0);
    const end = range.end >= next ? Number.MAX_SAFE_INTEGER : range.end;
    for (const { cause, length, offset } of range.gaps) {
      // One at the very end of this part comes again with the next.
      if (offset >= end) continue;
      const sum = gaps[cause] ?? { count: 0, bytes: 0 };
      gaps[cause] = { count: sum.count + 1, bytes: sum.bytes + (length ?? 0) };
    }
    if (range.end >= next || range.end <= from) break;
    from = range.end;
  }
  return { track, boot, first, next, bytes, gaps };
}
