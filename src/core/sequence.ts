import type { ReplyTo } from "./events.ts";
import type { Intent } from "./ledger.ts";
import type { Failure, Verdict } from "./messages.ts";
import { outletsNamed, type SitePlan, type Switch } from "./plan.ts";
import { type Drive, type Step, tells } from "./steps.ts";

/**
 * One power command in execution: a list of steps and where it stands. Pure: it asks for the next edge and is told
 * how it went. Whatever fails on the way, an owed `on` is still driven.
 */

export interface Sequence {
  readonly intent: Intent;
  readonly via: ReplyTo;
  /** True when it only pays what an interrupted command owes. */
  readonly recovery: boolean;
  readonly steps: readonly Step[];
  readonly at: number;
  /** When the present step began; null before it did. */
  readonly beganMs: number | null;
  /** The edge under way, by the token of its effect. */
  readonly edge: { readonly token: number; readonly step: Drive } | null;
  readonly agreedSinceMs: number | null;
  /** What the sensors of the present step said last, and how often that changed: a contact that never rests. */
  readonly sensed: string | null;
  readonly changes: number;
  /** When the last edge off was answered; before there is one, when the command began. */
  readonly lastOffMs: number;
  readonly failures: readonly Failure[];
  readonly cancelled: boolean;
}

/** How long an observation must agree before it counts (contact bounce). */
export const AGREE_MS = 200;
/** A relay bank that has not answered by then has failed. */
const DRIVE_TIMEOUT_MS = 2_000;

export interface Begun {
  readonly intent: Intent;
  readonly via: ReplyTo;
  readonly steps: readonly Step[];
  readonly recovery: boolean;
}

export function newSequence(begun: Begun, nowMs: number): Sequence {
  return {
    ...begun,
    at: 0,
    beganMs: null,
    edge: null,
    agreedSinceMs: null,
    sensed: null,
    changes: 0,
    lastOffMs: nowMs,
    failures: [],
    cancelled: false,
  };
}

export interface Progress {
  readonly sequence: Sequence;
  /** An edge to drive now. */
  readonly drive: Drive | null;
  /** When to look again, mono ms; null when all is done. */
  readonly wakeAtMs: number | null;
  readonly done: boolean;
}

/** Goes as far as it can now. `observed` reads what the sensor of an outlet says. */
export function advance(sequence: Sequence, observed: (outlet: string) => Switch | "unknown", nowMs: number): Progress {
  let now = sequence;
  for (;;) {
    const step = now.steps[now.at];
    if (step === undefined) return { sequence: now, drive: null, wakeAtMs: null, done: true };
    const fresh = now.beganMs === null;
    if (now.cancelled && leadsOff(now, step)) {
      now = next(now);
      continue;
    }
    const beganMs = now.beganMs ?? nowMs;
    now = { ...now, beganMs };
    switch (step.do) {
      case "drive": {
        if (fresh) return { sequence: now, drive: step, wakeAtMs: beganMs + DRIVE_TIMEOUT_MS, done: false };
        if (nowMs - beganMs < DRIVE_TIMEOUT_MS) return waiting(now, beganMs + DRIVE_TIMEOUT_MS);
        now = afterDrive(now, step, `the relay bank did not answer within ${DRIVE_TIMEOUT_MS} ms`, nowMs);
        break;
      }
      case "pause": {
        if (nowMs < beganMs + step.ms) return waiting(now, beganMs + step.ms);
        now = next(now);
        break;
      }
      case "stay-off": {
        const until = now.lastOffMs + step.waitMs;
        if (!now.cancelled && nowMs < until && now.failures.length === 0) return waiting(now, until);
        now = next(now);
        break;
      }
      case "observe": {
        const looked = observe(now, step, observed, beganMs, nowMs);
        if (looked.wakeAtMs !== null) return waiting(looked.sequence, looked.wakeAtMs);
        now = looked.sequence;
        break;
      }
    }
  }
}

/** An edge to off that did not begin, the wait before it, the look after it: what a cancelled command leaves out. */
function leadsOff({ beganMs }: Sequence, step: Step): boolean {
  if (step.do === "stay-off") return false;
  if (step.do === "pause") return step.before === "off";
  return step.power === "off" && (step.do === "observe" || beganMs === null);
}

function waiting(sequence: Sequence, wakeAtMs: number): Progress {
  return { sequence, drive: null, wakeAtMs, done: false };
}

function next(sequence: Sequence): Sequence {
  return { ...sequence, at: sequence.at + 1, beganMs: null, edge: null, agreedSinceMs: null, sensed: null, changes: 0 };
}

function observe(
  before: Sequence,
  step: Extract<Step, { do: "observe" }>,
  observed: (outlet: string) => Switch | "unknown",
  beganMs: number,
  nowMs: number,
): { sequence: Sequence; wakeAtMs: number | null } {
  const sensed = step.outlets.map(observed).join();
  const changed = before.sensed !== null && before.sensed !== sensed;
  const sequence = { ...before, sensed, changes: before.changes + (changed ? 1 : 0) };
  const wrong = step.outlets.filter((outlet) => observed(outlet) !== step.power);
  const deadline = beganMs + step.withinMs;
  if (wrong.length === 0) {
    const agreedSinceMs = sequence.agreedSinceMs ?? nowMs;
    if (nowMs - agreedSinceMs >= AGREE_MS) return { sequence: next(sequence), wakeAtMs: null };
    return { sequence: { ...sequence, agreedSinceMs }, wakeAtMs: agreedSinceMs + AGREE_MS };
  }
  if (nowMs < deadline) return { sequence: { ...sequence, agreedSinceMs: null }, wakeAtMs: deadline };
  const failures = wrong.map((outlet): Failure => {
    const restless = sequence.changes > 1 ? `, changed ${sequence.changes} times` : "";
    const detail = `commanded ${step.power}, observed ${observed(outlet)} after ${step.withinMs} ms${restless}`;
    return { code: "fact.disagrees", outlet, detail };
  });
  return { sequence: next({ ...sequence, failures: [...sequence.failures, ...failures] }), wakeAtMs: null };
}

/** The answer to the edge in hand, which is the present step. `fault` is null when the line reads back as asked. */
export function afterDrive(sequence: Sequence, step: Drive, fault: string | null, nowMs: number): Sequence {
  const failures = fault === null ? sequence.failures : [...sequence.failures, relayFailure(step.outlet, fault)];
  const lastOffMs = step.power === "off" ? nowMs : sequence.lastOffMs;
  return next({ ...sequence, failures, lastOffMs });
}

function relayFailure(outlet: string, detail: string): Failure {
  return { code: "relay.failed", outlet, detail };
}

export function verdictOf(sequence: Sequence, plan: SitePlan): Verdict {
  if (sequence.failures.length > 0) return "failed";
  if (sequence.recovery) return "interrupted";
  if (sequence.cancelled) return "cancelled";
  const last = sequence.intent.verb === "off" ? "off" : "on";
  const outlets = outletsNamed(plan, sequence.intent.outlets);
  const seen = outlets.every(({ observe }) => observe !== null && tells(observe, last));
  return seen ? "verified" : "commanded";
}

/** A command in execution, for people: what it waits for, its next edge, and the time until that. */
export interface Pending {
  readonly id: string;
  readonly by: string;
  readonly verb: string;
  readonly target: string;
  readonly doing: string;
  /** `a1 on`; null when no edge is to come. */
  readonly next: string | null;
  /** Null while a sensor decides it. */
  readonly leftMs: number | null;
}

export function pendingOf(sequence: Sequence, nowMs: number): Pending {
  const { id, by, verb, target } = sequence.intent;
  const steps = sequence.steps.slice(sequence.at);
  const [step] = steps;
  const doing = step === undefined ? "done" : step.do === "drive" ? `drive ${step.outlet} ${step.power}` : step.do;
  const edge = steps.find((one) => one.do === "drive");
  const next = edge === undefined ? null : `${edge.outlet} ${edge.power}`;
  return { id, by, verb, target, doing, next, leftMs: edge === undefined ? null : untilEdge(sequence, steps, nowMs) };
}

function untilEdge(sequence: Sequence, steps: readonly Step[], nowMs: number): number | null {
  let atMs = sequence.beganMs ?? nowMs;
  for (const step of steps) {
    if (step.do === "observe") return null;
    if (step.do === "drive") break;
    if (step.do === "pause") atMs += step.ms;
    else atMs = sequence.lastOffMs + step.waitMs;
  }
  return Math.max(0, atMs - nowMs);
}
