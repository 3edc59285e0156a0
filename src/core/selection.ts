import type { Code } from "./codes.ts";
import type { OperateVerb, PowerArgs, Reply } from "./messages.ts";
import type { Target } from "./target.ts";

/** Selections: a nonce promises nothing but that its bearer saw the preview less than 60 seconds ago. */

export const NONCE_TTL_MS = 60_000;
/** Dead ones are kept a while so that the answer can be `expired` or `used` and not `unknown`. */
const DEAD_KEPT_MS = 600_000;
const SELECTIONS_KEPT = 128;

export interface Selection {
  readonly nonce: string;
  readonly id: string;
  readonly by: string;
  readonly verb: OperateVerb;
  /** As it was asked for, before anything was left out. */
  readonly asked: string;
  readonly targets: readonly Target[];
  readonly outlets: readonly string[];
  readonly args: PowerArgs;
  readonly selectedAtMs: number;
  readonly used: boolean;
  readonly reply: Reply;
}

export type Selections = readonly Selection[];

export function addSelection(selections: Selections, selection: Selection): Selections {
  const kept = selections.filter((one) => selection.selectedAtMs - one.selectedAtMs < DEAD_KEPT_MS);
  return [...kept, selection].slice(-SELECTIONS_KEPT);
}

/** The living selection that this select already made, so that a repeat over another connection is harmless. */
export function repeatedSelection(selections: Selections, id: string, by: string, nowMs: number): Selection | null {
  return selections.find((one) => one.id === id && one.by === by && !one.used && !expired(one, nowMs)) ?? null;
}

export type Found = { ok: true; selection: Selection } | { ok: false; code: Code };

export function findSelection(selections: Selections, nonce: string, nowMs: number): Found {
  const selection = selections.find((one) => one.nonce === nonce);
  if (selection === undefined) return { ok: false, code: "nonce.unknown" };
  if (selection.used) return { ok: false, code: "nonce.used" };
  if (expired(selection, nowMs)) return { ok: false, code: "nonce.expired" };
  return { ok: true, selection };
}

export function spend(selections: Selections, nonce: string): Selections {
  return selections.map((one) => (one.nonce === nonce ? { ...one, used: true } : one));
}

function expired(selection: Selection, nowMs: number): boolean {
  return nowMs - selection.selectedAtMs > NONCE_TTL_MS;
}
