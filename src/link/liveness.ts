/**
 * Whether the other side still answers: a deadline of our own for what wants an answer, since the protocol's keepalive
 * finds a dead connection only after one and a half of its intervals. Any byte from there counts as a sign of life, so
 * that a slow line is not taken for a dead one. Pure.
 */

const ANSWER_MS = 20_000;
/** While something is going on. */
const URGENT_MS = 10_000;
const URGENT_FOR_MS = 300_000;

export class Liveness {
  private wanted = 0;
  private sinceMs = 0;
  private heardMs: number;
  private silentMs = 0;
  private urgentUntilMs = Number.NEGATIVE_INFINITY;

  constructor(nowMs: number) {
    this.heardMs = nowMs;
  }

  /** Something left that wants an answer. */
  asked(nowMs: number): void {
    if (this.wanted++ > 0) return;
    this.sinceMs = nowMs;
    this.silentMs = nowMs - this.heardMs;
  }

  /** An answer came to one of them. */
  answered(): void {
    this.wanted = Math.max(0, this.wanted - 1);
  }

  /** Bytes came. */
  heard(nowMs: number): void {
    this.heardMs = nowMs;
    this.sinceMs = nowMs;
    this.silentMs = 0;
  }

  /** Something is going on that a dead connection must not hide: deadlines are shorter for a while. */
  alert(nowMs: number): void {
    this.urgentUntilMs = nowMs + URGENT_FOR_MS;
    // Whoever waits already waits no longer for it than he would have.
    this.sinceMs = Math.min(this.sinceMs + ANSWER_MS - URGENT_MS, nowMs);
  }

  /** Whether an answer is waited for already. */
  get waits(): boolean {
    return this.wanted > 0;
  }

  /** When it counts as dead unless something comes; null: nothing is waited for. */
  deadAtMs(nowMs: number): number | null {
    if (this.wanted === 0) return null;
    return this.sinceMs + (nowMs < this.urgentUntilMs ? URGENT_MS : ANSWER_MS);
  }

  /** How long the line had been silent before that to which no answer came; 0 where it was not. */
  get silentBeforeMs(): number {
    return this.wanted > 0 ? this.silentMs : 0;
  }
}
