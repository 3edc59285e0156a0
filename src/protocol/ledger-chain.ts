import { createHash } from "node:crypto";
import { z } from "zod";
import type { LedgerRecord } from "../core/ledger.ts";
import { parseJson } from "./envelope.ts";

/** The records of a ledger hang on one another: each carries, as `prev`, the hash of the text of the one before. */

/** `prev` of the first record of all. */
export const GENESIS = "0".repeat(64);

/** SHA-256 of a text, hex. */
export function textHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** The texts of a site's records, as they are stored and told. */
export class LedgerChain {
  private last: { readonly seq: number; readonly sha256: string };

  /** @param head hash of the text of the last stored record, which has the number `seq`. */
  constructor(head: string, seq: number) {
    this.last = { seq, sha256: head };
  }

  /** The JSON text of the next record. */
  add(record: LedgerRecord): string {
    const text = JSON.stringify({ ...record, prev: this.last.sha256 });
    this.last = { seq: record.seq, sha256: textHash(text) };
    return text;
  }

  /** The last record and the hash of its text, which covers all before it. */
  head(): { readonly seq: number; readonly sha256: string } {
    return this.last;
  }
}

const checkpointSchema = z.strictObject({
  v: z.literal(1),
  /** In the place of a topic: a checkpoint is no statement on any. */
  checkpoint: z.literal("ledger"),
  fleet: z.string(),
  site: z.string(),
  boot: z.int().min(0),
  start: z.int().min(0),
  seq: z.int().min(1),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Checkpoint = Omit<z.infer<typeof checkpointSchema>, "v" | "checkpoint">;

/** The bytes that a site signs: the chain stood so when its last record was `seq`. */
export function checkpointBody({ fleet, site, boot, start, seq, sha256 }: Checkpoint): Uint8Array {
  return Buffer.from(JSON.stringify({ v: 1, checkpoint: "ledger", fleet, site, boot, start, seq, sha256 }));
}

/** Null when the bytes are no checkpoint. */
export function readCheckpoint(body: Uint8Array): Checkpoint | null {
  return checkpointSchema.safeParse(parseJson(body)).data ?? null;
}
