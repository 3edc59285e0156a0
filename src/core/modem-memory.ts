import { afterStep, type LadderStep } from "./ladder.ts";

/** What the ledger holds of the modem: its records, and how far its ladder was climbed. */

export type ModemRecord =
  /** What stands between the modem and a working link, once it has for a while; `none`: nothing. */
  | { kind: "modem"; trouble: string; detail: string }
  | ModemStepRecord
  | ModemWellRecord
  | { kind: "modem-signal"; state: "raised" | "cleared"; detail: string };

/** A step of the ladder: it begins, and how it went. `rest`: none is left for a while. */
interface ModemStepRecord {
  readonly kind: "modem-step";
  readonly step: LadderStep | "rest";
  readonly trouble: string;
  readonly result: "begun" | "done" | "failed" | "refused";
  readonly detail: string;
}

/** The link has worked for long enough after that step: the ladder is at its foot again. */
interface ModemWellRecord {
  readonly kind: "modem-well";
  readonly after: LadderStep | "rest";
}

export interface ModemMemory {
  /** Of the next step. */
  readonly rung: number;
  /** Since the link last worked. */
  readonly rounds: number;
  readonly reboots: number;
  readonly last: LadderStep | "rest" | null;
  /** Mono of this boot. */
  readonly lastMs: number | null;
  /** When the Pi was last restarted for it. */
  readonly rebootMs?: number | null;
  /** The last step was not taken at all. */
  readonly refused?: boolean;
  readonly counts: Readonly<Partial<Record<LadderStep, number>>>;
}

export const EMPTY_MODEM: ModemMemory = { rung: 0, rounds: 0, reboots: 0, last: null, lastMs: null, counts: {} };

export function afterModemRecord(
  memory: ModemMemory = EMPTY_MODEM,
  record: ModemStepRecord | ModemWellRecord,
  monoMs: number,
): ModemMemory {
  if (record.kind === "modem-step") return afterStep(memory, record.step, record.result, monoMs);
  const { counts, rebootMs = null } = memory;
  return { ...EMPTY_MODEM, counts, rebootMs };
}

/** Times of another boot say nothing about now, so each is taken as just passed. */
export function modemInNewBoot(memory: ModemMemory | undefined, nowMs: number): { modem?: ModemMemory } {
  if (memory === undefined) return {};
  const now = (atMs: number | null = null) => (atMs === null ? null : nowMs);
  return { modem: { ...memory, lastMs: now(memory.lastMs), rebootMs: now(memory.rebootMs) } };
}
