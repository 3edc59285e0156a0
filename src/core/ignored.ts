import type { Turn } from "./state.ts";

/** What was not obeyed and has no one to answer to. At most one record a minute tells of it. */
const IGNORED_EVERY_MS = 60_000;

/** Counts one more: a code, or a code and the operator whose refusals are told by number for a while. */
export function ignore(turn: Turn, what: string): void {
  const count = (turn.state.ignored[what] ?? 0) + 1;
  const ignoredFlushMs = turn.state.ignoredFlushMs ?? turn.nowMs;
  turn.set({ ignored: { ...turn.state.ignored, [what]: count }, ignoredFlushMs });
  flushIgnored(turn);
}

/** The first one is told at once, the rest once a minute. */
export function flushIgnored(turn: Turn): void {
  const { ignored, ignoredFlushMs } = turn.state;
  if (ignoredFlushMs === null || turn.nowMs < ignoredFlushMs) return;
  if (Object.keys(ignored).length === 0) return turn.set({ ignoredFlushMs: null });
  turn.append([{ kind: "ignored", counts: ignored }], { sync: false });
  turn.set({ ignored: {}, ignoredFlushMs: turn.nowMs + IGNORED_EVERY_MS });
}
