/**
 * Delays of a reconnect that never gives up: doubling to the cap, and the jitter after the cap, so that a fleet that
 * lost its broker at one moment does not come back at one moment.
 */
export function* backoff(firstMs: number, capMs: number, random: () => number): Generator<number, never> {
  for (let delay = firstMs; ; delay = Math.min(capMs, delay * 2)) yield Math.round(delay * (0.5 + random()));
}
