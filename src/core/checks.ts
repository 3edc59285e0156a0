import type { Code } from "./codes.ts";
import { memoryOf } from "./ledger.ts";
import type { OperateVerb, PowerArgs } from "./messages.ts";
import { branchOf, deviceNamed, devicesFedBy, outletNamed, type SitePlan } from "./plan.ts";
import { busyWith, drivenPower, type SiteState } from "./state.ts";
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
  readonly target: Target;
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
];

export function standingRefusal(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (ask.verb === "lock" || ask.verb === "unlock" || ask.verb === "cancel") return plainRefusal(state, ask);
  for (const check of STANDING) {
    const refusal = check(state, ask, nowMs);
    if (refusal !== null) return refusal;
  }
  return null;
}

function plainRefusal(state: SiteState, ask: Ask): Refusal | null {
  if (ask.verb === "cancel" && !ask.outlets.some((outlet) => busyWith(state, outlet) !== null)) {
    return { code: "outlet.idle", detail: "nothing to cancel" };
  }
  if (ask.verb === "unlock" && !ask.outlets.some((outlet) => memoryOf(state.durable, outlet).lock !== null)) {
    return { code: "outlet.not-locked", detail: "" };
  }
  return null;
}

/** The verb of a role that each command needs. `cancel` pays an owed on and does nothing else. */
const NEEDED: Record<OperateVerb, Verb> = {
  on: "power-on",
  off: "power-off",
  cycle: "power-cycle",
  cancel: "power-on",
  lock: "lock",
  unlock: "lock",
};

/** True when the operator may do it to the named device and to every other one that these outlets feed. */
export function roleAllows(identity: Identity, plan: SitePlan, ask: Pick<Ask, "verb" | "target" | "outlets">): boolean {
  const verb = NEEDED[ask.verb];
  const fed = devicesFedBy(plan, ask.outlets);
  const named = ask.target.device ?? (fed.length === 0 ? `:${ask.target.outlet}` : null);
  const all = named === null ? fed : [named, ...fed];
  return all.every((device) => allows(identity, verb, plan.site, device));
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
    const outlet = outletNamed(state.plan, name);
    const driven = outlet ? drivenPower(state, outlet) : "unknown";
    if (driven !== expected) return { code: "facts.changed", detail: `${name} is ${driven}, expected ${expected}` };
  }
  return null;
}

function locked(state: SiteState, ask: Ask): Refusal | null {
  for (const outlet of ask.outlets) {
    const { lock } = memoryOf(state.durable, outlet);
    if (lock !== null)
      return { code: "outlet.locked", detail: `${outlet} by ${lock.by}: ${lock.reason || "no reason given"}` };
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
  const anyOn = ask.outlets.some((name) => {
    const outlet = outletNamed(state.plan, name);
    return outlet !== undefined && drivenPower(state, outlet) !== "off";
  });
  return anyOn ? null : { code: "outlet.not-on", detail: ask.outlets.join(", ") };
}

function minimumTimes(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  for (const name of ask.outlets) {
    const outlet = outletNamed(state.plan, name);
    if (outlet === undefined) continue;
    const memory = memoryOf(state.durable, name);
    const driven = drivenPower(state, outlet);
    if (cuts(ask) && driven !== "off" && memory.lastOnMs !== null) {
      const left = memory.lastOnMs + outlet.minOnMs - nowMs;
      if (left > 0) return { code: "outlet.min-on", detail: name, retryAfterMs: Math.ceil(left) };
    }
    if (ask.verb === "on" && driven !== "on" && memory.lastOffMs !== null) {
      const left = memory.lastOffMs + outlet.minOffMs - nowMs;
      if (left > 0) return { code: "outlet.min-off", detail: name, retryAfterMs: Math.ceil(left) };
    }
  }
  return null;
}

/** Only what takes power away counts: a site must never be left dark because it was switched on too often. */
function rate(state: SiteState, ask: Ask, nowMs: number): Refusal | null {
  if (!cuts(ask)) return null;
  for (const name of ask.outlets) {
    const limit = outletNamed(state.plan, name)?.rate;
    if (limit === undefined) continue;
    const recent = memoryOf(state.durable, name).cutsMs.filter((at) => nowMs - at < limit.perMs);
    if (recent.length < limit.max) continue;
    const oldest = recent.at(-limit.max) ?? nowMs;
    const detail = `${name}: ${limit.max} in ${limit.perMs / 60_000} min`;
    return { code: "outlet.rate", detail, retryAfterMs: Math.ceil(oldest + limit.perMs - nowMs) };
  }
  return null;
}

function ownBranch(state: SiteState, ask: Ask): Refusal | null {
  if (!cuts(ask)) return null;
  const own = ask.outlets.filter((outlet) => ["controller", "path"].includes(branchOf(state.plan, [outlet])));
  if (own.length === 0) return null;
  if (!returns(ask)) return { code: "branch.own", detail: `${own.join(", ")}: off without --for` };
  const open = own.filter((name) => outletNamed(state.plan, name)?.contact !== "nc");
  return open.length === 0 ? null : { code: "branch.own", detail: `${open.join(", ")}: not on an NC contact` };
}

function dependency(state: SiteState, ask: Ask): Refusal | null {
  if (ask.verb !== "on" || ask.target.device === null) return null;
  for (const first of deviceNamed(state.plan, ask.target.device)?.after ?? []) {
    const outlets = deviceNamed(state.plan, first)?.outlets ?? [];
    const dark = outlets.length > 0 && outlets.every((name) => isOff(state, name));
    if (dark) return { code: "dependency.off", detail: `${ask.target.device} comes after ${first}, which is off` };
  }
  return null;
}

function isOff(state: SiteState, name: string): boolean {
  const outlet = outletNamed(state.plan, name);
  return outlet !== undefined && drivenPower(state, outlet) === "off";
}

/** Whether the command may go ahead when the card does not take the record (design, section 5 item 8). */
export function mayForget(plan: SitePlan, ask: Ask): boolean {
  if (ask.verb === "on") return true;
  const allNc = ask.outlets.every((name) => outletNamed(plan, name)?.contact === "nc");
  if (ask.verb === "cycle" && allNc) return true;
  const own = branchOf(plan, ask.outlets);
  return ask.args.withoutRecord === true && own !== "controller" && own !== "path";
}
