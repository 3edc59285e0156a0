import type { ReplyTo } from "./events.ts";
import type { RecordBody } from "./ledger.ts";
import type { Reply } from "./messages.ts";
import type { Answering, Turn } from "./state.ts";

/** Decisions are in the ledger before anybody hears of them: an answer waits for its record, but not for ever. */

/** An operate whose intent is not on the card by then goes on without it, or is refused; an answer goes out. */
export const SYNC_DEADLINE_MS = 2_000;

export function answerRecorded(
  turn: Turn,
  via: ReplyTo,
  reply: Reply,
  record: RecordBody,
  { sync }: { readonly sync: boolean },
): void {
  if (turn.state.storage.state === "degraded") return answerUnrecorded(turn, via, reply, record);
  const token = turn.token();
  const answering: Answering = { token, via, reply, deadlineMs: turn.nowMs + SYNC_DEADLINE_MS };
  turn.set({ answers: [...turn.state.answers, answering] });
  turn.append([record], { sync, token });
}

/** Without the wait, where it is known that the card does not answer. */
export function answerUnrecorded(turn: Turn, via: ReplyTo, reply: Reply, record: RecordBody): void {
  turn.append([record], { sync: true });
  turn.reply(via, { ...reply, durability: "memory" });
}

/** Says it once more; while the record of the first time is on its way, to all who asked when it is there. */
export function answerAgain(turn: Turn, via: ReplyTo, reply: Reply): void {
  const { answers, recordings } = turn.state;
  const pending =
    answers.some((one) => one.reply.id === reply.id) || recordings.some((one) => one.intent.id === reply.id);
  if (!pending) return turn.reply(via, reply);
  const wider = <T extends { readonly via: ReplyTo }>(one: T, id: string): T =>
    id === reply.id && one.via !== via ? { ...one, via: "all" } : one;
  turn.set({
    answers: answers.map((one) => wider(one, one.reply.id)),
    recordings: recordings.map((one) => wider(one, one.intent.id)),
  });
}

/** The card has answered, or has not within the deadline: then the answer says that it may be forgotten. */
export function settleAnswer(turn: Turn, answering: Answering, ok: boolean): void {
  turn.set({ answers: turn.state.answers.filter((one) => one !== answering) });
  const { via, reply } = answering;
  turn.reply(via, ok ? reply : { ...reply, durability: "memory" });
}
