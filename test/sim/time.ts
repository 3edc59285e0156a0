import type { Clock } from "../../src/site/edges.ts";

/** One virtual clock for a whole world. Nothing happens but what was put on it. */
export class VirtualTime {
  nowMs = 1_000;
  private queue: { atMs: number; order: number; run: () => void }[] = [];
  private order = 0;

  after(ms: number, run: () => void): () => void {
    const entry = { atMs: this.nowMs + Math.max(0, ms), order: this.order++, run };
    this.queue.push(entry);
    return () => {
      this.queue = this.queue.filter((one) => one !== entry);
    };
  }

  /** Runs what is due until `untilMs`; returns how many things happened. */
  runUntil(untilMs: number): number {
    let count = 0;
    for (;;) {
      const next = this.queue.reduce<(typeof this.queue)[number] | null>(
        (best, one) =>
          best === null || one.atMs < best.atMs || (one.atMs === best.atMs && one.order < best.order) ? one : best,
        null,
      );
      if (next === null || next.atMs > untilMs) break;
      this.queue = this.queue.filter((one) => one !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      count++;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    return count;
  }

  /** The monotonic clock of a machine that booted at `bootedAtMs`. */
  clock(bootedAtMs: number, guard: (run: () => void) => void, lateMs: () => number): Clock {
    return {
      monoMs: () => this.nowMs - bootedAtMs,
      at: (monoMs, wake) => this.after(monoMs + bootedAtMs - this.nowMs + lateMs(), () => guard(wake)),
    };
  }
}
