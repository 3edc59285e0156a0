import { Worker } from "node:worker_threads";
import { Handover } from "./handover.ts";
import { createPacker, type Packed } from "./packing.ts";
import type { Range } from "./range.ts";
import type { CaptureItem, LedgerLine, Quota, Recovered, TrackStat } from "./store.ts";

/** The main thread's end of the journal: it hands over and is told; it never waits for the card. */

export interface WorkerOptions extends Quota {
  readonly folder: string;
  readonly tracks: readonly string[];
}

export type ToWorker =
  | { type: "ledger"; records: readonly LedgerLine[]; snapshot: string; sync: boolean; token: number | null }
  | { type: "capture"; packed: Packed; urgent: boolean; atMs: number; cost: number }
  | { type: "watched"; untilMs: number }
  | { type: "read"; token: number; track: string; boot: number | null; from: number; to: number; limit: number }
  | { type: "offset-at"; token: number; track: string; boot: number | null; monoMs: number }
  | { type: "stat"; token: number }
  | { type: "read-ledger"; token: number; from: number; to: number; limit: number }
  | { type: "read-last"; token: number; count: number }
  | { type: "ping"; token: number }
  | { type: "close" };

export type FromWorker =
  | { type: "opened"; recovered: Recovered }
  | { type: "finished"; token: number; ok: boolean }
  | { type: "taken"; cost: number }
  | { type: "storage"; state: "ok" | "degraded"; detail: string }
  | { type: "note"; code: string; detail: string }
  | { type: "range"; token: number; range: Range | null }
  | { type: "ledger"; token: number; records: string[] }
  | { type: "offset"; token: number; offset: number }
  | { type: "stat"; token: number; stat: Record<string, TrackStat> }
  | { type: "pong"; token: number }
  | { type: "closed" };

export interface JournalEvents {
  onFinished(token: number, ok: boolean): void;
  onStorage(state: "ok" | "degraded", detail: string): void;
  /** Something that a person should know and that stops nothing: for the log. */
  onNote?(code: string, detail: string): void;
  /** The worker died: nothing is recorded any more. */
  onLost(error: Error): void;
}

export interface Journal {
  readonly recovered: Recovered;
  appendLedger(records: readonly LedgerLine[], snapshot: string, sync: boolean, token: number | null): void;
  appendCapture(items: readonly CaptureItem[], urgent: boolean, atMs: number): void;
  watched(untilMs: number): void;
  readCapture(track: string, boot: number | null, from: number, to: number, limit: number): Promise<Range | null>;
  offsetAt(track: string, boot: number | null, monoMs: number): Promise<number>;
  stats(): Promise<Record<string, TrackStat>>;
  readLedger(from: number, to: number, limit: number): Promise<string[]>;
  /** The last records, oldest first, without reading the whole ledger. */
  readLastLedger(count: number): Promise<string[]>;
  /** Answered once everything handed over before has been worked on. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The compiled tree holds `worker.js`; a checkout starts the TypeScript through a small loader. */
function workerFile(): URL {
  return new URL(import.meta.url.endsWith(".ts") ? "./worker.mjs" : "./worker.js", import.meta.url);
}

/** Console text lives for a moment: a small young generation is collected often and keeps the whole process small. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 3 };

export function openJournal(options: WorkerOptions, events: JournalEvents): Promise<Journal> {
  const worker = new Worker(workerFile(), { workerData: options, resourceLimits: WORKER_LIMITS });
  const pack = createPacker();
  const handover = new Handover((items, urgent, atMs, cost) => {
    const packed = pack(items);
    const message: ToWorker = { type: "capture", packed, urgent, atMs, cost };
    worker.postMessage(message, [packed.block]);
  });
  const waiting = new Map<number, (message: FromWorker) => void>();
  let nextToken = 1;
  let closing: (() => void) | null = null;

  const ask = <T>(make: (token: number) => ToWorker, take: (message: FromWorker) => T): Promise<T> =>
    new Promise((resolve) => {
      const token = nextToken++;
      waiting.set(token, (message) => resolve(take(message)));
      worker.postMessage(make(token));
    });

  return new Promise((resolve, reject) => {
    worker.on("error", (error: Error) => {
      reject(error);
      events.onLost(error);
    });
    worker.on("message", (message: FromWorker) => {
      switch (message.type) {
        case "opened":
          return resolve(handle(message));
        case "finished":
          return events.onFinished(message.token, message.ok);
        case "taken":
          return handover.taken(message.cost);
        case "storage":
          return events.onStorage(message.state, message.detail);
        case "note":
          return events.onNote?.(message.code, message.detail);
        case "closed":
          return closing?.();
        default:
          waiting.get(message.token)?.(message);
          waiting.delete(message.token);
      }
    });
  });

  function handle(opened: Extract<FromWorker, { type: "opened" }>): Journal {
    return {
      recovered: opened.recovered,
      appendLedger: (records, snapshot, sync, token) => post({ type: "ledger", records, snapshot, sync, token }),
      appendCapture: (items, urgent, atMs) => handover.give(items, urgent, atMs),
      watched: (untilMs) => post({ type: "watched", untilMs }),
      readCapture: (track, boot, from, to, limit) =>
        ask(
          (token) => ({ type: "read", token, track, boot, from, to, limit }),
          (message) => (message.type === "range" ? message.range : null),
        ),
      offsetAt: (track, boot, monoMs) =>
        ask(
          (token) => ({ type: "offset-at", token, track, boot, monoMs }),
          (message) => (message.type === "offset" ? message.offset : 0),
        ),
      stats: () =>
        ask(
          (token) => ({ type: "stat", token }),
          (message) => (message.type === "stat" ? message.stat : {}),
        ),
      readLedger: (from, to, limit) =>
        ask(
          (token) => ({ type: "read-ledger", token, from, to, limit }),
          (message) => (message.type === "ledger" ? message.records : []),
        ),
      readLastLedger: (count) =>
        ask(
          (token) => ({ type: "read-last", token, count }),
          (message) => (message.type === "ledger" ? message.records : []),
        ),
      ping: () =>
        ask(
          (token) => ({ type: "ping", token }),
          () => undefined,
        ),
      close: () =>
        new Promise((resolve) => {
          closing = resolve;
          post({ type: "close" });
        }),
    };
  }

  function post(message: ToWorker): void {
    worker.postMessage(message);
  }
}
