import type { Clock } from "../../src/site/edges.ts";

/** One virtual clock for a whole world. Nothing happens but what was put on it. */
export class VirtualTime {
  nowMs = 1_000;
  /** A binary heap: the first thing to come is at the top. */
  private readonly heap: Entry[] = [];
  private order = 0;

  after(ms: number, run: () => void): () => void {
    const entry: Entry = { atMs: this.nowMs + Math.max(0, ms), order: this.order++, run };
    this.heap.push(entry);
    this.rise(this.heap.length - 1);
    return () => {
      entry.run = null;
    };
  }

  /** Runs what is due until `untilMs`; returns how many things happened. */
  runUntil(untilMs: number): number {
    let count = 0;
    for (let top = this.heap[0]; top !== undefined && top.atMs <= untilMs; top = this.heap[0]) {
      this.takeTop();
      if (top.run === null) continue;
      this.nowMs = Math.max(this.nowMs, top.atMs);
      top.run();
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

  private takeTop(): void {
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink(0);
  }

  private rise(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!this.swapIfLater(parent, at)) return;
      at = parent;
    }
  }

  private sink(from: number): void {
    for (let at = from; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const child = right < this.heap.length && earlier(this.heap[right], this.heap[left]) ? right : left;
      if (child >= this.heap.length || !this.swapIfLater(at, child)) return;
      at = child;
    }
  }

  private swapIfLater(above: number, below: number): boolean {
    const [one, other] = [this.heap[above], this.heap[below]];
    if (one === undefined || other === undefined || !earlier(other, one)) return false;
    this.heap[above] = other;
    this.heap[below] = one;
    return true;
  }
}

interface Entry {
  readonly atMs: number;
  readonly order: number;
  /** Null when it was cancelled. */
  run: (() => void) | null;
}

function earlier(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === undefined || other === undefined) return one !== undefined;
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
