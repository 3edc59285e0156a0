import type { Connection, Event } from "./events.ts";
import type { Turn } from "./state.ts";

/**
 * A site with two connections hears each command twice. What changes something is decided once by its id. What reads in
 * bulk is done once too, the way that it came first: twice, it would cost as much over LTE as over the primary. Short
 * answers go both ways: the one that a command came by first may be dying just then.
 */

export interface Look {
  readonly id: string;
  readonly via: Connection;
}

const KEPT = 256;
const LOOKS: ReadonlySet<string> = new Set(["read", "watch"]);

/** True when the same question came over another connection. A repeat over the same one is answered again. */
export function lookedElsewhere(turn: Turn, event: Extract<Event, { type: "command-arrived" }>): boolean {
  const { via, signers } = event;
  const { id, kind } = event.command;
  // An unsigned copy must not be able to keep the signed one from its answer.
  if (!LOOKS.has(kind) || via === "local" || signers.length === 0) return false;
  const { looks } = turn.state;
  const before = looks.find((one) => one.id === id);
  if (before === undefined) turn.set({ looks: [...looks, { id, via }].slice(-KEPT) });
  return before !== undefined && before.via !== via;
}
