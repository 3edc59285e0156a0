import { createHash } from "node:crypto";

/** What a site signs for a range of its ledger: SHA-256, hex, of the records' JSON texts with a newline between. */
export function recordsDigest(records: readonly unknown[]): string {
  return createHash("sha256")
    .update(records.map((record) => JSON.stringify(record)).join("\n"))
    .digest("hex");
}

/** What a site signs for one record, where whoever asks has the records already: SHA-256, base64url, of its JSON text. */
export function recordProof(record: unknown): string {
  return createHash("sha256").update(JSON.stringify(record)).digest("base64url");
}
