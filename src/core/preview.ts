import type { Ask, Refusal } from "./checks.ts";
import { cuts, moves, namedDevices } from "./checks.ts";
import { factsOfAll } from "./facts.ts";
import type { OutletFacts } from "./messages.ts";
import { type BranchKind, branchOf, devicesFedBy, outletsNamed, type SitePlan } from "./plan.ts";
import type { SiteState } from "./state.ts";
import { plannedSteps, type Step } from "./steps.ts";
import { targetText } from "./target.ts";

/** What a person sees before anything moves. */
export interface Preview {
  readonly verb: string;
  readonly target: string;
  /** In order: the edges and the waits between them. */
  readonly moves: readonly ({ outlet: string; power: string } | { waitMs: number })[];
  /** Devices that lose power, the named one too. */
  readonly loses: readonly string[];
  readonly named: readonly string[];
  readonly ownBranch: BranchKind;
  readonly facts: Readonly<Record<string, OutletFacts>>;
  readonly warnings: readonly string[];
  /** What an operate would be refused for right now. */
  readonly refusal: Refusal | null;
  /** With `--partial`: targets that are left out, and why. */
  readonly left: readonly LeftOut[];
}

export interface LeftOut extends Refusal {
  readonly target: string;
}

export function previewOf(state: SiteState, ask: Ask, refusal: Refusal | null, left: readonly LeftOut[] = []): Preview {
  const { plan } = state;
  const loses = cuts(ask) ? devicesFedBy(plan, ask.outlets) : [];
  const ownBranch = branchOf(plan, ask.outlets);
  return {
    verb: ask.verb,
    target: targetText(ask.targets),
    moves: moves(ask) ? movesOf(powerSteps(plan, ask)) : [],
    loses,
    named: namedDevices(ask),
    ownBranch,
    facts: factsOfAll(state, ask.outlets),
    warnings: warningsOf(ask, ownBranch, loses),
    refusal,
    left,
  };
}

/** The steps of a power verb on these outlets; `off --for` is a cycle with a long wait. */
function powerSteps(plan: SitePlan, ask: Ask): Step[] {
  const verb = sequenceVerb(ask);
  return plannedSteps(plan, verb, ask.outlets, offTimeOf(plan, ask));
}

export function sequenceVerb(ask: Pick<Ask, "verb" | "args">): "on" | "off" | "cycle" {
  if (ask.verb === "cycle" || (ask.verb === "off" && ask.args.forMs !== undefined)) return "cycle";
  return ask.verb === "on" ? "on" : "off";
}

/** The longest off time of the outlets, never under a minimum off time. */
export function offTimeOf(plan: SitePlan, ask: Pick<Ask, "outlets" | "args">): number {
  const { forMs } = ask.args;
  const times = outletsNamed(plan, ask.outlets).map(({ offTimeMs, minOffMs }) =>
    Math.max(forMs ?? offTimeMs, minOffMs),
  );
  return Math.max(0, ...times);
}

function movesOf(steps: readonly Step[]): Preview["moves"] {
  return steps.flatMap((step): Preview["moves"][number][] => {
    if (step.do === "drive") return [{ outlet: step.outlet, power: step.power }];
    if (step.do === "stay-off") return [{ waitMs: step.waitMs }];
    return step.do === "pause" ? [{ waitMs: step.ms }] : [];
  });
}

function warningsOf(ask: Ask, branch: BranchKind, loses: readonly string[]): string[] {
  if (!cuts(ask)) return [];
  const warnings: string[] = [];
  if (branch === "undeclared")
    warnings.push("site.yaml has no `controller:` section: this may cut the controller itself");
  if (branch === "controller") warnings.push("this outlet feeds the controller itself");
  if (branch === "path")
    warnings.push("this outlet feeds the controller's path to you: expect silence until it is back");
  const others = loses.filter((device) => !namedDevices(ask).includes(device));
  if (others.length > 0) warnings.push(`also loses power: ${others.join(", ")}`);
  return warnings;
}
