import { z } from "zod";
import { parseDuration } from "../core/duration.ts";
import type { RateLimit } from "../core/plan.ts";
import { NAME } from "../protocol/topics.ts";

/** Values as people write them in `site.yaml`: each names in its error what it wants instead. */

function reading<T>(what: string, read: (text: string) => T | null) {
  return z.string().transform((text, context) => {
    const value = read(text);
    if (value !== null) return value;
    context.addIssue({ code: "custom", message: `"${text}" is not ${what}` });
    return z.NEVER;
  });
}

export const duration = reading("a duration; write 500ms, 5s, 10m or 2h", parseDuration);

function bytesOf(text: string): number | null {
  const found = /^(\d+(?:\.\d+)?)\s*(KB|MB|GB|KiB|MiB|GiB)$/.exec(text);
  const unit = { KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }[found?.[2] ?? ""];
  return unit === undefined ? null : Math.round(Number(found?.[1]) * unit);
}

const size = reading("a size; write 64MB or 4GB", bytesOf);

/** So many bytes in a day or a calendar month (UTC). */
export const budget = reading("a budget; write 100MB/month or 4MB/day", (text) => {
  const [amount = "", per = ""] = text.split("/");
  const bytes = bytesOf(amount);
  return bytes === null || bytes < 1 || (per !== "month" && per !== "day")
    ? null
    : { bytes, per: per as "month" | "day" };
});

/** A ring of the journal has at least eight segments of 128 KiB. */
export const ringSize = size.refine((bytes) => bytes >= 1e6, { message: "too small; at least 1MB" });

export const rate = reading("a rate; write 6/h", (text): RateLimit | null => {
  const found = /^(\d+)\/(s|m|h|d)$/.exec(text);
  const perMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[found?.[2] ?? ""];
  const max = Number(found?.[1]);
  return perMs === undefined || max < 1 ? null : { max, perMs };
});

export const name = z
  .string()
  .regex(NAME, { message: "a name has a-z, 0-9 and -, begins with a letter or digit, at most 63" });

export interface Framing {
  readonly dataBits: 5 | 6 | 7 | 8;
  readonly parity: "none" | "even" | "odd";
  readonly stopBits: 1 | 2;
}

export const framing = reading("a framing; write 8n1, 7e1 or the like", (text): Framing | null => {
  const found = /^([5-8])([neo])([12])$/i.exec(text);
  if (found === null) return null;
  const bits = Number(found[1]);
  const parity = ({ n: "none", e: "even", o: "odd" } as const)[found[2]?.toLowerCase() as "n" | "e" | "o"];
  const dataBits = bits === 5 || bits === 6 || bits === 7 ? bits : 8;
  return { dataBits, parity, stopBits: found[3] === "2" ? 2 : 1 };
});
