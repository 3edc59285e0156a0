/**
 * When to ask a site how far its consoles go. After each interruption the end of what one said may have been lost on
 * the way here, and another receiver may have acknowledged it: nobody sends it again. It costs the site's bytes, so a
 * link that flaps waits for it.
 */

/** So long the site itself may bring what was under way. */
const AFTER_MS = 30_000;
const EVERY_MS = 600_000;

export class Probing {
  private start = "";
  private n: unknown = null;
  private at = 0;

  /** The collector's own connection was lost: the birth that the broker kept counts again. */
  interrupted(): void {
    this.n = null;
  }

  /** When to ask after this birth; null when it says nothing new. */
  born({ boot, start: started, n }: Readonly<Record<string, unknown>>, nowMs: number): number | null {
    const start = JSON.stringify([boot, started]);
    const same = start === this.start;
    if (same && n === this.n) return null;
    const later = this.at > nowMs ? this.at : Math.max(nowMs + AFTER_MS, this.at + EVERY_MS);
    Object.assign(this, { start, n, at: same ? later : nowMs });
    return this.at;
  }
}
