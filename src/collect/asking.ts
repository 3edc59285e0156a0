import { createHash } from "node:crypto";
import { missingIn, type Span, unionOf } from "../core/ranges.ts";
import type { Chunk } from "../protocol/chunk.ts";
import { recordsDigest } from "../protocol/records.ts";
import type { LedgerLine } from "./events-store.ts";
import type { Way } from "./layout.ts";
import { type RangeAnswer, type RecordsAnswer, readRangeAnswer, readRecordsAnswer } from "./messages.ts";

/** One signed `read` of a site at a time: what was asked, what came for it, and whether that is what the site signed. */

export interface Wish {
  /** Null: the ledger. */
  readonly console: string | null;
  readonly way: Way;
  /** Null: how far every boot goes, without bytes. */
  readonly range: { readonly boot: number; readonly from: number; readonly to: number } | null;
  /** The records are here: only what the site signs for each is asked for. */
  readonly proof?: boolean;
  /** What was here when it was asked, of the site's present boot: an answer that has less tells of other numbers. */
  readonly had?: { readonly boot: number; readonly next: number };
}

export type Answered =
  | {
      readonly kind: "range";
      readonly answer: RangeAnswer;
      readonly whole: boolean;
      readonly forged: boolean;
      /** What of the range the site itself had no bytes for. */
      readonly absent: readonly Span[];
    }
  | {
      readonly kind: "records";
      readonly answer: RecordsAnswer;
      readonly whole: boolean;
      readonly forged: boolean;
      /** In order, and the site's own where they are whole. */
      readonly records: readonly LedgerLine[];
    }
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "silent" };

interface Asked {
  readonly id: string;
  readonly wish: Wish;
  readonly pieces: Map<number, Uint8Array>;
  readonly records: Map<number, LedgerLine>;
  heardAt: number;
  size: number;
  range: RangeAnswer | null;
  ledger: RecordsAnswer | null;
}

/** Without a word for so long, nothing comes any more. */
const SILENT_MS = 20_000;
/** Refusals that say nothing of the rest of the site. */
const OF_ONE = ["role.denied", "console.unknown", "read.range"];
const BREATH_MS = 1_000;
const FIRST_DELAY_MS = 5_000;
const CAP_DELAY_MS = 300_000;
const SMALLEST = 16 * 1024;
const LARGEST = 256 * 1024;
const SIZE_LIMIT = 2 * LARGEST;

export class Asking {
  /** How much to ask for at once: less on a link that does not bring it in time. */
  rangeBytes = 4 * SMALLEST;
  /** Why the last one brought nothing; null when it did. */
  problem: string | null = null;
  private asked: Asked | null = null;
  private delayMs = FIRST_DELAY_MS;
  private nextAt = 0;
  private readonly random: () => number;

  constructor(random: () => number) {
    this.random = random;
  }

  get busy(): boolean {
    return this.asked !== null;
  }

  ready(nowMs: number): boolean {
    return this.asked === null && nowMs >= this.nextAt;
  }

  begin(id: string, wish: Wish, nowMs: number): void {
    const [pieces, records] = [new Map<number, Uint8Array>(), new Map<number, LedgerLine>()];
    this.asked = { id, wish, heardAt: nowMs, pieces, records, size: 0, range: null, ledger: null };
  }

  onPiece(console: string, way: Way, chunk: Chunk, nowMs: number): void {
    const { asked } = this;
    const range = asked?.wish.range;
    if (asked === null || !range || asked.wish.console !== console || asked.wish.way !== way) return;
    if (chunk.boot !== range.boot || chunk.offset < range.from || chunk.offset >= range.to) return;
    const before = asked.pieces.get(chunk.offset)?.length ?? 0;
    if (before >= chunk.data.length || asked.size > SIZE_LIMIT) return;
    asked.pieces.set(chunk.offset, chunk.data);
    asked.size += chunk.data.length - before;
    asked.heardAt = nowMs;
  }

  onRecord(record: LedgerLine, nowMs: number): void {
    const { asked } = this;
    if (asked?.wish.console !== null || asked.size > SIZE_LIMIT * 2) return;
    asked.records.set(record.seq, record);
    asked.size += 256;
    asked.heardAt = nowMs;
  }

  /** A signed answer. Returns what became of the read once it is over, with what was asked. */
  onAnswer(id: string, phase: string, code: string | undefined, body: unknown, nowMs: number): Done | null {
    const { asked } = this;
    if (asked === null || asked.id !== id) return null;
    if (phase !== "result") return this.end({ kind: "refused", code: code ?? "rejected" }, nowMs);
    asked.heardAt = nowMs;
    if (asked.wish.console === null) asked.ledger = readRecordsAnswer(body);
    else asked.range = readRangeAnswer(body);
    if (asked.ledger === null && asked.range === null)
      return this.end({ kind: "refused", code: "message.malformed" }, nowMs);
    return this.check(nowMs);
  }

  /** The pieces may come after the answer, or never. */
  check(nowMs: number): Done | null {
    const { asked } = this;
    if (asked === null) return null;
    const over = nowMs - asked.heardAt > SILENT_MS;
    const { range, ledger } = asked;
    if (range !== null) {
      const sum = sumOf(asked, range);
      if (sum.bytes >= range.bytes) {
        const forged = range.sha256 !== undefined && range.boot !== null && sum.sha256 !== range.sha256;
        const absent = forged ? [] : sum.absent;
        return this.end({ kind: "range", answer: range, whole: !forged, forged, absent }, nowMs);
      }
      return over ? this.end({ kind: "range", answer: range, whole: false, forged: false, absent: [] }, nowMs) : null;
    }
    if (ledger !== null) return this.checkRecords(asked, ledger, over, nowMs);
    return over ? this.end({ kind: "silent" }, nowMs) : null;
  }

  private checkRecords(asked: Asked, answer: RecordsAnswer, over: boolean, nowMs: number): Done | null {
    const told = { kind: "records", answer } as const;
    if (answer.proofs !== undefined) return this.end({ ...told, whole: true, forged: false, records: [] }, nowMs);
    const records = [...asked.records.values()]
      .filter(({ seq }) => seq >= answer.from && seq < answer.to)
      .sort((a, b) => a.seq - b.seq);
    if (records.length >= answer.records) {
      const forged = recordsDigest(records) !== answer.sha256;
      return this.end({ ...told, whole: !forged, forged, records }, nowMs);
    }
    return over ? this.end({ ...told, whole: false, forged: false, records }, nowMs) : null;
  }

  /** The connection was lost: what was asked may never have left. */
  drop(): void {
    this.asked = null;
  }

  private end(answered: Answered, nowMs: number): Done | null {
    const { asked } = this;
    this.asked = null;
    if (asked === null) return null;
    if (answered.kind === "refused" && OF_ONE.includes(answered.code)) {
      // The site is well: whoever asks waits with this one thing, and goes on with the next.
      this.nextAt = nowMs + BREATH_MS;
      this.problem = answered.code;
      return { wish: asked.wish, answered };
    }
    const well = answered.kind !== "refused" && answered.kind !== "silent" && answered.whole;
    if (well) {
      this.problem = null;
      this.delayMs = FIRST_DELAY_MS;
      this.nextAt = nowMs;
      this.rangeBytes = Math.min(LARGEST, this.rangeBytes * 2);
    } else {
      this.postpone(problemOf(answered), nowMs);
      this.rangeBytes = Math.max(SMALLEST, this.rangeBytes / 2);
    }
    return { wish: asked.wish, answered };
  }

  /** Not again at once: each time in vain doubles the wait. */
  private postpone(problem: string, nowMs: number): void {
    this.problem = problem;
    this.nextAt = nowMs + this.delayMs * (0.5 + this.random());
    this.delayMs = Math.min(CAP_DELAY_MS, this.delayMs * 2);
  }
}

export interface Done {
  readonly wish: Wish;
  readonly answered: Answered;
}

export function problemOf(answered: Answered): string {
  if (answered.kind === "refused") return answered.code;
  if (answered.kind === "silent") return "site.silent";
  return answered.forged ? "reply.unverified" : "pieces of the range did not arrive";
}

/** The bytes that came for a range, each once and in order, and where there were none. */
function sumOf(asked: Asked, range: RangeAnswer): { bytes: number; sha256: string; absent: readonly Span[] } {
  const hash = createHash("sha256");
  const came: Span[] = [];
  let bytes = 0;
  let end = range.from;
  for (const [offset, data] of [...asked.pieces].sort(([a], [b]) => a - b)) {
    const skip = Math.max(0, end - offset);
    if (skip >= data.length || offset >= range.to) continue;
    const piece = data.subarray(skip, range.to - offset);
    hash.update(piece);
    bytes += piece.length;
    end = offset + skip + piece.length;
    came.push([offset + skip, end]);
  }
  const to = Math.max(range.from, Math.min(range.to, range.next));
  return { bytes, sha256: hash.digest("hex"), absent: missingIn(unionOf(came), [range.from, to]) };
}
