import type { Folder } from "./folder.ts";
import { applyLine, decodeHeld, encodeHeld, gapKey, type Held, nothingHeld } from "./held.ts";
import { encodeIndexLine, type IndexLine, type StoredGap } from "./index-line.ts";
import { daysIn, recoverDay } from "./index-recovery.ts";
import { dayOf } from "./layout.ts";

/**
 * One console's bytes in plain files, a file a day, and the index beside each. What is added waits in memory until
 * `commit`: bytes, sync, index, sync. Only then may it be acknowledged. A commit that failed changes nothing, and the
 * next one writes the same again.
 */

interface Head {
  readonly boot: number;
  readonly offset: number;
  readonly mono: number;
  readonly wall: number | null;
  readonly heard: number;
}

export type Item =
  | (Head & { readonly marks: readonly [number, number][]; readonly data: Uint8Array })
  | (Head & { readonly gap: StoredGap });

/** A run of bytes in one day's file. */
interface Extent {
  readonly day: string;
  readonly at: number;
  readonly boot: number;
  readonly offset: number;
  length: number;
}

const EXTENTS_LIMIT = 8;
/** Pieces that follow each other become one index line up to this size. */
const LINE_BYTES = 64 * 1024;
/** Above the 32 bits of a boot. */
const GENERATION = 2 ** 32;
const HELD_FILE = "held.json";

export class TrackStore {
  readonly path: string;
  readonly held: Held;
  /** Index lines that a damaged disk spoiled. */
  readonly damaged: number;
  private readonly folder: Folder;
  /** How often the numbers of a boot began again; boots are stored with it. */
  private readonly generations = new Map<number, number>();
  private pending: Item[] = [];
  private pendingSize = 0;
  private readonly ahead = new Map<number, number>();
  private readonly aheadGaps = new Set<string>();
  private extents: Extent[] = [];
  private day: string | null = null;
  private idxSize = 0;
  private logSize = 0;
  /** The files may hold more than what counts: a commit failed. */
  private spoilt = false;

  /** Reads what is there, and cuts off what a crash left unfinished. */
  constructor(folder: Folder, path: string) {
    this.folder = folder;
    this.path = path;
    const days = daysIn(folder, path);
    const read = this.readHeld();
    // Saved when its day was over; without a later one that was not done, and the day may have gone on.
    const saved = read !== null && (days.at(-1) ?? "") > read.through ? read : null;
    this.held = saved?.held ?? nothingHeld();
    let damaged = 0;
    for (const day of days) {
      if (saved !== null && day < saved.through) continue;
      const last = day === days.at(-1);
      const counts = saved === null || day > saved.through;
      const onLine = (line: IndexLine): void => {
        if (counts) applyLine(this.held, line);
        this.extend(day, line);
      };
      const found = recoverDay(folder, path, day, onLine, last);
      damaged += found.damaged;
      if (last) Object.assign(this, { day, idxSize: found.idxSize, logSize: found.logSize });
    }
    this.damaged = damaged;
    for (const boot of this.held.boots.keys()) {
      const before = this.generations.get(boot % GENERATION) ?? 0;
      this.generations.set(boot % GENERATION, Math.max(before, Math.floor(boot / GENERATION)));
    }
  }

  /** The site's numbers of this boot begin again at 0: what comes is stored behind what is here, as a boot of its own. */
  restart(boot: number): void {
    this.generations.set(boot, (this.generations.get(boot) ?? 0) + 1);
  }

  private storedBoot(boot: number): number {
    return boot < GENERATION ? boot + (this.generations.get(boot) ?? 0) * GENERATION : boot;
  }

  get waiting(): boolean {
    return this.pending.length > 0;
  }

  /** Bytes that wait for a commit. */
  get pendingBytes(): number {
    return this.pendingSize;
  }

  /** Everything of this boot before this offset is here, waits to be written, or is a declared gap. */
  nextOf(boot: number): number {
    return this.ahead.get(this.storedBoot(boot)) ?? this.committedOf(boot);
  }

  /** The same, of what is on the disk: what may be acknowledged. */
  committedOf(boot: number): number {
    return this.held.boots.get(this.storedBoot(boot))?.next ?? 0;
  }

  knowsGap(boot: number, offset: number, cause: string): boolean {
    const key = gapKey(offset, cause);
    const stored = this.storedBoot(boot);
    return this.aheadGaps.has(`${stored} ${key}`) || this.held.boots.get(stored)?.unknownGaps.has(key) === true;
  }

  /** Takes what begins where the boot is known to, or a gap of unknown length before that. */
  add(said: Item): void {
    const item = { ...said, boot: this.storedBoot(said.boot) };
    const next = this.nextOf(item.boot);
    const length = "data" in item ? item.data.length : (item.gap.length ?? 0);
    if (length > 0 && item.offset !== next) throw new Error(`${this.path}: ${item.offset} is added at ${next}`);
    if (length > 0) this.ahead.set(item.boot, next + length);
    if ("gap" in item && item.gap.length === null)
      this.aheadGaps.add(`${item.boot} ${gapKey(item.offset, item.gap.cause)}`);
    this.pending.push(item);
    if ("data" in item) this.pendingSize += item.data.length;
  }

  /** The bytes that end at `offset`, at most so many; null when fewer are at hand. */
  bytesBefore(ofBoot: number, offset: number, length: number): Uint8Array | null {
    const boot = this.storedBoot(ofBoot);
    const found: Uint8Array[] = [];
    let end = offset;
    const take = (start: number, size: number, read: (from: number, count: number) => Uint8Array): void => {
      if (start >= end || start + size < end || end <= offset - length) return;
      const from = Math.max(0, offset - length - start);
      const bytes = read(from, end - start - from);
      found.unshift(bytes);
      end -= bytes.length;
    };
    for (const item of [...this.pending].reverse()) {
      if (item.boot !== boot || !("data" in item)) continue;
      take(item.offset, item.data.length, (from, count) => item.data.subarray(from, from + count));
    }
    for (const { boot: of, offset: start, length: size, day, at } of [...this.extents].reverse()) {
      if (of !== boot) continue;
      take(start, size, (from, count) => this.folder.read(`${this.path}/${day}.log`, at + from, count));
    }
    return end <= offset - length ? Buffer.concat(found) : null;
  }

  /** Puts what waits on the disk and returns it. Throws when the disk would not; nothing is lost by that. */
  async commit(nowMs: number): Promise<readonly Item[]> {
    const batch = this.pending;
    if (batch.length === 0) return [];
    const day = await this.dayFor(nowMs);
    const [log, idx] = [`${this.path}/${day}.log`, `${this.path}/${day}.idx`];
    if (this.spoilt) this.cutBack(log, idx);
    const count = batch.length;
    const lines = linesFor(batch.slice(0, count), this.logSize);
    const bytes = Buffer.concat(batch.slice(0, count).map((item) => ("data" in item ? item.data : new Uint8Array())));
    const index = Buffer.from(lines.map(encodeIndexLine).join(""));
    this.spoilt = true;
    this.folder.write(log, this.logSize, bytes);
    await this.folder.sync(log);
    this.folder.write(idx, this.idxSize, index);
    await this.folder.sync(idx);
    this.spoilt = false;
    this.logSize += bytes.length;
    this.idxSize += index.length;
    return this.settle(count, lines, day);
  }

  private settle(count: number, lines: readonly IndexLine[], day: string): readonly Item[] {
    for (const line of lines) {
      applyLine(this.held, line);
      this.extend(day, line);
    }
    const done = this.pending.slice(0, count);
    this.pending = this.pending.slice(count);
    this.pendingSize = this.pending.reduce((sum, item) => sum + ("data" in item ? item.data.length : 0), 0);
    if (this.pending.length === 0) {
      this.ahead.clear();
      this.aheadGaps.clear();
    }
    return done;
  }

  /** A clock that went back does not: files stay in the order in which they were written. */
  private async dayFor(nowMs: number): Promise<string> {
    const today = dayOf(nowMs);
    const before = this.day;
    if (before !== null && before >= today) return before;
    if (before !== null) {
      await this.closeDay(before);
      const file = `${this.path}/${HELD_FILE}`;
      this.folder.replace(file, encodeHeld(this.held, before));
      await this.folder.sync(file);
    }
    this.spoilt = false;
    this.day = today;
    this.idxSize = 0;
    this.logSize = 0;
    return today;
  }

  /** No start looks at its end again, so what was cut off there must stay cut off. */
  private async closeDay(day: string): Promise<void> {
    const [log, idx] = [`${day}.log`, `${day}.idx`];
    if (this.spoilt) this.cutBack(`${this.path}/${log}`, `${this.path}/${idx}`);
    const there = this.folder.list(this.path);
    for (const name of [log, idx]) if (there.includes(name)) await this.folder.sync(`${this.path}/${name}`);
  }

  private cutBack(log: string, idx: string): void {
    if (this.folder.size(log) > this.logSize) this.folder.truncate(log, this.logSize);
    if (this.folder.size(idx) > this.idxSize) this.folder.truncate(idx, this.idxSize);
  }

  private extend(day: string, line: IndexLine): void {
    if (!("n" in line)) return;
    const { boot, offset, at, n } = line;
    const last = this.extents.at(-1);
    const follows = last?.day === day && last.boot === boot;
    if (follows && last.offset + last.length === offset && last.at + last.length === at) last.length += n;
    else this.extents = [...this.extents, { day, at, boot, offset, length: n }].slice(-EXTENTS_LIMIT);
  }

  private readHeld(): ReturnType<typeof decodeHeld> {
    const file = `${this.path}/${HELD_FILE}`;
    const size = this.folder.size(file);
    return size === 0 ? null : decodeHeld(Buffer.from(this.folder.read(file, 0, size)).toString("utf8"));
  }
}

/** Index lines for what is written from `at` on. */
function linesFor(items: readonly Item[], at: number): IndexLine[] {
  const lines: IndexLine[] = [];
  let position = at;
  for (const item of items) {
    const { boot, offset, mono, wall, heard } = item;
    if ("gap" in item) {
      lines.push({ at: position, gap: item.gap, boot, offset, mono, wall, heard });
      continue;
    }
    const last = lines.at(-1);
    if (last === undefined || !("n" in last) || !joins(last, item)) {
      const marks = item.marks.map(([where, ms]): [number, number] => [where, ms]);
      lines.push({ at: position, n: item.data.length, boot, offset, mono, wall, heard, marks });
    } else {
      const later = mono - last.mono;
      if (later > (last.marks.at(-1)?.[1] ?? 0)) last.marks.push([last.n, later]);
      for (const [where, ms] of item.marks) last.marks.push([last.n + where, later + ms]);
      last.n += item.data.length;
    }
    position += item.data.length;
  }
  return lines;
}

function joins(line: Extract<IndexLine, { n: number }>, item: Item): boolean {
  return (
    line.boot === item.boot &&
    line.offset + line.n === item.offset &&
    item.mono >= line.mono + (line.marks.at(-1)?.[1] ?? 0) &&
    (line.wall === null) === (item.wall === null) &&
    "data" in item &&
    line.n + item.data.length <= LINE_BYTES
  );
}
