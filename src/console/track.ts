import type { Gap } from "../journal/range.ts";
import type { Batch } from "./batch.ts";

/** One ordered sequence of bytes of a console: gives each its offset, and says where some are missing. */
export interface Track {
  readonly name: string;
  /** Offset of the next byte. */
  next(): number;
  data(bytes: Uint8Array, urgent: boolean): void;
  gap(cause: Gap["cause"], length: number | null): void;
  /** Declares what was dropped and not told yet. */
  settle(): void;
}

export interface TrackOptions {
  readonly name: string;
  readonly boot: number;
  readonly next: number;
  readonly monoMs: () => number;
  readonly batch: Batch;
  readonly told: (gap: Gap & { readonly offset: number }) => void;
}

export function createTrack({ name, boot, monoMs, batch, told, ...options }: TrackOptions): Track {
  let next = options.next;
  /** Bytes that the journal had no room for, the last of them just before `next`. */
  let dropped = 0;

  const put = (offset: number, gap: Gap): void => {
    batch.add({ track: name, boot, offset, monoMs: monoMs(), content: { gap } }, false);
    told({ ...gap, offset });
  };

  const settle = (): void => {
    if (dropped > 0) put(next - dropped, { cause: "overrun", length: dropped });
    dropped = 0;
  };

  return {
    name,
    next: () => next,
    data(bytes, urgent) {
      if (batch.roomFor(bytes.length)) {
        settle();
        batch.add({ track: name, boot, offset: next, monoMs: monoMs(), content: { data: bytes } }, urgent);
      } else dropped += bytes.length;
      next += bytes.length;
    },
    gap(cause, length) {
      settle();
      put(next, { cause, length });
    },
    settle,
  };
}
