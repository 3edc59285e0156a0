import type { Disk } from "../disk/disk.ts";
import type { FromWorker, ToWorker } from "./journal.ts";
import { createUnpacker } from "./packing.ts";
import type { Range } from "./range.ts";
import type { Steps } from "./steps.ts";
import type { JournalStore, RingName } from "./store.ts";

/**
 * When the journal syncs, and what becomes of a sync or write that fails. A sync runs beside the rest: what arrives
 * meanwhile is written, what is asked for is read, a part at a time: no decision waits for a reader. Two failures in a
 * row are a degraded storage, told once each way.
 */

const SYNC_BYTES = 64 * 1024;
const SYNC_MS = 5_000;
const SYNC_WATCHED_MS = 1_000;
const RETRY_MS = 1_000;

interface Lane {
  readonly ring: RingName;
  failures: number;
  /** A sync is under way. */
  busy: boolean;
  /** Another is wanted. */
  wanted: boolean;
  /** Who waits for a sync that has not begun yet. */
  tokens: number[];
  dueAtMs: number;
  timer: NodeJS.Timeout | null;
}

interface Question {
  /** True when it is answered. */
  readonly goOn: () => boolean;
  readonly giveUp: () => void;
}

export class Keeper {
  private readonly store: JournalStore;
  private readonly disk: Disk;
  private readonly tell: (message: FromWorker) => void;
  private readonly lanes: Record<RingName, Lane> = { ledger: newLane("ledger"), capture: newLane("capture") };
  private readonly unpack = createUnpacker();
  private unsyncedBytes = 0;
  private watchedUntil = 0;
  private degraded = false;
  private unreadable = 0;
  private questions: Question[] = [];
  private thinking: NodeJS.Immediate | null = null;

  constructor(store: JournalStore, disk: Disk, tell: (message: FromWorker) => void) {
    this.store = store;
    this.disk = disk;
    this.tell = tell;
  }

  /** Nobody waits for the card: a file may be prepared. */
  get idle(): boolean {
    return Object.values(this.lanes).every((lane) => !lane.busy && !lane.wanted);
  }

  announce(tracks: readonly string[]): void {
    this.store.capture.announce(tracks);
    this.work(this.lanes.capture);
  }

  handle(message: ToWorker): void {
    switch (message.type) {
      case "ledger":
        return this.takeLedger(message);
      case "capture":
        return this.takeCapture(message);
      case "watched":
        this.watchedUntil = message.untilMs;
        return;
      case "close":
        return this.close();
      default:
        return this.answer(message);
    }
  }

  private takeLedger({ records, snapshot, sync, token }: Extract<ToWorker, { type: "ledger" }>): void {
    const lane = this.lanes.ledger;
    this.store.ledger.append(records, snapshot);
    if (token !== null) lane.tokens.push(token);
    if (sync || token !== null) lane.wanted = true;
    else this.syncWithin(lane, SYNC_MS);
    this.work(lane);
  }

  private takeCapture({ packed, urgent, atMs, cost }: Extract<ToWorker, { type: "capture" }>): void {
    const lane = this.lanes.capture;
    const items = this.unpack(packed);
    this.store.capture.append(items);
    this.tell({ type: "taken", cost });
    for (const { content } of items) if ("data" in content) this.unsyncedBytes += content.data.length;
    if (urgent || this.unsyncedBytes >= SYNC_BYTES) lane.wanted = true;
    this.syncWithin(lane, atMs < this.watchedUntil ? SYNC_WATCHED_MS : SYNC_MS);
    // A card that refuses is not asked fifty times a second.
    if (lane.failures < 2) this.work(lane);
  }

  private syncWithin(lane: Lane, ms: number): void {
    const dueAtMs = performance.now() + ms;
    if (lane.timer !== null && lane.dueAtMs <= dueAtMs) return;
    if (lane.timer !== null) clearTimeout(lane.timer);
    lane.dueAtMs = dueAtMs;
    lane.timer = setTimeout(() => {
      lane.timer = null;
      lane.wanted = true;
      this.work(lane);
    }, ms);
  }

  /** Writes what was taken, and syncs when that is wanted and no sync is under way. */
  private work(lane: Lane): void {
    try {
      this.store.drain(lane.ring);
    } catch (error) {
      return this.failed(lane, error, []);
    }
    if (lane.wanted && !lane.busy) this.sync(lane);
  }

  private sync(lane: Lane): void {
    const tokens = lane.tokens.splice(0);
    lane.wanted = false;
    if (lane.ring === "capture") this.unsyncedBytes = 0;
    const job = this.store.startSync(lane.ring);
    if (job === null) return this.synced(lane, tokens);
    lane.busy = true;
    this.syncEach([...job.names], (error) => {
      lane.busy = false;
      const done = job.done(error);
      if (error !== null) return this.failed(lane, error, tokens);
      if (done) return this.synced(lane, tokens);
      // A write failed meanwhile: what was to be synced is written anew.
      lane.tokens.unshift(...tokens);
      lane.wanted = true;
      this.work(lane);
    });
  }

  private syncEach(names: string[], done: (error: Error | null) => void): void {
    const name = names.shift();
    if (name === undefined) return done(null);
    this.disk.syncLater(name, (error) => (error === null ? this.syncEach(names, done) : done(error)));
  }

  private synced(lane: Lane, tokens: readonly number[]): void {
    lane.failures = 0;
    for (const token of tokens) this.tell({ type: "finished", token, ok: true });
    if (this.degraded && Object.values(this.lanes).every((one) => one.failures === 0)) {
      this.degraded = false;
      this.tell({ type: "storage", state: "ok", detail: "" });
    }
    // What was lost for want of memory can be declared now; who came during the sync has his own.
    this.work(lane);
  }

  private failed(lane: Lane, error: unknown, tokens: readonly number[]): void {
    lane.failures++;
    lane.wanted = true;
    lane.tokens.unshift(...tokens);
    // The first time it may be one bad place: at once again, elsewhere.
    if (lane.failures === 1) return void setImmediate(() => this.work(lane));
    if (!this.degraded) this.tell({ type: "storage", state: "degraded", detail: `${lane.ring}: ${String(error)}` });
    this.degraded = true;
    for (const token of lane.tokens.splice(0)) this.tell({ type: "finished", token, ok: false });
    this.syncWithin(lane, RETRY_MS);
  }

  private answer(message: Exclude<ToWorker, { type: "ledger" | "capture" | "watched" | "close" }>): void {
    const { capture, ledger } = this.store;
    const { token } = message;
    switch (message.type) {
      case "read": {
        const { track, boot, from, to, limit } = message;
        const tell = (range: Range | null) => this.tell({ type: "range", token, range });
        const fresh = capture.readFresh(track, boot, from, to, limit);
        return fresh !== null ? tell(fresh) : this.ask(capture.reading(track, boot, from, to, limit), null, tell);
      }
      case "read-ledger": {
        const steps = ledger.reading(message.from, message.to, message.limit);
        return this.ask(steps, [], (records) => this.tell({ type: "ledger", token, records }));
      }
      case "read-last": {
        const records = this.orElse(() => ledger.readLast(message.count), []);
        return this.tell({ type: "ledger", token, records });
      }
      case "offset-at": {
        const steps = capture.seeking(message.track, message.boot, message.monoMs);
        return this.ask(steps, 0, (offset) => this.tell({ type: "offset", token, offset }));
      }
      case "stat":
        return this.ask(capture.counting(), {}, (stat) => this.tell({ type: "stat", token, stat }));
      case "ping":
        return this.tell({ type: "pong", token });
    }
  }

  /** At once where memory can tell, else in turn with the other questions, between what has to be written. */
  private ask<T>(steps: Steps<T>, instead: T, tell: (found: T) => void): void {
    const goOn = (): boolean => {
      const { done, value } = this.orElse(() => steps.next(), { done: true, value: instead });
      if (done === true) tell(value);
      return done === true;
    };
    if (goOn()) return;
    this.questions.push({ goOn, giveUp: () => tell(instead) });
    this.thinking ??= setImmediate(() => this.think());
  }

  private think(): void {
    this.thinking = null;
    const question = this.questions.shift();
    if (question !== undefined && !question.goOn()) this.questions.push(question);
    if (this.questions.length > 0) this.thinking = setImmediate(() => this.think());
  }

  /** A read that fails is told; what it was about counts as not there. */
  orElse<T>(read: () => T, instead: T): T {
    try {
      return read();
    } catch (error) {
      this.tell({ type: "note", code: "journal.unreadable", detail: String(error) });
      return instead;
    } finally {
      const all = [...this.store.ledger.ring.unreadable, ...this.store.capture.ring.unreadable];
      for (const detail of all.slice(this.unreadable)) this.tell({ type: "note", code: "journal.unreadable", detail });
      this.unreadable = all.length;
    }
  }

  private close(): void {
    if (this.thinking !== null) clearImmediate(this.thinking);
    for (const { giveUp } of this.questions.splice(0)) giveUp();
    for (const lane of Object.values(this.lanes)) if (lane.timer !== null) clearTimeout(lane.timer);
    try {
      this.store.finish();
    } catch (error) {
      this.tell({ type: "storage", state: "degraded", detail: `at the end: ${String(error)}` });
    }
    this.disk.close();
    this.tell({ type: "closed" });
  }
}

function newLane(ring: RingName): Lane {
  return { ring, failures: 0, busy: false, wanted: false, tokens: [], dueAtMs: 0, timer: null };
}
