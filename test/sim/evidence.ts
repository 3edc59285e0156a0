import type { LedgerRecord } from "../../src/core/ledger.ts";
import { authenticity } from "./people.ts";

/**
 * An answer to who is known leaves only after a record with its id was handed to the journal. What moves nothing and is
 * granted is no decision; what failed before its signature was looked at is nobody's.
 */
export class Evidence {
  private readonly known = new Set<string>();
  /** Messages with these ids came from somebody else as well, or could not be taken: whose the answer is cannot be told. */
  private readonly doubtful = new Set<string>();
  private readonly records = new Set<string>();
  /** Operators of whom the site only counts for now. */
  private counted = false;
  private readonly problem: (text: string) => void;

  constructor(problem: (text: string) => void) {
    this.problem = problem;
  }

  arrived(payload: Uint8Array, retained: boolean): void {
    const message = authenticity(payload);
    if (message === null) return;
    if (retained || !message.known) this.doubtful.add(message.id);
    else this.known.add(message.id);
  }

  recorded(records: readonly LedgerRecord[]): void {
    for (const record of records) {
      if (record.kind === "intent") this.records.add(record.intent.id);
      else if ("id" in record && record.id !== null) this.records.add(record.id);
      if (record.kind === "ignored") this.counted ||= Object.keys(record.counts).some((one) => one.includes(" "));
    }
  }

  said({ id, phase, code, epoch }: { id: string; phase: string; code?: string; epoch?: number }): void {
    if (!this.known.has(id) || this.doubtful.has(id) || this.records.has(id)) return;
    // A trust that the site has already changes nothing.
    if (phase === "result" && epoch !== undefined) return;
    if (this.counted && phase === "rejected") return;
    this.problem(`answered before its record: ${phase} ${id} ${code ?? ""}`.trim());
  }
}
