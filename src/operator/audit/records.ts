import { z } from "zod";
import { parseJson } from "../../protocol/envelope.ts";

/** Records as a verifier reads them: what it must judge, checked; the rest of each as it is. */

const stamp = { seq: z.int().min(1), boot: z.int().min(0), mono: z.number(), prev: z.string() };
const text = z.string();

const judged = z.discriminatedUnion("kind", [
  z.object({ ...stamp, kind: z.literal("start"), start: z.int() }),
  z.object({
    ...stamp,
    kind: z.literal("trust"),
    epoch: z.int(),
    sha256: text,
    by: text,
    id: text.nullable(),
    document: text.nullable(),
  }),
  z.object({
    ...stamp,
    kind: z.literal("selected"),
    id: text,
    by: text,
    verb: text,
    target: text,
    nonce: text,
    signed: text,
  }),
  z.object({
    ...stamp,
    kind: z.literal("intent"),
    intent: z.object({ id: text, by: text, verb: text, target: text, reason: text }),
    signed: text.nullable(),
  }),
  z.object({ ...stamp, kind: z.literal("locked"), id: text, by: text, reason: text, signed: text }),
  z.object({ ...stamp, kind: z.literal("unlocked"), id: text, by: text, signed: text }),
  z.object({ ...stamp, kind: z.literal("cancelled"), id: text, by: text, cancels: text, signed: text }),
  z.object({
    ...stamp,
    kind: z.literal("refused"),
    id: text,
    by: text,
    code: text,
    target: text,
    signed: text.nullable(),
    reply: z.object({}).nullable(),
  }),
  z.object({ ...stamp, kind: z.literal("edge"), id: text }),
  z.object({ ...stamp, kind: z.literal("outcome"), id: text }),
  z.object({ ...stamp, kind: z.literal("unrecorded"), id: text }),
  z.object({ ...stamp, kind: z.literal("checkpoint"), of: z.int(), sha256: text, signed: text }),
]);

/** What moves nothing, and nobody asked for. */
const KINDS = ["clock", "ignored", "console", "link", "storage", "stop", "restored", "alarm", "config"] as const;
const plain = z.object({ ...stamp, kind: z.enum(KINDS) });

export type Judged = z.infer<typeof judged> | z.infer<typeof plain>;
export type JudgedOf<K extends Judged["kind"]> = Extract<Judged, { kind: K }>;

/** Null when the text is no record of a ledger. */
export function readRecord(line: string): Judged | null {
  const value = parseJson(line);
  return judged.safeParse(value).data ?? plain.safeParse(value).data ?? null;
}
