import { type Ask, type Refusal, standingRefusal } from "./checks.ts";
import type { Event } from "./events.ts";
import { recordIntent } from "./power.ts";
import { overRate } from "./rate.ts";
import type { SiteState, Turn } from "./state.ts";
import { parseTargets, resolveTarget } from "./target.ts";

/**
 * Who acts without an operator: only what the config names, on the outlets and with the verbs that it names, through
 * the same checks as everybody, with a rate of its own.
 */

type Ordered = Extract<Event, { type: "actor-ordered" }>;

export function onActorOrdered(turn: Turn, event: Ordered): void {
  const { id, actor, verb, target, reason } = event;
  if (turn.state.durable.decided.some((one) => one.id === id)) return;
  const found = askOf(turn.state, event);
  const refusal =
    "code" in found
      ? found
      : (limitOf(turn.state, event, found, turn.nowMs) ?? standingRefusal(turn.state, found, turn.nowMs));
  if (refusal === null && !("code" in found))
    return recordIntent(turn, "all", { id, by: actor, signed: null }, { ...found, args: { ...found.args, reason } });
  const code = refusal?.code ?? "actor.denied";
  const reply = { id, phase: "rejected", ...(refusal ?? {}), code } as const;
  turn.append([{ kind: "refused", id, by: actor, code, target: `${verb} ${target}`, signed: null, reply }], {
    sync: false,
  });
}

function askOf(state: SiteState, { actor, verb, target, forMs }: Ordered): Ask | Refusal {
  const targets = parseTargets(target, state.plan.site);
  const outlets = targets?.map((one) => resolveTarget(state.plan, one)) ?? null;
  if (targets === null || outlets === null || outlets.some((one) => one === null || one.length === 0))
    return { code: "target.unknown", detail: target };
  if (!Object.hasOwn(state.plan.actors, actor)) return { code: "actor.unknown", detail: actor };
  return { verb, targets, outlets: [...new Set(outlets.flatMap((one) => one ?? []))], args: { forMs } };
}

function limitOf(state: SiteState, { actor }: Ordered, ask: Ask, nowMs: number): Refusal | null {
  const plan = state.plan.actors[actor];
  const verbs: readonly string[] = plan?.verbs ?? [];
  const foreign = ask.outlets.find((outlet) => !plan?.outlets.includes(outlet));
  if (plan === undefined || foreign !== undefined || !verbs.includes(ask.verb))
    return { code: "actor.denied", detail: `${actor}: ${ask.verb} ${foreign ?? ""}`.trim() };
  const over = overRate(state.durable.actors?.[actor] ?? [], plan.rate, nowMs);
  return over && { code: "actor.rate", detail: `${actor}: ${over.said}`, retryAfterMs: over.retryAfterMs };
}
