import type { Code } from "./codes.ts";
import type { Turn } from "./state.ts";

/** What was not obeyed and has no one to answer to. At most one record a minute tells of it. */
const IGNORED_EVERY_MS = 60_000;

export function ignore(turn: Turn, code: Code): void {
  const count = (turn.state.ignored[code] ?? 0) + 1;
  const ignoredFlushMs = turn.state.ignoredFlushMs ?? turn.nowMs;
  turn.set({ ignored: { ...turn.state.ignored, [code]: count }, ignoredFlushMs });
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
