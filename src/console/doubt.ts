/**
 * Whether bytes may be missing, from how full a terminal was found. A driver that finds the kernel's buffer full loses
 * bytes: behind what was in the buffer, or behind the rest that it had itself. So a real terminal may miss some at both
 * places. Behind a pseudo terminal sits a program that waits, and the kernel then gives a second full buffer at once,
 * sooner than any line could fill it; one that plays a UART and does not wait is taken for a real one.
 */
export interface Doubt {
  /** So many bytes were read; told before they are handed on. */
  found(bytes: number): void;
  /** That was all for now. */
  settle(): void;
}

/** What a terminal of Linux keeps for its reader, less its last byte (N_TTY_BUF_SIZE). */
const KERNEL_BUFFER_BYTES = 4_095;
/** A read of less than this has emptied the terminal. */
export const SHORT_BYTES = 1024;

/** At 921,600 baud a buffer is full in 44 ms. */
const AT_ONCE_MS = 40;

/** @param mayMiss bytes may be missing behind all that was handed on. */
export function createDoubt(
  writerMayWait: boolean,
  mayMiss: () => void,
  nowMs: () => number = () => performance.now(),
): Doubt {
  let state: "none" | "full" | "behind" | "waiting" = "none";
  let fullAtMs = 0;
  return {
    found(bytes) {
      const full = bytes >= KERNEL_BUFFER_BYTES;
      if (state === "none" && full) {
        state = "full";
        fullAtMs = nowMs();
      } else if (state === "full" && writerMayWait && full && nowMs() - fullAtMs < AT_ONCE_MS) state = "waiting";
      else if (state === "full") {
        mayMiss();
        state = "behind";
      }
    },
    settle() {
      if (state === "full" || state === "behind") mayMiss();
      state = "none";
    },
  };
}
