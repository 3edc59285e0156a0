import { readSync } from "node:fs";
import { createPollSet } from "../linux/poll.ts";
import { onReadable } from "./readiness.ts";

/**
 * Reads all open terminals in one tick. The kernel keeps 4 KiB for each, which lasts 44 ms at 921,600 baud, so 20 ms
 * is soon enough. One timer and one poll(2) cost a tenth of what a read per burst through the thread pool does
 * (`npm run bench -- capture`). A terminal that somebody watches is read as soon as bytes come.
 */
export interface Sweeper {
  /** Ticks so far while a terminal was open; null while none is. */
  sweeps(): number | null;
  add(fd: number, events: ReadEvents): Reading;
}

export interface ReadEvents {
  /** Valid until the call returns. */
  data(bytes: Uint8Array): void;
  /** After these bytes: the kernel held as much as it can, so what came next may not have fitted. */
  full(): void;
  hungUp(detail: string): void;
}

export interface Reading {
  /** At once, from now on, or again with the tick. */
  watch(on: boolean): void;
  /** Before the descriptor is closed. */
  remove(): void;
}

const TICK_MS = 20;
/** What a terminal of Linux keeps for its reader, less its last byte (N_TTY_BUF_SIZE). */
const KERNEL_BUFFER_BYTES = 4_095;
const READ_BYTES = 16 * 1024;
/** So much of one port in one tick, then the next port: a flood starves nobody. */
const READS_PER_TICK = 16;
/** A read of less than this has emptied the terminal. */
const SHORT_BYTES = 1024;

interface Entry {
  readonly fd: number;
  readonly events: ReadEvents;
  stopWatching: (() => void) | null;
}

/** @param behind true while what was read cannot be written as fast: then a flood waits in the kernel. */
export function createSweeper(behind: () => boolean = () => false): Sweeper {
  const entries = new Set<Entry>();
  const polled = createPollSet();
  const buffer = Buffer.alloc(READ_BYTES);
  let order: readonly Entry[] | null = null;
  let timer: NodeJS.Timeout | null = null;
  let sweeps = 0;

  const remove = (entry: Entry): boolean => {
    entry.stopWatching?.();
    entry.stopWatching = null;
    order = null;
    return entries.delete(entry);
  };

  const visit = (entry: Entry): void => {
    const fault = readAvailable(entry.fd, buffer, behind() ? 1 : READS_PER_TICK, entry.events);
    if (fault !== null && remove(entry)) entry.events.hungUp(fault);
  };

  const sweep = (): void => {
    sweeps++;
    if (order === null) {
      order = [...entries];
      polled.watch(order.map(({ fd }) => fd));
    }
    const now = order;
    for (const index of polled.ready()) {
      const entry = now[index];
      if (entry !== undefined && entries.has(entry)) visit(entry);
    }
    if (entries.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };

  return {
    sweeps: () => (entries.size === 0 ? null : sweeps),
    add(fd, events) {
      const entry: Entry = { fd, events, stopWatching: null };
      entries.add(entry);
      order = null;
      timer ??= setInterval(sweep, TICK_MS);
      return {
        watch(on) {
          if (on === (entry.stopWatching !== null) || !entries.has(entry)) return;
          entry.stopWatching?.();
          entry.stopWatching = on ? onReadable(fd, () => visit(entry)) : null;
        },
        remove: () => void remove(entry),
      };
    },
  };
}

/**
 * Reads what is there. Null when the port is quiet or has more for the next tick, else why it is gone. After a read that
 * found all that the kernel can hold, and after the rest that the driver had behind it, bytes may be missing.
 */
export function readAvailable(
  fd: number,
  buffer: Buffer,
  reads: number,
  { data, full: mayMiss }: Pick<ReadEvents, "data" | "full">,
): string | null {
  let full = false;
  for (let count = 0; count < reads; count++) {
    const length = readOnce(fd, buffer);
    if (typeof length === "string") return length === "EAGAIN" ? null : `read: ${length}`;
    // A terminal that reads nothing where EAGAIN was due has been hung up; asking again would spin.
    if (length === 0) return HANG_UP;
    data(buffer.subarray(0, length));
    full ||= length >= KERNEL_BUFFER_BYTES;
    if (full) mayMiss();
    if (length < SHORT_BYTES) break;
  }
  return null;
}

export const HANG_UP = "hang-up";

/** How many bytes, or the error's name. */
function readOnce(fd: number, buffer: Buffer): number | string {
  try {
    return readSync(fd, buffer, 0, buffer.length, null);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
