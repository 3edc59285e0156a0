import { type Ask, type Refusal, standingRefusal } from "./checks.ts";
import type { Event } from "./events.ts";
import { overRate } from "./rate.ts";
import { recordIntent } from "./recording.ts";
import type { SiteState, Turn } from "./state.ts";
import { parseTargets, resolveTarget } from "./target.ts";

/**
 * Who acts without an operator: only what the config names, on the outlets and with the verbs that it names, through
 * the same checks as everybody, with a rate of its own.
 */

type Ordered = Extract<Event, { type: "actor-ordered" }>;

export function onActorOrdered(turn: Turn, event: Ordered): void {
  const { id, actor, verb, target } = event;
  if (turn.state.durable.decided.some((one) => one.id === id)) return;
  const judged = judge(turn.state, event, turn.nowMs);
  if ("outlets" in judged) return recordIntent(turn, "all", { id, by: actor, signed: null }, judged);
  const reply = { id, phase: "rejected", ...judged } as const;
  const asked = `${verb} ${target}`;
  turn.append([{ kind: "refused", id, by: actor, code: judged.code, target: asked, signed: null, reply }], {
    sync: false,
  });
}

/** What may be done, or why not. */
function judge(state: SiteState, { actor, verb, target, forMs, reason }: Ordered, nowMs: number): Ask | Refusal {
  const plan = Object.hasOwn(state.plan.actors, actor) ? state.plan.actors[actor] : undefined;
  if (plan === undefined) return { code: "actor.unknown", detail: actor };
  const targets = parseTargets(target, state.plan.site) ?? [];
  const resolved = targets.map((one) => resolveTarget(state.plan, one) ?? []);
  if (targets.length === 0 || resolved.some((outlets) => outlets.length === 0))
    return { code: "target.unknown", detail: target };
  const ask: Ask = { verb, targets, outlets: [...new Set(resolved.flat())], args: { forMs, reason } };
  const foreign = ask.outlets.find((outlet) => !plan.outlets.includes(outlet));
  if (foreign !== undefined || !plan.verbs.includes(verb))
    return { code: "actor.denied", detail: `${actor}: ${verb} ${foreign ?? ""}`.trim() };
  const over = overRate(state.durable.actors?.[actor] ?? [], plan.rate, nowMs);
  if (over !== null) return { code: "actor.rate", detail: `${actor}: ${over.said}`, retryAfterMs: over.retryAfterMs };
  return standingRefusal(state, ask, nowMs) ?? ask;
}
