import { z } from "zod";
import type { LineSequence, SequenceStep } from "../core/line.ts";
import { duration, name } from "./units.ts";

/** What is typed into a console, as it is configured: how fast, and what can be sent by name. */

/** Not longer than a person waits for one key. */
const pause = duration.refine((ms) => ms <= 10_000, { message: "at most 10s" });

export const pasteSchema = z
  .strictObject({ char: pause.default(0), line: pause.default(0) })
  .default({ char: 0, line: 0 })
  .transform(({ char, line }) => ({ charMs: char, lineMs: line }));

const step = z.union([
  z.strictObject({ break: pause }),
  z.strictObject({ wait: pause }),
  z.strictObject({ text: z.string().min(1).max(1_000) }),
]);

const sequence = z.strictObject({
  send: z.array(step).min(1).max(50),
  what: z.string().max(200).default("from site.yaml"),
  confirm: z.boolean().default(false),
});

export const sequencesSchema = z.record(name, sequence).default({});

export function sequencesOf(raw: z.infer<typeof sequencesSchema>): LineSequence[] {
  return Object.entries(raw).map(([name, { send, what, confirm }]) => ({
    ...{ name, what, confirm },
    steps: send.map((one): SequenceStep => {
      if ("break" in one) return { breakMs: one.break };
      return "wait" in one ? { waitMs: one.wait } : { text: one.text };
    }),
  }));
}
