import type { CaptureSource } from "./capture-source.ts";
import { SkipHalfLine, WholeLines } from "./lines.ts";
import { GapsOnce, type Item, inOrder } from "./pieces.ts";
import { Interrupted } from "./site-source.ts";
import type { Plan } from "./spans.ts";

export interface PastHooks {
  readonly show: (item: Item) => void;
  /** Until who reads can take more. */
  readonly ready: () => Promise<void>;
  /** Bytes of the plan so far. */
  readonly progress: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Reads what was planned, in order and in whole lines: whatever ends it, what was shown can be gone on from. */
export class PastRead {
  /** Behind the last byte that was shown. */
  reached: { readonly boot: number; readonly offset: number } | null = null;
  /** Gaps that were told, so that who goes on does not tell them again. */
  readonly gaps = new GapsOnce();
  private readonly half: SkipHalfLine;
  private readonly whole = new WholeLines();
  private readonly source: CaptureSource;
  private readonly plan: Plan;
  private readonly hooks: PastHooks;

  constructor(source: CaptureSource, plan: Plan, hooks: PastHooks) {
    this.source = source;
    this.plan = plan;
    this.hooks = hooks;
    this.half = new SkipHalfLine(plan.cutsLine);
  }

  get totalBytes(): number {
    return this.plan.spans.reduce((sum, { from, to }) => sum + to - from, 0);
  }

  async run(): Promise<void> {
    let before = 0;
    for (const span of this.plan.spans) {
      this.reached ??= { boot: span.boot, offset: span.from };
      const base = before;
      const progress = (offset: number): void => this.hooks.progress(base + offset - span.from);
      for await (const step of this.source.read(span, progress)) {
        for (const item of inOrder(span.boot, step.chunks, this.gaps.fromRead(span.boot, step.gaps)))
          await this.take(item);
        progress(step.to);
        if (this.hooks.signal.aborted) throw new Interrupted();
      }
      before += span.to - span.from;
      await this.rest();
    }
  }

  private async take(item: Item): Promise<void> {
    if (item.chunk === undefined) {
      await this.rest();
      return this.hooks.show(item);
    }
    for (const chunk of this.half.push(item.chunk)) {
      // All of it or none: one piece ends the line that another one began.
      for (const piece of this.whole.push(chunk)) await this.show(piece);
      if (this.hooks.signal.aborted) throw new Interrupted();
    }
  }

  /** A gap, or the end: the line goes no further. */
  private async rest(): Promise<void> {
    for (const chunk of [...this.half.end(), ...this.whole.flush()]) await this.show(chunk);
  }

  private async show(chunk: NonNullable<Item["chunk"]>): Promise<void> {
    this.hooks.show({ chunk });
    this.reached = { boot: chunk.boot, offset: chunk.offset + chunk.data.length };
    await this.hooks.ready();
  }
}
