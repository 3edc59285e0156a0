import { PANIC, PANIC_LOOK_BACK } from "../core/panic.ts";
import type { HookEvent } from "./hooks.ts";
import type { Item, TrackStore } from "./track-store.ts";

/** What of the newly stored a person wants to know at once: gaps, and text that sounds like a device in trouble. */

const EVIDENCE_BYTES = 4_096;
const EVIDENCE_LINES = 20;
const AFTER_BYTES = 1_024;
/** A device that panics says so many times; what came in between is counted. */
const QUIET_MS = 30_000;
const ALL = new RegExp(PANIC.source, "gi");

export class TrackAlarms {
  private quietUntil = 0;
  private counted = 0;

  /** @param items as they were stored, in order. */
  of(store: TrackStore, items: readonly Item[], nowMs: number): HookEvent[] {
    return items.flatMap((item): HookEvent[] => {
      if ("data" in item) return this.pattern(store, item, nowMs);
      const { boot, offset, mono, wall, gap } = item;
      return [{ type: "gap", at: nowMs, boot, offset, mono, wall, ...gap }];
    });
  }

  private pattern(store: TrackStore, item: Extract<Item, { data: Uint8Array }>, nowMs: number): HookEvent[] {
    const { boot, offset, data, mono, wall } = item;
    const before = store.bytesBefore(boot, offset, Math.min(PANIC_LOOK_BACK, offset)) ?? new Uint8Array();
    const text = Buffer.concat([before, data]).toString("latin1");
    // One that ended before this piece was seen with the piece before.
    const found = [...text.matchAll(ALL)].filter((match) => match.index + match[0].length > before.length);
    const [first] = found;
    if (first === undefined) return [];
    if (nowMs < this.quietUntil) {
      this.counted += found.length;
      return [];
    }
    const count = this.counted + found.length;
    this.quietUntil = nowMs + QUIET_MS;
    this.counted = 0;
    const end = offset + Math.min(data.length, first.index - before.length + AFTER_BYTES);
    const at = offset + first.index - before.length;
    return [
      {
        type: "pattern",
        at: nowMs,
        boot,
        offset: at,
        mono,
        wall,
        match: first[0],
        count,
        lines: lastLines(store, boot, end),
      },
    ];
  }
}

function lastLines(store: TrackStore, boot: number, end: number): string[] {
  const bytes = store.bytesBefore(boot, end, Math.min(EVIDENCE_BYTES, end)) ?? new Uint8Array();
  return Buffer.from(bytes)
    .toString("utf8")
    .split(/\r\n|\r|\n/)
    .filter((line) => line !== "")
    .slice(-EVIDENCE_LINES);
}
