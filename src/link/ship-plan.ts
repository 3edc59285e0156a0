import type { AckedTrack } from "../core/events.ts";
import { firstMissing, missingIn, type Span, unionOf } from "../core/ranges.ts";
import { IncidentTail } from "./incident-tail.ts";

/**
 * What is to be shipped next, and when: a machine without a clock and without I/O. Each track has a cursor; what lies
 * below it and is not acknowledged is under way. Go-back-N: what is not acknowledged in time is sent again from there.
 * Positions are bytes in a boot, sequence numbers in the ledger.
 */

export interface ShipTimes {
  /** An unwatched console waits for so much, or so long. */
  readonly batchBytes: number;
  readonly batchMs: number;
  /** Bytes under way, over all tracks of the site. */
  readonly windowBytes: number;
  /** Without an acknowledgement for so long it counts as lost; then in doubling steps up to the cap. */
  readonly timeoutMs: number;
  readonly timeoutCapMs: number;
  /** After a connect the broker's copy of the acknowledgement is on its way. */
  readonly settleMs: number;
  /** While no receiver is known, what the consoles say from now on goes out once, to whoever listens. */
  readonly cast: boolean;
}

export const SHIP_TIMES: ShipTimes = {
  batchBytes: 16 * 1024,
  batchMs: 60_000,
  windowBytes: 256 * 1024,
  timeoutMs: 15_000,
  timeoutCapMs: 3_600_000,
  settleMs: 2_000,
  cast: true,
};

export const LEDGER_KEY = "0/ledger";
/** What a record of the ledger is reckoned at, in bytes. */
const RECORD_BYTES = 256;
/** Read and sent in one go. */
const JOB_BYTES = 128 * 1024;
/** Holes that are remembered; what lies behind them is sent again, which does no harm. */
const SPANS_LIMIT = 256;
const ELSEWHERE_LIMIT = 64;
/** Acknowledged tracks of boots that are not known yet. */
const STRANGERS_LIMIT = 4_096;
const STRANGER_SPANS_LIMIT = 32;

/** A range to read from the journal and to publish. */
export interface Job {
  readonly key: string;
  readonly boot: number;
  readonly track: string;
  readonly from: number;
  readonly to: number;
  readonly backfill: boolean;
  /** Around an incident, ahead of what else the track has to say. */
  readonly tail?: boolean;
}

interface Course {
  readonly key: string;
  readonly boot: number;
  readonly track: string;
  readonly weight: number;
  readonly backfill: boolean;
  /** Goes also where each byte costs. */
  readonly always: boolean;
  /** First position that the journal does not hold yet. */
  next: number;
  /** Acknowledged, or gone from the journal: sent no more. */
  done: readonly Span[];
  /** Above the cursor, but sent already to who watches. */
  elsewhere: readonly Span[];
  cursor: number;
  /** What lies below goes out now; the rest waits to become a batch. */
  flushTo: number;
  waitingSinceMs: number | null;
  sinceMs: number;
  fails: number;
  notBeforeMs: number;
  turn: number;
  readonly tail: IncidentTail;
}

export function trackKey(boot: number, track: string): string {
  return `${boot}/${track}`;
}

export class ShipPlan {
  private readonly times: ShipTimes;
  private readonly courses = new Map<string, Course>();
  private readonly strangers = new Map<string, readonly Span[]>();
  private online = false;
  private metered = false;
  private active = false;
  private settleUntilMs = 0;
  private heardMs: number | null = null;
  private turns = 0;

  constructor(times: ShipTimes = SHIP_TIMES) {
    this.times = times;
  }

  /** A track that is there. The ledger's `boot` is 0. */
  announce(track: { boot: number; track: string; next: number; backfill: boolean; always?: boolean }): void {
    const key = trackKey(track.boot, track.track);
    const known = this.courses.get(key);
    if (known !== undefined) {
      known.next = Math.max(known.next, track.next);
      return;
    }
    const done = clipped(this.strangers.get(key) ?? [], track.next);
    this.strangers.delete(key);
    const weight = key === LEDGER_KEY ? RECORD_BYTES : 1;
    const cursor = this.active ? firstMissing(done, 0) : track.next;
    const flushTo = track.next;
    const always = key === LEDGER_KEY || track.always === true;
    const course = { ...track, always, key, weight, done, cursor, flushTo, tail: new IncidentTail() };
    const idle = { elsewhere: [], waitingSinceMs: null, sinceMs: 0, fails: 0, notBeforeMs: 0, turn: 0 };
    this.courses.set(key, { ...course, ...idle });
  }

  /** Only these boots' tracks are still in the journal: the others are forgotten. */
  retain(keys: ReadonlySet<string>): void {
    for (const [key, course] of this.courses) if (course.backfill && !keys.has(key)) this.courses.delete(key);
    for (const key of this.strangers.keys()) if (!keys.has(key)) this.strangers.delete(key);
  }

  /** The journal holds more of a track. `urgent`: it goes out at once. True when something of it is due. */
  grown(key: string, next: number, nowMs: number, urgent: boolean): boolean {
    const course = this.courses.get(key);
    if (course === undefined || next <= course.next) return false;
    course.next = next;
    const tails = course.tail.grown(next, nowMs);
    const { batchBytes } = this.times;
    const from = Math.max(course.flushTo, course.cursor);
    const batches = Math.floor((next - from) / batchBytes);
    if (urgent) course.flushTo = next;
    else if (batches > 0) course.flushTo = from + batches * batchBytes;
    if (course.flushTo >= next) course.waitingSinceMs = null;
    else if (batches > 0) course.waitingSinceMs = nowMs;
    else course.waitingSinceMs ??= nowMs;
    return course.cursor < course.flushTo || (this.metered && tails);
  }

  /** Something is wrong with the device behind a track: where each byte costs, what it says around now goes all the same. */
  incident(key: string, nowMs: number): void {
    const course = this.courses.get(key);
    course?.tail.begin(course.next, nowMs);
  }

  /** What waits to become a batch goes out at once: somebody begins to watch. */
  flush(key: string): void {
    const course = this.courses.get(key);
    if (course !== undefined) flushAll(course);
  }

  /** Sent to who watches, over the same connection: receivers have it from there. */
  sentElsewhere(key: string, from: number, to: number, nowMs: number): void {
    this.grown(key, to, nowMs, false);
    const course = this.courses.get(key);
    if (course === undefined || !this.online) return;
    const before = underWay(course);
    course.elsewhere = unionOf([...course.elsewhere, [from, to]]).slice(-ELSEWHERE_LIMIT);
    this.advance(course);
    if (before === 0) course.sinceMs = nowMs;
  }

  /** @param metered each byte costs: only what cannot wait, and only to a receiver. */
  connected(nowMs: number, metered = false): void {
    this.online = true;
    this.metered = metered;
    this.settleUntilMs = nowMs + this.times.settleMs;
    for (const course of this.courses.values()) {
      if (this.active) restart(course);
      else course.cursor = Math.max(course.cursor, course.next - this.times.windowBytes / course.weight);
    }
  }

  disconnected(): void {
    this.online = false;
  }

  /** True where something may be due: a receiver is known, or whoever listens is served. */
  get shipping(): boolean {
    return this.active || (this.times.cast && !this.metered);
  }

  /** @param kept the broker's copy of an earlier one: it moves cursors, but is no sign of life. */
  acknowledged(tracks: readonly AckedTrack[], nowMs: number, kept: boolean): void {
    const silent = this.heardMs === null || nowMs - this.heardMs > this.times.timeoutMs;
    const returns = !kept && silent;
    if (!this.active || returns) {
      for (const course of this.courses.values()) {
        course.fails = 0;
        course.notBeforeMs = 0;
      }
    }
    if (!this.active) for (const course of this.courses.values()) restart(course);
    this.active = true;
    if (!kept) this.heardMs = nowMs;
    for (const one of tracks) this.takeAck(one, nowMs);
  }

  private takeAck({ boot, track, ranges }: AckedTrack, nowMs: number): void {
    const key = trackKey(boot, track);
    const course = this.courses.get(key);
    if (course === undefined) return this.keepStranger(key, ranges);
    const before = underWay(course);
    const base = firstMissing(course.done, 0);
    course.done = clipped(unionOf([...course.done, ...ranges]), course.next);
    const moved = firstMissing(course.done, 0) > base;
    if (moved || underWay(course) < before) {
      course.fails = 0;
      course.notBeforeMs = 0;
    }
    // What is acknowledged behind a hole does not excuse the hole.
    if (moved) course.sinceMs = nowMs;
    this.advance(course);
  }

  private keepStranger(key: string, ranges: readonly Span[]): void {
    const before = this.strangers.get(key);
    if (before === undefined && this.strangers.size >= STRANGERS_LIMIT) return;
    this.strangers.set(key, unionOf([...(before ?? []), ...ranges]).slice(0, STRANGER_SPANS_LIMIT));
  }

  /** What to send now, or null: nothing is due, or the window is full. */
  next(nowMs: number): Job | null {
    if (!this.shipping || !this.online || nowMs < this.settleUntilMs) return null;
    if (this.active) for (const course of this.courses.values()) this.expire(course, nowMs);
    const tail = this.metered ? this.nextTail(nowMs) : null;
    if (tail !== null) return tail;
    const free = this.active ? this.times.windowBytes - this.underWay() : this.times.windowBytes;
    const ready = [...this.courses.values()].filter((course) => this.isDue(course, nowMs));
    for (const course of ready.sort((a, b) => rank(a) - rank(b) || a.turn - b.turn)) {
      const job = this.jobOf(course, free);
      if (job !== null) return job;
    }
    return null;
  }

  private nextTail(nowMs: number): Job | null {
    for (const { key, boot, track, done, elsewhere, tail, always, backfill } of this.courses.values()) {
      const span = always ? null : tail.due(unionOf([...done, ...elsewhere]), nowMs);
      if (span !== null) return { key, boot, track, from: span[0], to: span[1], backfill, tail: true };
    }
    return null;
  }

  private jobOf(course: Course, free: number): Job | null {
    const { key, boot, track, weight, backfill, cursor: from } = course;
    const { batchBytes } = this.times;
    // After a loss one batch at a time, until something is acknowledged.
    const most = course.fails > 0 ? batchBytes - underWay(course) : JOB_BYTES;
    const covered = [...course.done, ...course.elsewhere].map((one) => one[0]).filter((start) => start > from);
    const wanted = Math.min(course.flushTo, ...covered) - from;
    const count = Math.min(wanted, Math.floor(Math.min(free, most) / weight));
    // No silly windows: less than a batch only where there is no more.
    const enough = count > 0 && (count === wanted || count * weight >= batchBytes);
    return enough ? { key, boot, track, from, to: from + count, backfill } : null;
  }

  /** Without a receiver only what consoles say now: records went out live, and the past is asked for. */
  private serves(course: Course): boolean {
    if (this.metered) return this.active && course.always;
    return this.active || (!course.backfill && course.key !== LEDGER_KEY);
  }

  private isDue(course: Course, nowMs: number): boolean {
    const { waitingSinceMs } = course;
    if (!this.serves(course)) return false;
    if (waitingSinceMs !== null && nowMs - waitingSinceMs >= this.times.batchMs) flushAll(course);
    return course.cursor < course.flushTo && nowMs >= course.notBeforeMs;
  }

  private expire(course: Course, nowMs: number): void {
    const { timeoutMs, timeoutCapMs } = this.times;
    if (nowMs - course.sinceMs < timeoutMs || underWay(course) === 0) return;
    const wait = course.fails === 0 ? 0 : Math.min(timeoutCapMs, timeoutMs * 2 ** course.fails);
    course.fails++;
    course.notBeforeMs = nowMs + wait;
    rewind(course);
  }

  /** The job was done up to `to`; `gone` are the ranges in it that the journal does not hold. */
  sent(job: Job, to: number, gone: readonly Span[], nowMs: number): void {
    const course = this.courses.get(job.key);
    if (course === undefined) return;
    const before = underWay(course);
    course.done = limited(unionOf([...course.done, ...gone]));
    if (job.tail) {
      course.elsewhere = unionOf([...course.elsewhere, [job.from, to]]).slice(-ELSEWHERE_LIMIT);
      return course.tail.sent(to - job.from, nowMs);
    }
    course.cursor = Math.max(course.cursor, to);
    course.turn = ++this.turns;
    this.advance(course);
    if (before === 0) course.sinceMs = nowMs;
  }

  /** The journal could not give it now: asked again later. */
  postpone(job: Job, untilMs: number): void {
    const course = this.courses.get(job.key);
    if (job.tail) course?.tail.postpone(untilMs);
    else if (course !== undefined) course.notBeforeMs = Math.max(course.notBeforeMs, untilMs);
  }

  private advance(course: Course): void {
    const covered = course.elsewhere.length === 0 ? course.done : unionOf([...course.done, ...course.elsewhere]);
    course.cursor = firstMissing(covered, course.cursor);
    course.elsewhere = course.elsewhere.filter((one) => one[1] > course.cursor);
    if (course.cursor >= course.next) course.waitingSinceMs = null;
  }

  /** When to ask again; null: only something that happens can change the answer. */
  wakeAt(nowMs: number): number | null {
    if (!this.shipping || !this.online) return null;
    if (nowMs < this.settleUntilMs) return this.settleUntilMs;
    const all = [...this.courses.values()];
    const tails = this.metered ? all.flatMap(({ tail }) => tail.dueAtMs() ?? []) : [];
    const served = all.filter((course) => this.serves(course));
    const times = served.flatMap((course) => [
      ...(course.waitingSinceMs === null ? [] : [course.waitingSinceMs + this.times.batchMs]),
      ...(course.cursor < course.flushTo && course.notBeforeMs > nowMs ? [course.notBeforeMs] : []),
      ...(this.active && underWay(course) > 0 ? [course.sinceMs + this.times.timeoutMs] : []),
    ]);
    times.push(...tails);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Bytes that were sent and neither acknowledged nor given up. */
  underWay(): number {
    let total = 0;
    for (const course of this.courses.values()) total += underWay(course);
    return total;
  }
}

function underWay({ done, cursor, weight }: Course): number {
  return sizeOf(missingIn(done, [0, cursor])) * weight;
}

function sizeOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** The ledger before the consoles, old boots last. */
function rank(course: Course): number {
  return course.weight > 1 ? 0 : course.backfill ? 2 : 1;
}

function flushAll(course: Course): void {
  course.flushTo = course.next;
  course.waitingSinceMs = null;
}

/** Back to the first that nobody acknowledged. */
function rewind(course: Course): void {
  course.flushTo = Math.max(course.flushTo, course.cursor);
  course.cursor = firstMissing(course.done, 0);
  course.elsewhere = [];
}

function restart(course: Course): void {
  rewind(course);
  flushAll(course);
  course.fails = 0;
  course.notBeforeMs = 0;
}

/** Nobody can hold what was not written yet. */
function clipped(spans: readonly Span[], next: number): readonly Span[] {
  return limited(spans.filter((one) => one[0] < next).map(([from, to]): Span => [from, Math.min(to, next)]));
}

function limited(spans: readonly Span[]): readonly Span[] {
  return spans.slice(0, SPANS_LIMIT);
}
