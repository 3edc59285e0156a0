import type { Chunk } from "../protocol/chunk.ts";
import type { ClockAt, RangeReply } from "./answers.ts";

/** Where captured text is read from: a site, the card of a dead one, or a folder of a receiver. */

export type DeclaredGap = RangeReply["gaps"][number];

/** What is held of one boot of the site's machine. */
export interface HeldBoot {
  readonly boot: number;
  readonly first: number;
  readonly next: number;
  /** Of the first byte held; null where it is not told. */
  readonly firstMonoMs: number | null;
}

export interface Extent {
  /** Oldest first. */
  readonly boots: readonly HeldBoot[];
  readonly clocks: readonly ClockAt[];
  /** The boot that still goes on: there "an hour ago" needs no calendar. */
  readonly current: number | null;
}

/** Bytes `[from, to)` of one boot. */
export interface Span {
  readonly boot: number;
  readonly from: number;
  readonly to: number;
}

/** A part of a span, small enough to hold: its bytes, its gaps, and where it ended. */
export interface Step {
  readonly chunks: readonly Chunk[];
  readonly gaps: readonly DeclaredGap[];
  readonly to: number;
}

export interface CaptureSource {
  extent(): Promise<Extent>;
  /** Offset of the first byte at or after that time of a boot. */
  offsetAt(boot: number, at: { readonly monoMs: number } | { readonly agoMs: number }): Promise<number>;
  /** In order, each byte once. `progress` hears the offset that was reached, also before a part is whole. */
  read(span: Span, progress?: (offset: number) => void): AsyncIterable<Step>;
}

/** The console is not one of theirs: exit 3. */
export class UnknownConsole extends Error {}

/** What came cannot be used: exit 4. */
export class ReadFailed extends Error {}
