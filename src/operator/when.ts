import { parseDuration } from "../core/duration.ts";

/** A point in time as a person names it. */
export interface When {
  /** Unix ms, by the reader's clock. */
  readonly wallMs: number;
  /** How long ago, where it was said so: that can be found without anybody's calendar. */
  readonly agoMs: number | null;
  /** As it was written. */
  readonly text: string;
}

export const WHEN_EXAMPLES = "30m, 2h or 3d (ago), 14:00, 2026-11-23 14:00 (local time) or 2026-11-23T14:00:00Z";

const CALENDAR = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,3})\d*)?)?)?$/;
const ZONED = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:[zZ]|[+-]\d\d:\d\d)$/;

/** Null when it is none of `WHEN_EXAMPLES`. Times without a zone are those of the reader's machine. */
export function parseWhen(text: string, nowMs: number): When | null {
  const trimmed = text.trim();
  const agoMs = parseDuration(trimmed);
  if (agoMs !== null) return { wallMs: nowMs - agoMs, agoMs, text };
  const wallMs = zoned(trimmed) ?? calendar(trimmed) ?? clockTime(trimmed, nowMs);
  return wallMs === null ? null : { wallMs, agoMs: null, text };
}

function zoned(text: string): number | null {
  const found = ZONED.exec(text);
  const [, day = "", time = ""] = found ?? [];
  // `Date` would make the 2nd of March of a 30th of February.
  if (found === null || calendar(`${day}T${time.replace(/^(\d\d:\d\d)$/, "$1:00")}`) === null) return null;
  const ms = Date.parse(text.replace(" ", "T").toUpperCase());
  return Number.isNaN(ms) ? null : ms;
}

function calendar(text: string): number | null {
  const found = CALENDAR.exec(text);
  if (found === null) return null;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const thousandths = Number((found[7] ?? "0").padEnd(3, "0"));
  if (hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(year, month - 1, day, hour, minute, second, thousandths);
  return date.getMonth() === month - 1 && date.getDate() === day ? date.getTime() : null;
}

/** `14:00`: the last time that the clock on the wall said so. */
function clockTime(text: string, nowMs: number): number | null {
  const found = /^(\d\d?):(\d\d)(?::(\d\d))?$/.exec(text);
  const [hour = 0, minute = 0, second = 0] = (found ?? []).slice(1, 4).map((part) => Number(part ?? 0));
  if (found === null || hour > 23 || minute > 59 || second > 59) return null;
  const date = new Date(nowMs);
  date.setHours(hour, minute, second, 0);
  if (date.getTime() > nowMs) date.setDate(date.getDate() - 1);
  return date.getTime();
}
