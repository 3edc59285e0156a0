import { answerRecorded } from "./answers.ts";
import type { Ask } from "./checks.ts";
import { factsOfAll } from "./facts.ts";
import { trustedWall } from "./locks.ts";
import type { Reply } from "./messages.ts";
import { refuse, type Sender } from "./refusals.ts";
import { runSequences } from "./running.ts";
import type { Turn } from "./state.ts";
import { targetText } from "./target.ts";

/** Lock, unlock and cancel: they need no intent, since they begin no edge. Their record is the deed. */

/** @param by the operator, as his signature was judged. */
export function operateAtOnce(turn: Turn, sender: Sender, by: string, ask: Ask): void {
  if (ask.verb === "lock") return lock(turn, sender, by, ask);
  if (ask.verb === "unlock") return unlock(turn, sender, by, ask);
  return cancel(turn, sender, by, ask);
}

function lock(turn: Turn, { id, via, signed }: Sender, by: string, { outlets, args }: Ask): void {
  const end = lockEnd(turn, args.forMs);
  const reply = doneReply(id, { locked: outlets, ...end, facts: factsOfAll(turn.state, outlets) });
  const record = { kind: "locked", id, by, reason: args.reason ?? "", outlets, ...end, signed, reply } as const;
  answerRecorded(turn, via, reply, record, { sync: true });
}

function lockEnd(turn: Turn, forMs: number | undefined): { forMs: number | null; untilWallMs: number | null } {
  if (forMs === undefined) return { forMs: null, untilWallMs: null };
  const wall = trustedWall(turn.state, turn.nowMs);
  return { forMs, untilWallMs: wall === null ? null : wall + forMs };
}

function unlock(turn: Turn, { id, via, signed }: Sender, by: string, { outlets }: Ask): void {
  const reply = doneReply(id, { unlocked: outlets, facts: factsOfAll(turn.state, outlets) });
  answerRecorded(turn, via, reply, { kind: "unlocked", id, by, outlets, signed, reply }, { sync: true });
}

/** Ends the wait of what runs on these outlets: the on that it owes is paid now. */
function cancel(turn: Turn, sender: Sender, by: string, ask: Ask): void {
  const { id, via, signed } = sender;
  const running = turn.state.sequences.find((one) => one.intent.outlets.some((name) => ask.outlets.includes(name)));
  if (running === undefined) {
    const detail = "its record is being written";
    return refuse(turn, sender, { code: "outlet.busy", detail }, targetText(ask.targets), true);
  }
  const cancels = running.intent.id;
  const reply = doneReply(id, { cancels });
  answerRecorded(turn, via, reply, { kind: "cancelled", id, by, cancels, signed, reply }, { sync: true });
  const sequences = turn.state.sequences.map((one) => (one === running ? { ...one, cancelled: true } : one));
  turn.set({ sequences });
  runSequences(turn);
}

function doneReply(id: string, detail: Record<string, unknown>): Reply {
  return { id, phase: "result", verdict: "done", ...detail };
}
