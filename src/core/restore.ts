import { busyWith, drivenPower } from "./facts.ts";
import { interlockRefusal } from "./interlock.ts";
import { memoryOf, type PowerWas } from "./ledger.ts";
import { lockOf } from "./locks.ts";
import { branchOf, type OutletPlan, type Switch } from "./plan.ts";
import { recordIntent } from "./recording.ts";
import type { SiteState, Turn } from "./state.ts";

/**
 * `powerRestore`: what happens to outlets after a real power cut, and only then. A restart of the program and a reboot
 * of the machine with the mains present move nothing. Where nobody can tell whether the mains was gone, nothing is
 * taken off: a machine that restarted by itself must not darken a site that was on.
 */

const ACTOR = "local:power-restore";

export function restorePower(turn: Turn, was: PowerWas): void {
  if (was === "kept") return;
  const wanted = Object.values(turn.state.plan.outlets).flatMap((outlet) => {
    const power = wantedPower(turn.state, outlet, turn.nowMs);
    return power === null || (power === "off" && was !== "lost") ? [] : [{ name: outlet.name, power }];
  });
  for (const power of ["off", "on"] as const) {
    const outlets = wanted.filter((one) => one.power === power).map((one) => one.name);
    const possible = power === "on" ? withoutRivals(turn.state, outlets) : outlets;
    if (possible.length > 0) order(turn, power, possible);
  }
}

function order(turn: Turn, verb: Switch, outlets: readonly string[]): void {
  const { boot, start } = turn.state;
  const targets = outlets.map((outlet) => ({ device: null, outlet }));
  const ask = { verb, targets, outlets, args: { reason: "power restore" } };
  recordIntent(turn, "all", { id: `restore-${verb}-${boot}-${start}`, by: ACTOR, signed: null }, ask);
}

/** Null where nothing is to be done. */
function wantedPower(state: SiteState, outlet: OutletPlan, nowMs: number): Switch | null {
  const wish = wishOf(outlet, memoryOf(state.durable, outlet.name).commanded);
  if (wish === null || wish === drivenPower(state, outlet.name)) return null;
  if (busyWith(state, outlet.name) !== null || lockOf(state, outlet.name, nowMs) !== null) return null;
  // What feeds the controller or its path is never taken off by itself.
  if (wish === "off" && branchOf(state.plan, [outlet.name]) !== "none") return null;
  return wish;
}

function wishOf({ powerRestore }: OutletPlan, commanded: Switch | "unknown"): Switch | null {
  if (powerRestore === "always-on") return "on";
  if (powerRestore === "always-off") return "off";
  return powerRestore === "last-state" && commanded !== "unknown" ? commanded : null;
}

/** Of two that are never both on, the one that is named first. */
function withoutRivals(state: SiteState, outlets: readonly string[]): string[] {
  const kept: string[] = [];
  for (const outlet of outlets) if (interlockRefusal(state, [...kept, outlet]) === null) kept.push(outlet);
  return kept;
}
