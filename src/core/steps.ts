import {
  energisedFor,
  inputOf,
  type Observe,
  type OutletPlan,
  outletsNamed,
  type SitePlan,
  STAGGER_MS,
  type Switch,
  startRank,
} from "./plan.ts";

/** What a power command is going to do, step by step. Where it stands is in `sequence.ts`. */

/** One edge, down to the relay and its level. */
export interface Drive {
  readonly do: "drive";
  readonly outlet: string;
  readonly power: Switch;
  readonly relay: number;
  readonly energised: boolean;
}

export type Step =
  | Drive
  | { do: "observe"; outlets: readonly string[]; power: Switch; withinMs: number }
  | { do: "stay-off"; waitMs: number }
  | { do: "pause"; ms: number; before: Switch };

export function plannedSteps(
  plan: SitePlan,
  verb: "on" | "off" | "cycle",
  outlets: readonly string[],
  waitMs: number,
): Step[] {
  const off = stopSteps(plan, outlets);
  const on = startSteps(plan, outlets);
  const seenOff = observeStep(plan, outlets, "off");
  if (verb === "off") return [...off, ...seenOff];
  if (verb === "on") return on;
  return [...off, ...seenOff, { do: "stay-off", waitMs }, ...on];
}

/** What comes first goes on first; starts are staggered, so that inrush currents do not add up. */
export function startSteps(plan: SitePlan, outlets: readonly string[]): Step[] {
  const first = ({ name: one }: OutletPlan, { name: other }: OutletPlan) =>
    startRank(plan, one) - startRank(plan, other);
  const drives = outletsNamed(plan, outlets)
    .sort(first)
    .flatMap((outlet, index) =>
      driveAfter(index === 0 ? outlet.onDelayMs : Math.max(STAGGER_MS, outlet.onDelayMs), outlet, "on"),
    );
  return [...drives, ...observeStep(plan, outlets, "on")];
}

/** What depends on others goes off before them. */
function stopSteps(plan: SitePlan, outlets: readonly string[]): Step[] {
  const last = ({ name: one }: OutletPlan, { name: other }: OutletPlan) =>
    startRank(plan, other) - startRank(plan, one);
  return outletsNamed(plan, outlets)
    .sort(last)
    .flatMap((outlet) => driveAfter(outlet.offDelayMs, outlet, "off"));
}

function driveAfter(ms: number, { name, relay, contact }: OutletPlan, power: Switch): Step[] {
  const drive: Drive = { do: "drive", outlet: name, power, relay, energised: energisedFor(contact, power) };
  return ms > 0 ? [{ do: "pause", ms, before: power }, drive] : [drive];
}

function observeStep(plan: SitePlan, outlets: readonly string[], power: Switch): Step[] {
  const seen = outletsNamed(plan, outlets).flatMap(({ name, observe }) =>
    observe !== null && tells(observe, power) ? [{ name, withinMs: observe.withinMs }] : [],
  );
  if (seen.length === 0) return [];
  const withinMs = Math.max(...seen.map((one) => one.withinMs));
  return [{ do: "observe", outlets: seen.map((one) => one.name), power, withinMs }];
}

/** A silent console and an address that does not answer say nothing about power. */
export function tells(observe: Observe, power: Switch): boolean {
  return inputOf(observe) !== null || power === "on";
}
