import type { LedgerRecord } from "../../src/core/ledger.ts";

interface Tag {
  readonly id: string;
  readonly by: string;
  /** Before it nothing may end it but its owner or an admin, whatever any clock says. */
  readonly endsMs: number;
  /** The site has said that it holds, and that its card has it. */
  confirmed: boolean;
}

/**
 * Tags on outlets as a judge knows them. Whose word came first is told by the order of the records; that a record
 * outlives every crash, only by an answer. What cannot be told from here is not judged.
 */
export class Tags {
  private readonly tags = new Map<string, Tag>();
  /** Outlets that were under a tag when the command was decided, by its id. */
  private readonly over = new Map<string, readonly string[]>();
  private readonly problem: (text: string) => void;

  constructor(problem: (text: string) => void) {
    this.problem = problem;
  }

  recorded(record: LedgerRecord, nowMs: number): void {
    if (record.kind === "intent")
      this.over.set(
        record.intent.id,
        record.intent.outlets.filter((outlet) => this.holding(outlet, nowMs) !== undefined),
      );
    else if (record.kind === "unlocked") for (const outlet of record.outlets) this.tags.delete(outlet);
    else if (record.kind === "locked") for (const outlet of record.outlets) this.tag(outlet, record, nowMs);
  }

  private tag(outlet: string, record: Extract<LedgerRecord, { kind: "locked" }>, nowMs: number): void {
    const { id, by, forMs } = record;
    const before = this.holding(outlet, nowMs);
    if (before !== undefined && before.by !== by) this.problem(`a tag of ${by} over that of ${before.by}: ${outlet}`);
    // Without a clock that somebody vouches for it lasts longer, never shorter.
    const endsMs = nowMs + (forMs ?? Number.POSITIVE_INFINITY);
    this.tags.set(outlet, { id, by, endsMs, confirmed: false });
  }

  /** An answer, also one that is given again: it speaks of this tag, not of one that was put in its place since. */
  confirmed(id: string): void {
    for (const tag of this.tags.values()) if (tag.id === id) tag.confirmed = true;
  }

  /** Whether this command should have been refused because of a tag on this outlet. */
  wasUnder(id: string, outlet: string): boolean {
    return this.over.get(id)?.includes(outlet) === true;
  }

  private holding(outlet: string, nowMs: number): Tag | undefined {
    const tag = this.tags.get(outlet);
    return tag?.confirmed && nowMs < tag.endsMs ? tag : undefined;
  }
}
