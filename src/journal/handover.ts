import { Losses } from "./losses.ts";
import type { CaptureItem } from "./store.ts";

/** What was handed to the worker and not taken yet: bounded, because a card may stall for longer than memory lasts. */
export class Handover {
  private readonly post: (items: readonly CaptureItem[], urgent: boolean, atMs: number, cost: number) => void;
  private readonly limit: number;
  private readonly losses = new Losses();
  private outstanding = 0;
  private atMs = 0;

  constructor(
    post: (items: readonly CaptureItem[], urgent: boolean, atMs: number, cost: number) => void,
    limitBytes = HANDOVER_LIMIT,
  ) {
    this.post = post;
    this.limit = limitBytes;
  }

  give(items: readonly CaptureItem[], urgent: boolean, atMs: number): void {
    this.atMs = atMs;
    const going: CaptureItem[] = [];
    let room = this.limit - this.outstanding;
    for (const item of items) {
      room -= costOf(item);
      if (room < 0) this.losses.lose(item);
      // Order holds within a track: what was lost of it is declared before what comes after.
      else {
        for (const loss of this.losses.declare(item.track)) going.push(loss);
        going.push(item);
      }
    }
    this.send(going, urgent);
  }

  /** The worker has taken so much off our hands. */
  taken(cost: number): void {
    this.outstanding = Math.max(0, this.outstanding - cost);
    if (this.losses.any && this.outstanding < this.limit / 2) this.send(this.losses.declare(), false);
  }

  private send(items: readonly CaptureItem[], urgent: boolean): void {
    if (items.length === 0) return;
    const cost = items.reduce((sum, item) => sum + costOf(item), 0);
    this.outstanding += cost;
    this.post(items, urgent, this.atMs, cost);
  }
}

/** 48 ports at 115200 baud for half a minute. */
const HANDOVER_LIMIT = 16 * 1024 * 1024;
const ITEM_COST = 200;

function costOf({ content }: CaptureItem): number {
  return ITEM_COST + ("data" in content ? content.data.length : 0);
}
