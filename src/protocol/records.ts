import { createHash } from "node:crypto";

/** What a site signs for a range of its ledger: SHA-256, hex, of the records' JSON texts with a newline between. */
export function recordsDigest(records: readonly unknown[]): string {
  return createHash("sha256")
    .update(records.map((record) => JSON.stringify(record)).join("\n"))
    .digest("hex");
}
