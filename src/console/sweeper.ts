import { readSync } from "node:fs";
import { createPollSet } from "../linux/poll.ts";
import { isPseudoTerminal } from "../linux/tty.ts";
import { createDoubt, type Doubt, SHORT_BYTES } from "./doubt.ts";
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
const READ_BYTES = 16 * 1024;
/** So much of one port in one tick: a flood starves nobody. */
const READS_PER_TICK = 16;

interface Entry {
  readonly fd: number;
  readonly events: ReadEvents;
  readonly doubt: Doubt;
  /** One read of it, then the others': what a pseudo terminal has behind its buffer takes the kernel a moment. */
  readonly inTurns: boolean;
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

  /** True when there may be more at once. */
  const visit = (entry: Entry, reads: number): boolean => {
    const { fault, more } = readSome(entry.fd, buffer, reads, entry.doubt, entry.events.data);
    if (more && entry.inTurns) return true;
    entry.doubt.settle();
    if (fault !== null && remove(entry)) entry.events.hungUp(fault);
    return false;
  };

  const readAtOnce = (entry: Entry): void => {
    visit(entry, behind() ? 1 : READS_PER_TICK);
    entry.doubt.settle();
  };

  /** In rounds: a flood fills the kernel's buffer anew while the others are read. */
  const readRounds = (all: readonly Entry[]): void => {
    let more: Set<Entry> | null = null;
    for (let round = 0; round < READS_PER_TICK && more?.size !== 0; round++) {
      const due: Set<Entry> | null = more;
      const next = new Set<Entry>();
      for (const index of polled.ready()) {
        const entry = all[index];
        if (entry === undefined || !entries.has(entry) || due?.has(entry) === false) continue;
        const reads = behind() || entry.inTurns ? 1 : READS_PER_TICK;
        if (visit(entry, reads)) next.add(entry);
      }
      for (const entry of due ?? []) if (!next.has(entry)) entry.doubt.settle();
      more = next;
      if (behind()) break;
    }
    for (const entry of more ?? []) entry.doubt.settle();
  };

  const sweep = (): void => {
    sweeps++;
    if (order === null) {
      order = [...entries];
      polled.watch(order.map(({ fd }) => fd));
    }
    readRounds(order);
    if (entries.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };

  return {
    sweeps: () => (entries.size === 0 ? null : sweeps),
    add(fd, events) {
      const inTurns = isPseudoTerminal(fd);
      const doubt = createDoubt(inTurns, events.full);
      const entry: Entry = { fd, events, doubt, inTurns, stopWatching: null };
      entries.add(entry);
      order = null;
      timer ??= setInterval(sweep, TICK_MS);
      return {
        watch(on) {
          if (on === (entry.stopWatching !== null) || !entries.has(entry)) return;
          entry.stopWatching?.();
          entry.stopWatching = on ? onReadable(fd, () => readAtOnce(entry)) : null;
        },
        remove: () => void remove(entry),
      };
    },
  };
}

/** Reads what is there. Null when the port is quiet or has more for the next time, else why it is gone. */
export function readAvailable(
  fd: number,
  buffer: Buffer,
  reads: number,
  { data, full }: Pick<ReadEvents, "data" | "full">,
): string | null {
  const doubt = createDoubt(false, full);
  const { fault } = readSome(fd, buffer, reads, doubt, data);
  doubt.settle();
  return fault;
}

interface Found {
  readonly fault: string | null;
  readonly more: boolean;
}

const QUIET: Found = { fault: null, more: false };
const MORE: Found = { fault: null, more: true };

function readSome(fd: number, buffer: Buffer, reads: number, doubt: Doubt, data: ReadEvents["data"]): Found {
  for (let count = 0; count < reads; count++) {
    const length = readOnce(fd, buffer);
    if (typeof length === "string") return length === "EAGAIN" ? QUIET : { fault: `read: ${length}`, more: false };
    // A terminal that reads nothing where EAGAIN was due has been hung up; asking again would spin.
    if (length === 0) return { fault: HANG_UP, more: false };
    doubt.found(length);
    data(buffer.subarray(0, length));
    if (length < SHORT_BYTES) return QUIET;
  }
  return MORE;
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
