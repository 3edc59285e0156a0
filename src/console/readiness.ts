import { createRequire } from "node:module";
import { isMainThread } from "node:worker_threads";

/**
 * Told by the kernel when a terminal has something to read (`uv_poll`). Node offers that only inside serialport's
 * binding, by a path that is no public export: it is named here and nowhere else, and `test/console/readiness.test.ts`
 * pins what of it is used.
 */

interface Poller {
  /** One event, then it must be asked again; an error when the terminal ended or `stop` was called. */
  once(event: "readable", callback: (error: Error | null) => void): unknown;
  stop(): void;
}

const fromSerialport = createRequire(createRequire(import.meta.url).resolve("serialport"));
let Made: (new (fd: number) => Poller) | null = null;
/** By descriptor number, for ever: the addon never gives one back, and its `destroy` leaves the number occupied. */
const pollers = new Map<number, Poller>();

/**
 * Calls back whenever a read of the descriptor would answer, its end included, until it is told to stop: that must be
 * before the descriptor is closed.
 */
export function onReadable(fd: number, read: () => void): () => void {
  // The addon posts to the main thread's loop, whoever asks: elsewhere the sweeper's tick must do.
  if (!isMainThread) return () => undefined;
  const poller = pollerOf(fd);
  let stopped = false;
  const arm = (): void => {
    poller.once("readable", () => {
      if (stopped) return;
      // An error is not told apart: the read says what it is.
      read();
      if (!stopped) arm();
    });
  };
  arm();
  return () => {
    if (stopped) return;
    stopped = true;
    poller.stop();
  };
}

function pollerOf(fd: number): Poller {
  Made ??= (fromSerialport("@serialport/bindings-cpp/dist/poller.js") as { Poller: new (fd: number) => Poller }).Poller;
  const made = pollers.get(fd) ?? new Made(fd);
  pollers.set(fd, made);
  return made;
}
