import { busyWith, drivenPower, observedFact } from "./facts.ts";
import type { Mismatch, SiteState, Turn } from "./state.ts";

/**
 * Outlets whose sensor disagrees with their line while nobody switches them: a fuse, a stuck relay, a hand at the
 * board. The alarm rises and clears slowly, so that a contact that bounces is one alarm and not a hundred.
 */

const RISE_MS = 5_000;
const CLEAR_MS = 30_000;
const CALM: Mismatch = { raised: false, changingMs: null };

/** With each event: alarms that have stood, or been gone, for long enough are records. */
export function checkMismatches(turn: Turn): void {
  for (const outlet of Object.values(turn.state.plan.outlets)) {
    if (outlet.observe === null) continue;
    const before = turn.state.mismatches[outlet.name] ?? CALM;
    const after = next(before, disagrees(turn.state, outlet.name), turn.nowMs);
    if (after === before) continue;
    turn.set({ mismatches: { ...turn.state.mismatches, [outlet.name]: after } });
    if (after.raised !== before.raised) tell(turn, outlet.name, after.raised);
  }
}

function next(before: Mismatch, disagreeing: boolean | null, nowMs: number): Mismatch {
  // In execution, or not to be told: a change that had begun begins anew.
  if (disagreeing === null || disagreeing === before.raised)
    return before.changingMs === null ? before : { ...before, changingMs: null };
  const changingMs = before.changingMs ?? nowMs;
  const due = nowMs - changingMs >= (before.raised ? CLEAR_MS : RISE_MS);
  if (due) return { raised: !before.raised, changingMs: null };
  return before.changingMs === null ? { ...before, changingMs } : before;
}

/** Null while it cannot be said. */
function disagrees(state: SiteState, name: string): boolean | null {
  const outlet = state.plan.outlets[name];
  if (outlet === undefined || busyWith(state, name) !== null) return null;
  const driven = drivenPower(state, name);
  const observed = observedFact(state, outlet).value;
  return driven === "unknown" || observed === "unknown" ? null : driven !== observed;
}

function tell(turn: Turn, name: string, raised: boolean): void {
  const outlet = turn.state.plan.outlets[name];
  if (outlet === undefined) return;
  const { value, source } = observedFact(turn.state, outlet);
  const detail = `driven ${drivenPower(turn.state, name)}, observed ${value} (${source})`;
  turn.append([{ kind: "alarm", code: "fact.disagrees", outlet: name, state: raised ? "raised" : "cleared", detail }], {
    sync: false,
  });
}

/** When an alarm may rise or clear, mono ms. */
export function mismatchWakes(state: SiteState): number[] {
  return Object.values(state.mismatches).flatMap(({ raised, changingMs }) =>
    changingMs === null ? [] : [changingMs + (raised ? CLEAR_MS : RISE_MS)],
  );
}
