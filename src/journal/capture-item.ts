import type { Gap } from "./range.ts";

/** Where a capture track ends: the offset of its next byte in its last boot. */
export interface TrackHead {
  readonly boot: number;
  readonly next: number;
}

export interface CaptureItem {
  readonly track: string;
  readonly boot: number;
  readonly offset: number;
  readonly monoMs: number;
  readonly content: { readonly data: Uint8Array } | { readonly gap: Gap };
}

export interface TrackStat {
  readonly boots: readonly { boot: number; first: number; next: number; firstMonoMs: number }[];
  readonly bytes: number;
  readonly gaps: number;
}
