import { missingIn, type Span } from "../core/ranges.ts";

/**
 * Of a console whose text is not worth its price on LTE: what it said just before something went wrong with its device,
 * and what it says just after. Bounded in an hour, since a device that dies each minute is one incident. Pure.
 */

const BEFORE_BYTES = 16 * 1024;
const AFTER_BYTES = 16 * 1024;
const AFTER_MS = 60_000;
/** What follows goes in pieces this far apart: each message costs more than a line of text. */
const EVERY_MS = 5_000;
const HOUR_MS = 3_600_000;
const HOUR_BYTES = 64 * 1024;

export class IncidentTail {
  private span: Span | null = null;
  private openUntilMs = Number.NEGATIVE_INFINITY;
  private endLimit = 0;
  private notBeforeMs = 0;
  private hourMs = Number.NEGATIVE_INFINITY;
  private left = HOUR_BYTES;

  begin(next: number, nowMs: number): void {
    const open = nowMs < this.openUntilMs;
    this.openUntilMs = nowMs + AFTER_MS;
    this.endLimit = next + AFTER_BYTES;
    // A second one in the same breath goes on where the first one is.
    if (this.span === null || !open) this.span = [Math.max(0, next - BEFORE_BYTES), next];
    else this.span = [this.span[0], Math.max(this.span[1], next)];
    if (!open) this.notBeforeMs = nowMs;
  }

  /** The track holds more. True when some of it belongs to an incident. */
  grown(next: number, nowMs: number): boolean {
    if (this.span === null || nowMs >= this.openUntilMs) return false;
    this.span = [this.span[0], Math.max(this.span[1], Math.min(next, this.endLimit))];
    return true;
  }

  /** What is to be sent now of what is not `covered`; null: nothing. */
  due(covered: readonly Span[], nowMs: number): Span | null {
    if (nowMs - this.hourMs >= HOUR_MS) {
      this.hourMs = nowMs;
      this.left = HOUR_BYTES;
    }
    if (this.span === null || nowMs < this.notBeforeMs) return null;
    const [missing] = missingIn(covered, this.span);
    if (missing === undefined || this.left <= 0) {
      this.span = [this.span[1], this.span[1]];
      if (nowMs >= this.openUntilMs) this.span = null;
      return null;
    }
    return [missing[0], Math.min(missing[1], missing[0] + this.left)];
  }

  sent(bytes: number, nowMs: number): void {
    this.left -= bytes;
    this.notBeforeMs = nowMs + EVERY_MS;
  }

  /** The journal or the connection could not take it now. */
  postpone(untilMs: number): void {
    this.notBeforeMs = Math.max(this.notBeforeMs, untilMs);
  }

  /** When to ask again; null: nothing waits. */
  dueAtMs(): number | null {
    return this.span !== null && this.span[1] > this.span[0] ? this.notBeforeMs : null;
  }
}
