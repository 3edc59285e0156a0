import { parentPort, workerData } from "node:worker_threads";
import { openDisk } from "../disk/disk.ts";
import type { FromWorker, ToWorker, WorkerOptions } from "./journal.ts";
import { Keeper } from "./keeper.ts";
import { createPreparer } from "./preparer.ts";
import { JournalStore } from "./store.ts";

/** The journal's own thread: a card that stalls for seconds stops this and nothing else. */

const port = parentPort;
if (port === null) throw new Error("this is a worker");
const options = workerData as WorkerOptions;
const disk = openDisk(options.folder, "write");
const store = new JournalStore(disk, options);
const tell = (message: FromWorker): void => port.postMessage(message);
const keeper = new Keeper(store, disk, tell);

/** A full ring is read in the background, a segment at a time: capture and power do not wait for it. */
const WARM_EVERY_MS = 20;
const warming = setInterval(() => {
  if (!keeper.orElse(() => store.warm(), false)) clearInterval(warming);
}, WARM_EVERY_MS);
const preparer = createPreparer({ store, disk }, () => keeper.idle, tell);

port.on("message", (message: ToWorker) => {
  if (message.type === "close") {
    clearInterval(warming);
    preparer.stop();
  }
  keeper.handle(message);
  if (message.type === "close") port.close();
});
// Nobody waits for the first segment to be made.
tell({ type: "opened", recovered: store.recovered });
keeper.announce(options.tracks);
