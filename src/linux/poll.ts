import koffi from "koffi";

/** poll(2) over many descriptors at once: which of them have something to read, or have ended. Never waits. */
export interface PollSet {
  /** The descriptors from now on, in the order in which `ready` tells of them. */
  watch(fds: readonly number[]): void;
  /** Indices of those that a read would answer at once, an end of file or an error included. */
  ready(): readonly number[];
}

const POLLIN = 1;
/** `struct pollfd`: int fd, short events, short revents. */
const ENTRY_BYTES = 8;

type Poll = (fds: Uint8Array, count: number, timeoutMs: number) => number;
let poll: Poll | null = null;

export function createPollSet(): PollSet {
  poll ??= koffi.load("libc.so.6").func("int poll(void *fds, unsigned long count, int timeout)");
  const call = poll;
  let entries = Buffer.alloc(0);
  let count = 0;
  return {
    watch(fds) {
      count = fds.length;
      entries = Buffer.alloc(count * ENTRY_BYTES);
      for (const [index, fd] of fds.entries()) {
        entries.writeInt32LE(fd, index * ENTRY_BYTES);
        entries.writeInt16LE(POLLIN, index * ENTRY_BYTES + 4);
      }
    },
    ready() {
      const found: number[] = [];
      if (count === 0 || call(entries, count, 0) <= 0) return found;
      for (let index = 0; index < count; index++) {
        if (entries.readInt16LE(index * ENTRY_BYTES + 6) !== 0) found.push(index);
      }
      return found;
    },
  };
}
