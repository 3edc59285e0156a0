/**
 * How much of a stream may be under way. It grows while the round trip stays near the shortest one seen and shrinks when
 * a queue stands before us: then a command or a keystroke waits about as long as the allowed queue, whatever the rate.
 */

const WINDOW_LEAST = 4 * 1024;
export const WINDOW_MOST = 128 * 1024;
const WINDOW_FIRST = 32 * 1024;
/** What a queue may cost who comes after. */
const QUEUE_MS = 350;
/** An uplink may have changed: a shortest round trip is believed so long. */
const SHORTEST_FOR_MS = 20_000;
const RTO_LEAST_MS = 1_000;
const RTO_FIRST_MS = 3_000;
const RTO_MOST_MS = 20_000;

export class StreamWindow {
  bytes = WINDOW_FIRST;
  private smooth: number | null = null;
  private vary = 0;
  private shortest: { ms: number; atMs: number } | null = null;
  private before: number | null = null;
  private strikes = 0;

  /** @param full whether the window was what held us up. */
  sample(rttMs: number, full: boolean, nowMs: number): void {
    this.strikes = 0;
    this.vary = this.smooth === null ? rttMs / 2 : 0.75 * this.vary + 0.25 * Math.abs(this.smooth - rttMs);
    this.smooth = this.smooth === null ? rttMs : 0.875 * this.smooth + 0.125 * rttMs;
    if (this.shortest === null || nowMs - this.shortest.atMs > SHORTEST_FOR_MS) {
      this.before = this.shortest?.ms ?? null;
      this.shortest = { ms: rttMs, atMs: nowMs };
    } else if (rttMs < this.shortest.ms) this.shortest = { ...this.shortest, ms: rttMs };
    const queueMs = rttMs - Math.min(this.shortest.ms, this.before ?? this.shortest.ms);
    if (queueMs > QUEUE_MS) this.resize(0.75);
    else if (full) this.resize(1.5);
  }

  /** Nothing was heard of what was sent. */
  timedOut(): void {
    this.strikes++;
    this.resize(0.5);
  }

  /** Another path, most likely: nothing that was measured holds. */
  reconnected(): void {
    this.strikes = 0;
    this.smooth = null;
    this.shortest = null;
    this.before = null;
  }

  heard(): void {
    this.strikes = 0;
  }

  rtoMs(): number {
    const base = this.smooth === null ? RTO_FIRST_MS : Math.max(RTO_LEAST_MS, this.smooth + 4 * this.vary + 200);
    return Math.min(RTO_MOST_MS, base * 2 ** Math.min(this.strikes, 5));
  }

  private resize(factor: number): void {
    this.bytes = Math.round(Math.min(WINDOW_MOST, Math.max(WINDOW_LEAST, this.bytes * factor)));
  }
}
