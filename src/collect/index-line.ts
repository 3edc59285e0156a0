import { z } from "zod";
import type { Mark } from "../protocol/chunk.ts";
import { parseJson } from "../protocol/envelope.ts";

/**
 * The index beside a day's bytes: one JSON line for each piece that was stored and for each gap that was declared. It
 * is the commit log of the bytes: what no line names does not count, and is cut off at the next start.
 */

const count = z.int().min(0);
const when = {
  /** The site's own, and above its 32 bits how often its numbers began again in that boot. */
  boot: z.int().min(0),
  offset: count,
  mono: count,
  wall: z.number().nullable(),
  heard: z.number(),
};
const gapSchema = z.object({ cause: z.string().max(64), length: count.nullable(), count: count.optional() });
const lineSchema = z.union([
  z.object({ at: count, gap: gapSchema, ...when }),
  z.object({ at: count, n: z.int().min(1), marks: z.array(z.tuple([count, count])), ...when }),
]);

/** What of a gap is kept; `count` where one notice stands for several. */
export type StoredGap = z.infer<typeof gapSchema>;
export type IndexLine = z.infer<typeof lineSchema>;

export function encodeIndexLine(line: IndexLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** Null for anything that is no whole line; never throws. */
export function decodeIndexLine(text: string): IndexLine | null {
  const parsed = lineSchema.safeParse(parseJson(text));
  return parsed.success ? parsed.data : null;
}

/** Marks as they are stored: position in the piece, ms since its first byte. */
export function storedMarks(marks: readonly Mark[], monoMs: number): [number, number][] {
  return marks.map((mark): [number, number] => [mark.at, Math.max(0, Math.floor(mark.monoMs - monoMs))]);
}
