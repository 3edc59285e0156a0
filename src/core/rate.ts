import type { RateLimit } from "./plan.ts";

/** A rate as it is told to who is refused by it: `6 in 60 min`, and when there is room again. */
export interface OverRate {
  readonly said: string;
  readonly retryAfterMs: number;
}

/** Null while one more is allowed. @param times when it was done before, oldest first, in the same clock as `nowMs`. */
export function overRate(times: readonly number[], { max, perMs }: RateLimit, nowMs: number): OverRate | null {
  const ends = times.map((at) => at + perMs).filter((end) => end > nowMs);
  if (ends.length < max) return null;
  const roomAtMs = Math.min(...ends.slice(-max));
  return { said: `${max} in ${perMs / 60_000} min`, retryAfterMs: Math.ceil(roomAtMs - nowMs) };
}
