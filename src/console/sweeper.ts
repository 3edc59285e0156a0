import { readSync } from "node:fs";

/**
 * Reads all open terminals in one tick. The kernel keeps 4 KiB for each, which lasts 44 ms at 921,600 baud, so 20 ms
 * is soon enough; a burst is read again at once. One timer costs a tenth of what a read per burst through the thread
 * pool does (`npm run bench -- capture`).
 */
export interface Sweeper {
  /** Ticks so far while a terminal was open; null while none is. */
  sweeps(): number | null;
  add(fd: number, events: { data(bytes: Uint8Array): void; hungUp(detail: string): void }): () => void;
}

const TICK_MS = 20;
const READ_BYTES = 16 * 1024;
/** So much of one port in one tick, then the next port: a flood starves nobody. */
const READS_PER_TICK = 4;

export function createSweeper(): Sweeper {
  const entries = new Set<{ fd: number; events: Parameters<Sweeper["add"]>[1] }>();
  const buffer = Buffer.alloc(READ_BYTES);
  let timer: NodeJS.Timeout | null = null;

  let sweeps = 0;

  const sweep = (): void => {
    sweeps++;
    for (const entry of [...entries]) {
      const fault = readAvailable(entry.fd, buffer, READS_PER_TICK, (bytes) => entry.events.data(bytes));
      if (fault === null || !entries.delete(entry)) continue;
      entry.events.hungUp(fault);
    }
    if (entries.size === 0 && timer !== null) {
      clearInterval(timer);
      timer = null;
    }
  };

  return {
    sweeps: () => (entries.size === 0 ? null : sweeps),
    add(fd, events) {
      const entry = { fd, events };
      entries.add(entry);
      timer ??= setInterval(sweep, TICK_MS);
      return () => void entries.delete(entry);
    },
  };
}

/** Reads what is there. Null when the port is quiet or has more for the next tick, else why it is gone. */
export function readAvailable(
  fd: number,
  buffer: Buffer,
  reads: number,
  take: (bytes: Uint8Array) => void,
): string | null {
  for (let count = 0; count < reads; count++) {
    const length = readOnce(fd, buffer);
    if (typeof length === "string") return length === "EAGAIN" ? null : `read: ${length}`;
    // A terminal that reads nothing where EAGAIN was due has been hung up; asking again would spin.
    if (length === 0) return HANG_UP;
    take(Uint8Array.prototype.slice.call(buffer, 0, length));
    if (length < buffer.length / 4) return null;
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
