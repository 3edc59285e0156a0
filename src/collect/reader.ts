import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Chunk } from "../protocol/chunk.ts";
import { NAME } from "../protocol/topics.ts";
import { readStoredEntry, type StoredEntry } from "./stored-entry.ts";
import { endsOf, linesFrom, linesOf } from "./stored-lines.ts";

/** What a receiver has stored of a site, read from its folder while the receiver goes on. Nothing is written. */

export interface CollectedSite {
  readonly fleet: string;
  readonly site: string;
}

/** One stretch of a boot in one day's files. */
interface DaySpan {
  readonly day: string;
  readonly boot: number;
  readonly first: number;
  next: number;
  readonly firstMonoMs: number;
}

export interface CollectedBoot {
  readonly boot: number;
  readonly first: number;
  readonly next: number;
  readonly firstMonoMs: number;
}

export interface CollectedStep {
  readonly chunks: readonly Chunk[];
  readonly gaps: readonly { cause: string; length: number | null; offset: number; monoMs: number; count: number }[];
  readonly to: number;
}

/** So much at once, whatever the pieces of the index are. */
const STEP = 256 * 1024;

export function collectedSites(dir: string): CollectedSite[] {
  return foldersIn(dir).flatMap((fleet) => foldersIn(join(dir, fleet)).map((site) => ({ fleet, site })));
}

export function collectedConsoles(dir: string, { fleet, site }: CollectedSite, way: "rx" | "tx"): string[] {
  return foldersIn(join(dir, fleet, site), `.${way}`).map((name) => name.slice(0, -3));
}

function foldersIn(dir: string, ending = ""): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name.endsWith(ending))
    .map(({ name }) => name)
    .filter((name) => NAME.test(name.slice(0, name.length - ending.length)))
    .sort();
}

/** The ledger of a site as it was stored, oldest first; asked again, it gives what was added since. */
export class CollectedLedger {
  private readonly file: string;
  private position = 0;

  constructor(dir: string, { fleet, site }: CollectedSite) {
    this.file = join(dir, fleet, site, "events.jsonl");
  }

  *records(): Generator<Readonly<Record<string, unknown>>> {
    for (const { line, end } of linesFrom(this.file, this.position)) {
      this.position = end;
      const record = parseObject(line);
      if (record !== null) yield record;
    }
  }
}

function parseObject(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    // A line that the receiver is still writing.
    return null;
  }
}

export class CollectedTrack {
  private readonly folder: string;

  constructor(dir: string, { fleet, site }: CollectedSite, console: string, way: "rx" | "tx") {
    this.folder = join(dir, fleet, site, `${console}.${way}`);
  }

  /** In the order in which they were stored, which is that of the boots. */
  boots(): CollectedBoot[] {
    const boots = new Map<number, CollectedBoot>();
    for (const { boot, first, next, firstMonoMs } of this.spans()) {
      const before = boots.get(boot);
      boots.set(boot, before === undefined ? { boot, first, next, firstMonoMs } : { ...before, next });
    }
    return [...boots.values()];
  }

  /** What the index itself says of the time of day: for a boot whose clock the events do not tell. */
  clocks(): { boot: number; mono: number; wall: number }[] {
    const clocks = new Map<number, { boot: number; mono: number; wall: number }>();
    for (const { first, last } of this.days().flatMap((day) => endsOf(this.file(day, "idx")) ?? [])) {
      for (const { boot, monoMs, wallMs } of [first, last])
        if (wallMs !== null) clocks.set(boot, { boot, mono: monoMs, wall: wallMs });
    }
    return [...clocks.values()];
  }

  /** Offset of the first byte at or after a mono time of a boot. */
  offsetAt(boot: number, monoMs: number): number {
    const mine = this.spans().filter((span) => span.boot === boot);
    const begin = Math.max(
      0,
      mine.findLastIndex(({ firstMonoMs }) => firstMonoMs < monoMs),
    );
    for (const { day } of mine.slice(begin)) {
      for (const entry of this.entries(day)) {
        const at = entry.boot === boot ? offsetIn(entry, monoMs) : null;
        if (at !== null) return at;
      }
    }
    return mine.at(-1)?.next ?? 0;
  }

  *read(boot: number, from: number, to: number): Generator<CollectedStep> {
    const days = this.spans().filter((span) => span.boot === boot && span.next >= from && span.first < to);
    for (const { day } of days) yield* this.readDay(day, boot, from, to);
  }

  private *readDay(day: string, boot: number, from: number, to: number): Generator<CollectedStep> {
    const log = openSync(this.file(day, "log"), "r");
    let step = { chunks: [] as Chunk[], gaps: [] as CollectedStep["gaps"][number][], to: from };
    let bytes = 0;
    try {
      for (const entry of this.entries(day)) {
        if (entry.boot !== boot || entry.next < from || entry.offset > to) continue;
        if (entry.gap !== null) step.gaps.push({ ...entry.gap, offset: entry.offset, monoMs: entry.monoMs });
        else if (entry.next > from && entry.offset < to) step.chunks.push(chunkOf(log, entry, from, to));
        step.to = Math.min(entry.next, to);
        bytes += entry.bytes;
        if (bytes < STEP) continue;
        yield step;
        step = { chunks: [], gaps: [], to: step.to };
        bytes = 0;
      }
    } finally {
      closeSync(log);
    }
    if (step.chunks.length + step.gaps.length > 0) yield step;
  }

  private days(): string[] {
    if (!existsSync(this.folder)) return [];
    return readdirSync(this.folder)
      .filter((name) => /^\d{4}-\d\d-\d\d\.idx$/.test(name))
      .map((name) => name.slice(0, -4))
      .sort();
  }

  private file(day: string, kind: "idx" | "log"): string {
    return join(this.folder, `${day}.${kind}`);
  }

  private *entries(day: string): Generator<StoredEntry> {
    for (const line of linesOf(this.file(day, "idx"))) {
      const entry = readStoredEntry(line);
      if (entry !== null) yield entry;
    }
  }

  /** Of a day that is one unbroken piece only the ends are looked at: years of days are found at once. */
  private spans(): DaySpan[] {
    return this.days().flatMap((day) => {
      const ends = endsOf(this.file(day, "idx"));
      if (ends === null) return [];
      const { first, last } = ends;
      // Between two ends of one boot another may lie: what came late of the old one is behind the begin of the new.
      const whole = first.boot === last.boot && last.next - first.offset === statSync(this.file(day, "log")).size;
      return whole ? [spanOf(day, first, last)] : this.spansOfDay(day);
    });
  }

  private spansOfDay(day: string): DaySpan[] {
    const spans = new Map<number, DaySpan>();
    for (const entry of this.entries(day)) {
      const known = spans.get(entry.boot);
      if (known === undefined) spans.set(entry.boot, spanOf(day, entry, entry));
      else known.next = entry.next;
    }
    return [...spans.values()];
  }
}

function spanOf(day: string, first: StoredEntry, last: StoredEntry): DaySpan {
  const { boot, offset } = first;
  return { day, boot, first: offset, next: last.next, firstMonoMs: first.monoMs };
}

/** Where in a piece that time begins; null when the piece is before it. */
function offsetIn(entry: StoredEntry, monoMs: number): number | null {
  if (entry.monoMs >= monoMs) return entry.offset;
  const mark = entry.marks.find((one) => one.monoMs >= monoMs);
  return mark === undefined ? null : entry.offset + mark.at;
}

function chunkOf(log: number, entry: StoredEntry, from: number, to: number): Chunk {
  const skip = Math.max(0, from - entry.offset);
  const data = Buffer.alloc(Math.min(entry.next, to) - entry.offset - skip);
  const length = readSync(log, data, 0, data.length, entry.at + skip);
  const marks = entry.marks.filter(({ at }) => at > skip).map(({ at, monoMs }) => ({ at: at - skip, monoMs }));
  const monoMs = entry.marks.findLast(({ at }) => at <= skip)?.monoMs ?? entry.monoMs;
  return { boot: entry.boot, offset: entry.offset + skip, monoMs, marks, data: data.subarray(0, length) };
}
