import type { Code } from "./codes.ts";
import { busyWith, drivenPower } from "./facts.ts";
import { interlockRefusal } from "./interlock.ts";
import { memoryOf } from "./ledger.ts";
import { lockOf, lockText } from "./locks.ts";
import type { OperateVerb, PowerArgs } from "./messages.ts";
import { branchOf, devicesFedBy, devicesNamed, type OutletPlan, outletsNamed, type SitePlan } from "./plan.ts";
import { overRate } from "./rate.ts";
import type { SiteState } from "./state.ts";
import type { Target } from "./target.ts";
import { allows, type Identity, type Verb } from "./trust.ts";

/** The checks of a power command, in their fixed order. Each returns its refusal or null. */

export interface Refusal {
  readonly code: Code;
  readonly detail: string;
  readonly retryAfterMs?: number;
}

export interface Ask {
  readonly verb: OperateVerb;
  readonly targets: readonly Target[];
  readonly outlets: readonly string[];
  readonly args: PowerArgs;
}

type Check = (state: SiteState, ask: Ask, nowMs: number) => Refusal | null;

/** After signature, epoch and role; before the intent. First failure wins. */
const STANDING: readonly Check[] = [
  expectedFacts,
  locked,
  inExecution,
  alreadyOff,
  minimumTimes,
  rate,
  ownBranch,
  dependency,
  interlock,
];

export function standingRefusal(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (!moves(ask)) return plainRefusal(state, ask, nowMs);
  for (const check of STANDING) {
    const refusal = check(state, ask, nowMs);
    if (refusal !== null) return refusal;
  }
  return null;
}

/** A tag may be put on and a wait be ended whatever the limits say: only where there is something to do. */
function plainRefusal(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (ask.verb === "cancel" && !ask.outlets.some((outlet) => busyWith(state, outlet) !== null)) {
    return { code: "outlet.idle", detail: "nothing to cancel" };
  }
  if (ask.verb === "unlock" && !ask.outlets.some((outlet) => lockOf(state, outlet, nowMs) !== null)) {
    return { code: "outlet.not-locked", detail: "" };
  }
  return null;
}

/** The verb of a role that each command needs. `cancel` pays an owed on and does nothing else. */
export const NEEDED: Record<OperateVerb, Verb> = {
  on: "power-on",
  off: "power-off",
  cycle: "power-cycle",
  cancel: "power-on",
  lock: "lock",
  unlock: "lock",
};

/** True when the operator may do it to the named device and to every other one that these outlets feed. */
export function roleAllows(
  identity: Identity,
  plan: SitePlan,
  ask: Pick<Ask, "verb" | "targets" | "outlets">,
): boolean {
  return everywhere(identity, NEEDED[ask.verb], plan, ask);
}

function everywhere(identity: Identity, verb: Verb, plan: SitePlan, ask: Pick<Ask, "targets" | "outlets">): boolean {
  const named = ask.targets.flatMap(({ device, outlet }) => {
    const fed = device === null && outlet !== null ? devicesFedBy(plan, [outlet]) : [];
    return device ?? (fed.length === 0 ? `:${outlet}` : fed);
  });
  return [...named, ...devicesFedBy(plan, ask.outlets)].every((device) => allows(identity, verb, plan.site, device));
}

/** To go before a minimum time or a rate takes an admin's role and a reason; nothing goes before a lock. */
export function overrideRefusal(identity: Identity, plan: SitePlan, ask: Ask): Refusal | null {
  const { override = [], reason } = ask.args;
  if (override.length === 0) return null;
  if (!reason) return { code: "override.reason", detail: override.join(", ") };
  const may = everywhere(identity, "admin", plan, ask);
  return may ? null : { code: "role.denied", detail: `--override ${override.join(",")} needs the verb admin` };
}

/** Whoever set a lock takes it away, or an admin; nobody puts another one over it. */
export function tagRefusal(state: SiteState, identity: Identity, ask: Ask, nowMs: number): Refusal | null {
  if (ask.verb !== "unlock" && ask.verb !== "lock") return null;
  if (ask.verb === "unlock" && everywhere(identity, "admin", state.plan, ask)) return null;
  const code = ask.verb === "unlock" ? "outlet.lock-owner" : "outlet.locked";
  for (const outlet of ask.outlets) {
    const lock = lockOf(state, outlet, nowMs);
    if (lock !== null && lock.by !== identity.name) return { code, detail: lockText(state, outlet, lock, nowMs) };
  }
  return null;
}

/** True when the command drives edges of its own; the others lock, unlock, or end a wait. */
export function moves(ask: Pick<Ask, "verb">): boolean {
  return ask.verb === "on" || cuts(ask);
}

/** True when the command takes power away, if only for a while. */
export function cuts(ask: Pick<Ask, "verb">): boolean {
  return ask.verb === "off" || ask.verb === "cycle";
}

/** True when it ends with power on by itself. */
function returns(ask: Pick<Ask, "verb" | "args">): boolean {
  return ask.verb === "on" || ask.verb === "cycle" || (ask.verb === "off" && ask.args.forMs !== undefined);
}

function expectedFacts(state: SiteState, ask: Ask): Refusal | null {
  for (const [name, expected] of Object.entries(ask.args.expect ?? {})) {
    const driven = drivenPower(state, name);
    if (driven !== expected) return { code: "facts.changed", detail: `${name} is ${driven}, expected ${expected}` };
  }
  return null;
}

function locked(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  for (const outlet of ask.outlets) {
    const lock = lockOf(state, outlet, nowMs);
    if (lock !== null) return { code: "outlet.locked", detail: lockText(state, outlet, lock, nowMs) };
  }
  return null;
}

function inExecution(state: SiteState, ask: Ask): Refusal | null {
  for (const outlet of ask.outlets) {
    const id = busyWith(state, outlet);
    if (id !== null) return { code: "outlet.busy", detail: `${outlet}: command ${id}` };
  }
  return null;
}

function alreadyOff(state: SiteState, ask: Ask): Refusal | null {
  if (ask.verb !== "cycle" || ask.args.from === "any") return null;
  const anyOn = ask.outlets.some((name) => drivenPower(state, name) !== "off");
  return anyOn ? null : { code: "outlet.not-on", detail: ask.outlets.join(", ") };
}

function minimumTimes(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (ask.args.override?.includes("min-time")) return null;
  for (const { name, minOnMs, minOffMs } of outletsNamed(state.plan, ask.outlets)) {
    const { lastOnMs, lastOffMs } = memoryOf(state.durable, name);
    const driven = drivenPower(state, name);
    if (cuts(ask) && driven !== "off" && lastOnMs !== null) {
      const left = lastOnMs + minOnMs - nowMs;
      if (left > 0) return { code: "outlet.min-on", detail: name, retryAfterMs: Math.ceil(left) };
    }
    if (ask.verb === "on" && driven !== "on" && lastOffMs !== null) {
      const left = lastOffMs + minOffMs - nowMs;
      if (left > 0) return { code: "outlet.min-off", detail: name, retryAfterMs: Math.ceil(left) };
    }
  }
  return null;
}

/** Only what takes power away counts: a site must never be left dark because it was switched on too often. */
function rate(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (!cuts(ask) || ask.args.override?.includes("rate")) return null;
  for (const { name, rate: limit } of outletsNamed(state.plan, ask.outlets)) {
    const over = overRate(memoryOf(state.durable, name).cutsMs, limit, nowMs);
    if (over !== null) return { code: "outlet.rate", detail: `${name}: ${over.said}`, retryAfterMs: over.retryAfterMs };
  }
  return null;
}

function ownBranch(state: SiteState, ask: Ask): Refusal | null {
  if (!cuts(ask)) return null;
  const own = outletsNamed(state.plan, ask.outlets).filter(({ name }) => isOwn(state.plan, [name]));
  if (own.length === 0) return null;
  if (!returns(ask)) return { code: "branch.own", detail: `${names(own)}: off without --for` };
  const open = own.filter(({ contact }) => contact !== "nc");
  return open.length === 0 ? null : { code: "branch.own", detail: `${names(open)}: not on an NC contact` };
}

function isOwn(plan: SitePlan, outlets: readonly string[]): boolean {
  const branch = branchOf(plan, outlets);
  return branch === "controller" || branch === "path";
}

function names(outlets: readonly OutletPlan[]): string {
  return outlets.map(({ name }) => name).join(", ");
}

/** Devices that the command names, not those that its outlets feed besides. */
export function namedDevices(ask: Pick<Ask, "targets">): string[] {
  return ask.targets.flatMap(({ device }) => device ?? []);
}

/** What comes first is on, or goes on with the same command. */
function dependency(state: SiteState, ask: Ask): Refusal | null {
  if (ask.verb !== "on") return null;
  const stays = (name: string) => drivenPower(state, name) === "off" && !ask.outlets.includes(name);
  for (const device of devicesNamed(state.plan, namedDevices(ask))) {
    for (const { name: first, outlets } of devicesNamed(state.plan, device.after)) {
      const dark = outlets.length > 0 && outlets.every(stays);
      if (dark) return { code: "dependency.off", detail: `${device.name} comes after ${first}, which is off` };
    }
  }
  return null;
}

function interlock(state: SiteState, ask: Ask): Refusal | null {
  return returns(ask) ? interlockRefusal(state, ask.outlets) : null;
}

/** Whether the command may go ahead when the card does not take the record (design, section 5 item 8). */
export function mayForget(plan: SitePlan, ask: Ask): boolean {
  if (ask.verb === "on") return true;
  if (ask.verb === "cycle" && outletsNamed(plan, ask.outlets).every(({ contact }) => contact === "nc")) return true;
  return ask.args.withoutRecord === true && !isOwn(plan, ask.outlets);
}
