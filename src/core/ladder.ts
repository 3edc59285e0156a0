import type { ModemTrouble } from "./modem.ts";
import type { ModemMemory } from "./modem-memory.ts";

/** What may bring a modem back, from what costs least to what costs most, and when the next of it is due. */
export const STEPS = ["reconnect", "airplane", "reset", "usb", "power", "profile", "reboot"] as const;

export type LadderStep = (typeof STEPS)[number];

/** `not-here`: this site cannot do it at all; `not-now`: it would do harm as things stand. */
export type StepRefusal = "not-here" | "not-now";

/** A modem needs its time to come back: nothing is done sooner after trouble began, or after a step. */
export const COOL_DOWN_MS = 300_000;
/** A modem that lost its supply boots, and is probed anew. */
const SLOW_MS = 600_000;
const SLOW: readonly string[] = ["power", "profile", "reboot"];
/** A step that was refused has changed nothing: there is nothing to wait for but the one who refused. */
const REFUSED_MS = 30_000;
/** When it may be the broker that is away and not the path: half an hour instead of five minutes. */
const DOUBT = 6;
const REBOOT_EVERY_MS = 24 * 3_600_000;
/** Without the link having worked in between. */
const REBOOTS = 3;
const HOUR_MS = 3_600_000;

/** After each round the ladder rests, longer each time. */
export const REST_MS = (rounds: number): number => Math.min(12, 2 ** rounds) * HOUR_MS;

/** What can help against which trouble. Nothing helps where a person has to: a PIN, no ModemManager. */
const HELPS: Readonly<Record<ModemTrouble, readonly LadderStep[]>> = {
  none: [],
  unmanaged: [],
  "sim-locked": [],
  missing: ["usb", "power", "reboot"],
  "sim-missing": ["reset", "power", "profile"],
  failed: ["reset", "usb", "power", "profile", "reboot"],
  denied: ["airplane", "reset", "power", "profile"],
  searching: ["airplane", "reset", "usb", "power", "profile", "reboot"],
  "no-bearer": STEPS,
  "no-link": STEPS,
};

export interface Situation {
  readonly trouble: ModemTrouble;
  /** Since when there is any trouble, mono ms. */
  readonly sinceMs: number;
  readonly nowMs: number;
  readonly memory: ModemMemory;
  /** The trouble may lie beyond the modem. */
  readonly doubtful: boolean;
  readonly refused: (step: LadderStep) => StepRefusal | null;
}

/** What is due next, and when. Null: nothing will be. */
export function nextStep(situation: Situation): { step: LadderStep | "rest"; atMs: number } | null {
  const { trouble, sinceMs, memory } = situation;
  const helps = HELPS[trouble];
  if (helps.length === 0) return null;
  const step = STEPS.slice(memory.rung).find((one) => helps.includes(one) && possible(situation, one));
  const afterTroubleMs = sinceMs + COOL_DOWN_MS * (situation.doubtful ? DOUBT : 1);
  const afterStepMs = (memory.lastMs ?? Number.NEGATIVE_INFINITY) + waitAfter(situation);
  if (step !== undefined) return { step, atMs: Math.max(afterTroubleMs, afterStepMs) };
  // Where not even the first step is to be had, there is no round to rest from.
  return memory.rung === 0 ? null : { step: "rest", atMs: Math.max(afterTroubleMs, afterStepMs) };
}

function possible({ refused, memory, nowMs }: Situation, step: LadderStep): boolean {
  if (refused(step) !== null) return false;
  if (step !== "reboot") return true;
  return memory.reboots < REBOOTS && nowMs - (memory.rebootMs ?? Number.NEGATIVE_INFINITY) >= REBOOT_EVERY_MS;
}

function waitAfter({ memory, doubtful }: Situation): number {
  if (memory.last === "rest") return REST_MS(memory.rounds);
  if (memory.refused === true) return REFUSED_MS;
  const wait = memory.last !== null && SLOW.includes(memory.last) ? SLOW_MS : COOL_DOWN_MS;
  return doubtful ? COOL_DOWN_MS * DOUBT : wait;
}

/** What is remembered after a record of the ladder. */
export function afterStep(memory: ModemMemory, step: LadderStep | "rest", result: string, mono: number): ModemMemory {
  if (step === "rest")
    return { ...memory, rung: 0, rounds: memory.rounds + 1, last: "rest", lastMs: mono, refused: false };
  const known = { ...memory, lastMs: mono, refused: result === "refused" };
  if (result !== "begun") return known;
  return {
    ...known,
    last: step,
    rung: STEPS.indexOf(step) + 1,
    ...(step === "reboot" ? { reboots: memory.reboots + 1, rebootMs: mono } : {}),
    counts: { ...memory.counts, [step]: (memory.counts[step] ?? 0) + 1 },
  };
}
