import type { Ask, Refusal } from "./checks.ts";
import { busyWith, drivenPower, observedPower } from "./facts.ts";
import type { SitePlan } from "./plan.ts";
import type { SiteState } from "./state.ts";

/** Outlets of which never two are on: a generator and the mains, two feeds of one bus. */

/** Those that must be off for this one to be on. */
function rivalsOf(plan: SitePlan, outlet: string): string[] {
  return plan.interlocks
    .filter((group) => group.includes(outlet))
    .flatMap((group) => group.filter((one) => one !== outlet));
}

/** What is not known to be off, or may go on by itself, counts as on. */
function surelyOff(state: SiteState, name: string): boolean {
  return drivenPower(state, name) === "off" && observedPower(state, name) !== "on" && busyWith(state, name) === null;
}

/** For what ends with these outlets on. */
export function interlockRefusal(state: SiteState, outlets: Ask["outlets"]): Refusal | null {
  for (const outlet of outlets) {
    for (const rival of rivalsOf(state.plan, outlet)) {
      if (outlets.includes(rival)) return refusal(outlet, rival, "both were asked for");
      if (!surelyOff(state, rival)) return refusal(outlet, rival, `${rival} is not known to be off`);
    }
  }
  return null;
}

function refusal(outlet: string, rival: string, why: string): Refusal {
  return { code: "outlet.interlock", detail: `${outlet} and ${rival} are never both on; ${why}` };
}
