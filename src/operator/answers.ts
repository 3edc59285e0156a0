import { z } from "zod";

/** Answers of a site as they come off the wire. A site that is not known may send anything. */

const fact = z.object({ value: z.enum(["on", "off", "unknown"]), atMs: z.number().nullable(), source: z.string() });

const refusal = z.object({ code: z.string(), detail: z.string(), retryAfterMs: z.number().optional() });

const previewSchema = z.object({
  verb: z.string(),
  target: z.string(),
  moves: z.array(
    z.union([z.object({ outlet: z.string(), power: z.string() }), z.object({ waitMs: z.number().min(0) })]),
  ),
  loses: z.array(z.string()),
  named: z.array(z.string()),
  ownBranch: z.enum(["none", "controller", "path", "undeclared"]),
  facts: z.record(z.string(), z.object({ commanded: fact, driven: fact, observed: fact })),
  warnings: z.array(z.string()),
  refusal: refusal.nullable(),
  /** A site of an earlier version leaves nothing out. */
  left: z.array(refusal.extend({ target: z.string() })).default([]),
});
export type ShownPreview = z.infer<typeof previewSchema>;

const selectedSchema = z.object({ nonce: z.string(), epoch: z.number(), preview: previewSchema });

/** Null when the answer is not what `selected` must be. */
export function readSelected(reply: unknown): z.infer<typeof selectedSchema> | null {
  return selectedSchema.safeParse(reply).data ?? null;
}

const clock = z.object({
  boot: z.number(),
  mono: z.number(),
  wall: z.number(),
  /** How far the site's clock could be believed; a receiver's folder does not tell. */
  trust: z.enum(["none", "rtc", "gsm", "ntp"]).optional().catch(undefined),
});

const rangeSchema = z.object({
  boot: z.number().nullable(),
  from: z.number(),
  to: z.number(),
  first: z.number(),
  next: z.number(),
  more: z.boolean(),
  bytes: z.number().default(0),
  sha256: z.string().optional(),
  gaps: z.array(
    z.object({
      cause: z.string(),
      length: z.number().nullable(),
      offset: z.number(),
      monoMs: z.number().optional(),
      /** How many were told as one. */
      count: z.number().optional(),
    }),
  ),
  boots: z.array(
    z.object({ boot: z.number(), first: z.number(), next: z.number(), firstMonoMs: z.number().optional() }),
  ),
  clocks: z.array(clock),
});
export type RangeReply = z.infer<typeof rangeSchema>;
export type ClockAt = z.infer<typeof clock>;

/** Null when the answer is not what `read` of a console must be. */
export function readRangeReply(reply: unknown): RangeReply | null {
  return rangeSchema.safeParse(reply).data ?? null;
}

/** Those of a list that are clocks. */
export function readClocks(value: unknown): ClockAt[] {
  return z.array(clock).safeParse(value).data ?? [];
}
