import { z } from "zod";
import { parseDuration } from "../core/duration.ts";
import type { Command } from "../core/messages.ts";
import { OPERATE_VERBS, OVERRIDES, STREAM_MODES, STREAM_SERVICES } from "../core/messages.ts";
import { parseJson } from "./envelope.ts";
import { NAME } from "./topics.ts";

/** Command bodies: the only way in which bytes from outside become a `Command`. */

const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const YEAR_MS = 366 * 86_400_000;

const name = z.string().regex(NAME);
const power = z.enum(["on", "off", "unknown"]);
const count = z.int().min(0);
const duration = z.union([
  count.max(YEAR_MS),
  z.string().transform((text, context) => {
    const ms = parseDuration(text);
    if (ms !== null && ms <= YEAR_MS) return ms;
    context.addIssue({ code: "custom", message: "not a duration such as 10m" });
    return z.NEVER;
  }),
]);

const powerArgs = z
  .strictObject({
    forMs: duration.optional(),
    for: duration.optional(),
    reason: z.string().max(500).optional(),
    from: z.literal("any").optional(),
    withoutRecord: z.boolean().optional(),
    override: z.array(z.enum(OVERRIDES)).max(OVERRIDES.length).optional(),
    partial: z.boolean().optional(),
    expect: z.record(name, power).optional(),
  })
  .transform(({ for: wait, forMs, ...rest }) => ({ ...rest, forMs: forMs ?? wait }));

const readArgs = z.strictObject({
  console: name.nullable().default(null),
  track: z.enum(["rx", "tx"]).default("rx"),
  boot: z.int().min(0).max(0xffffffff).optional(),
  from: count.optional(),
  to: count.optional(),
  last: count.optional(),
  fromMonoMs: z.int().optional(),
  sinceMs: count.optional(),
  proof: z.boolean().optional(),
});

const streamArgs = z
  .strictObject({
    service: z.enum(STREAM_SERVICES),
    console: name.optional(),
    mode: z.enum(STREAM_MODES).default("watch"),
    ticket: z.string().min(1).max(64).optional(),
    life: z.string().max(32).optional(),
  })
  .refine(({ service, console }) => (service === "console") === (console !== undefined), {
    message: "a console's stream names its console, and no other does",
  });

const head = {
  v: z.literal(1),
  id: z.string().regex(ULID),
  site: z.string().max(130),
  by: name,
  epoch: count,
};

const none = z.strictObject({}).optional();

const command = z.discriminatedUnion("kind", [
  z.object({
    ...head,
    kind: z.literal("select"),
    verb: z.enum(OPERATE_VERBS),
    target: z.string().max(200),
    args: powerArgs.default({ forMs: undefined }),
  }),
  z.object({
    ...head,
    kind: z.literal("operate"),
    verb: z.enum(OPERATE_VERBS).nullable().default(null),
    target: z.string().max(200).nullable().default(null),
    args: powerArgs.default({ forMs: undefined }),
    nonce: z.string().min(1).max(64),
  }),
  z.object({ ...head, kind: z.literal("status"), args: none }),
  z.object({ ...head, kind: z.literal("outcome"), args: z.strictObject({ id: z.string().regex(ULID) }) }),
  z.object({ ...head, kind: z.literal("read"), args: readArgs }),
  z.object({ ...head, kind: z.literal("watch"), args: z.strictObject({ console: name }) }),
  z.object({ ...head, kind: z.literal("stream.open"), args: streamArgs }),
  z.object({ ...head, kind: z.literal("trust"), args: z.strictObject({ document: z.string().max(512 * 1024) }) }),
  z.object({
    ...head,
    kind: z.literal("sim"),
    args: z.strictObject({ subject: z.string().max(80), fault: z.string().max(40) }),
  }),
]);

const KINDS = new Set(["select", "operate", "status", "outcome", "read", "watch", "stream.open", "trust", "sim"]);

export type DecodedCommand =
  | { ok: true; command: Command }
  /** `id` is there when one could be read, so that its sender can be told. */
  | { ok: false; code: "message.malformed" | "command.unsupported"; id: string | null };

export function decodeCommand(body: Uint8Array): DecodedCommand {
  const value = parseJson(body);
  const parsed = command.safeParse(value);
  if (parsed.success) return { ok: true, command: parsed.data };
  const id = idOf(value);
  const unsupported = id !== null && isUnknownKind(value);
  return { ok: false, code: unsupported ? "command.unsupported" : "message.malformed", id };
}

function idOf(value: unknown): string | null {
  if (typeof value !== "object" || value === null || !("id" in value)) return null;
  return typeof value.id === "string" && ULID.test(value.id) ? value.id : null;
}

function isUnknownKind(value: unknown): boolean {
  if (typeof value !== "object" || value === null || !("kind" in value) || typeof value.kind !== "string") return false;
  if (!KINDS.has(value.kind)) return true;
  const verbs: readonly string[] = OPERATE_VERBS;
  return "verb" in value && typeof value.verb === "string" && !verbs.includes(value.verb);
}
