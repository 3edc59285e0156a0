import { z } from "zod";
import { NAME } from "../protocol/topics.ts";

/** What sites say, as far as the receiving side reads it. Any of it may come from anybody: unknown shapes are null. */

const count = z.int().min(0);
const boot = z.int().min(0).max(0xffffffff);
const name = z.string().regex(NAME);

const stamp = { boot, start: count, n: count };

const presence = z.object({ state: z.enum(["online", "offline"]), ...stamp });
export type Presence = z.infer<typeof presence>;
export const readPresence = (value: unknown): Presence | null => presence.safeParse(value).data ?? null;

const stamped = z.object(stamp);
export type Stamp = z.infer<typeof stamped>;
export const readStamp = (value: unknown): Stamp | null => stamped.safeParse(value).data ?? null;

const birth = z.object({
  consoles: z.array(name).max(256),
  boots: z.array(boot).max(256).default([]),
  tracks: z.record(z.string().max(80), z.object({ boot, next: count })).default({}),
  ledger: z.object({ seq: count }).optional(),
  trust: z.object({ epoch: count.nullable() }).optional(),
});
export type Birth = z.infer<typeof birth>;
export const readBirth = (value: unknown): Birth | null => birth.safeParse(value).data ?? null;

const state = z.object({
  mono: z.number(),
  wall: z.number().nullable(),
  site: z.object({
    storage: z.object({ state: z.enum(["ok", "degraded"]), detail: z.string().default("") }).optional(),
    clock: z.object({ trust: z.string() }).optional(),
    trust: z.object({ epoch: count.nullable() }).optional(),
  }),
});
export type SaidState = z.infer<typeof state>;
export const readState = (value: unknown): SaidState | null => state.safeParse(value).data ?? null;

const clock = z.object({ boot, mono: z.number(), wall: z.number(), trust: z.string().optional() });
const gap = z.object({
  cause: z.string().max(64),
  length: count.nullable(),
  offset: count,
  monoMs: z.number().min(0).default(0),
});

const range = z.object({
  boot: boot.nullable(),
  from: count,
  to: count,
  first: count,
  next: count,
  more: z.boolean(),
  bytes: count.default(0),
  sha256: z.string().optional(),
  gaps: z.array(gap).max(100_000),
  boots: z.array(z.object({ boot, first: count, next: count })).max(10_000),
  clocks: z.array(clock).max(1_000).default([]),
});
export type RangeAnswer = z.infer<typeof range>;
export const readRangeAnswer = (value: unknown): RangeAnswer | null => range.safeParse(value).data ?? null;

const records = z.object({
  sha256: z.string(),
  from: count,
  to: count,
  records: count,
  more: z.boolean(),
  /** What the ledger has: a site of before this was told does not say it. */
  first: count.optional(),
  next: count.optional(),
  /** Of each record, where only that was asked for. */
  proofs: z
    .array(z.tuple([count, z.string().max(64)]))
    .max(1_000)
    .optional(),
});
export type RecordsAnswer = z.infer<typeof records>;
export const readRecordsAnswer = (value: unknown): RecordsAnswer | null => records.safeParse(value).data ?? null;

const answer = z.object({ id: z.string(), phase: z.string(), code: z.string().optional() });
export const readAnswer = (value: unknown): z.infer<typeof answer> | null => answer.safeParse(value).data ?? null;

const clockRecord = z.object({ kind: z.literal("clock"), boot, mono: z.number(), wall: z.number(), trust: z.string() });
export const readClockRecord = (value: unknown): z.infer<typeof clockRecord> | null =>
  clockRecord.safeParse(value).data ?? null;

const gapRecord = z.object({
  kind: z.literal("gap"),
  console: name,
  track: z.enum(["rx", "tx"]),
  boot,
  mono: z.number().min(0),
  offset: count,
  cause: z.string().max(64),
  length: count.nullable(),
  count: count.default(1),
});
export const readGapRecord = (value: unknown): z.infer<typeof gapRecord> | null =>
  gapRecord.safeParse(value).data ?? null;
