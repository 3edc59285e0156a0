import type { Event } from "./events.ts";
import type { SiteState, Turn } from "./state.ts";
import { revise, stateView } from "./view.ts";

/**
 * Who watches a site is told of a change once it has settled: a command is then one state and one batch of records, not
 * three of each, and its replies wait behind neither.
 */

const SETTLE_MS = 50;
/** More records do not wait. */
const HELD = 64;

/** At the end of each turn. */
export function tellChanges(turn: Turn, event: Event): void {
  const { settlesMs, untold } = turn.state;
  if (settlesMs === null && !mayShow(turn, event)) return;
  const dueMs = settlesMs ?? turn.nowMs + SETTLE_MS;
  turn.set({ settlesMs: dueMs });
  if (turn.nowMs < dueMs && untold.length < HELD && event.type !== "stopping") return;
  turn.set({ settlesMs: null, untold: [] });
  if (untold.length > 0) turn.effects.push({ type: "publish-events", records: untold });
  const items = revised(turn);
  if (items === turn.state.shown) return;
  turn.set({ shown: items });
  turn.effects.push({ type: "publish", topic: "state", to: "all", body: stateView(turn.state, turn.nowMs, items) });
}

/** Whether others may see something of it: a gap is a record or nothing, and a flood brings thousands of them; nor does a sign of life. */
function mayShow(turn: Turn, event: Event): boolean {
  if (event.type === "console-gap" || event.type === "session-beat") return turn.state.untold.length > 0;
  return event.type !== "tick" || turn.effects.length > 0;
}

/** The published items as they are now, each with its revision. */
export function revised(turn: Turn): SiteState["items"] {
  turn.set({ items: revise(turn.state, turn.nowMs) });
  return turn.state.items;
}
