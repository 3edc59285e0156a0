import { parentPort, workerData } from "node:worker_threads";
import { openDisk } from "../disk/disk.ts";
import { type FromWorker, type ToWorker, unpack, type WorkerOptions } from "./journal.ts";
import { JournalStore } from "./store.ts";

/** The journal's own thread: a card that stalls for seconds stops this and nothing else. */

const SYNC_BYTES = 64 * 1024;
const SYNC_MS = 5_000;
const SYNC_WATCHED_MS = 1_000;
const RETRY_MS = 1_000;

const port = parentPort;
if (port === null) throw new Error("this is a worker");
const options = workerData as WorkerOptions;
const store = new JournalStore(openDisk(options.folder, "write"), options);
store.announce(options.tracks);

let unsyncedBytes = 0;
let watchedUntil = 0;
let degraded = false;
let timer: NodeJS.Timeout | null = null;

function tell(message: FromWorker): void {
  port?.postMessage(message);
}

/** Runs a piece of disk work; a refusal is told once, and so is the return. */
function attempt(work: () => void): boolean {
  try {
    work();
    if (degraded) tell({ type: "storage", state: "ok", detail: "" });
    degraded = false;
    return true;
  } catch (error) {
    if (!degraded) tell({ type: "storage", state: "degraded", detail: String(error) });
    degraded = true;
    schedule(RETRY_MS);
    return false;
  }
}

function schedule(ms: number): void {
  if (timer !== null) return;
  timer = setTimeout(() => {
    timer = null;
    attempt(() => {
      store.drain();
      // What was refused before may be a decision: it is synced as soon as the disk takes it.
      store.sync("ledger");
      store.sync("capture");
      unsyncedBytes = 0;
    });
  }, ms);
}

function handle(message: ToWorker): void {
  switch (message.type) {
    case "ledger": {
      const ok = attempt(() => {
        store.appendLedger(message.records, message.snapshot);
        if (message.sync) store.sync("ledger");
      });
      if (message.token !== null) tell({ type: "finished", token: message.token, ok });
      return;
    }
    case "capture": {
      unsyncedBytes += message.bytes.length;
      const now = unsyncedBytes >= SYNC_BYTES || message.urgent;
      attempt(() => {
        store.appendCapture(unpack(message.items, message.bytes));
        if (!now) return;
        store.sync("capture");
        unsyncedBytes = 0;
      });
      return schedule(message.atMs < watchedUntil ? SYNC_WATCHED_MS : SYNC_MS);
    }
    case "watched":
      watchedUntil = message.untilMs;
      return;
    case "read":
      return tell({
        type: "range",
        token: message.token,
        range: orElse(
          () => store.readCapture(message.track, message.boot, message.from, message.to, message.limit),
          null,
        ),
      });
    case "read-ledger":
      return tell({
        type: "ledger",
        token: message.token,
        records: orElse(() => store.readLedger(message.from, message.to, message.limit), []),
      });
    case "offset-at":
      return tell({
        type: "offset",
        token: message.token,
        offset: orElse(() => store.offsetAt(message.track, message.boot, message.monoMs), 0),
      });
    case "stat":
      return tell({ type: "stat", token: message.token, stat: orElse(() => store.stat(), {}) });
    case "ping":
      return tell({ type: "pong", token: message.token });
    case "close":
      attempt(() => {
        store.drain();
        store.sync("capture");
        store.sync("ledger");
      });
      if (timer !== null) clearTimeout(timer);
      clearInterval(warming);
      tell({ type: "closed" });
      port?.close();
      return;
  }
}

function orElse<T>(read: () => T, instead: T): T {
  try {
    return read();
  } catch (error) {
    if (!degraded) tell({ type: "storage", state: "degraded", detail: `read: ${String(error)}` });
    degraded = true;
    schedule(RETRY_MS);
    return instead;
  }
}

/** A full ring is read in the background, a segment at a time: capture and power do not wait for it. */
const WARM_EVERY_MS = 20;
const warming = setInterval(() => {
  if (!orElse(() => store.warm(), false)) clearInterval(warming);
}, WARM_EVERY_MS);

port.on("message", handle);
tell({ type: "opened", recovered: store.recovered });
