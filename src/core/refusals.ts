import { type Limit, takeOne } from "./allowance.ts";
import { answerAgain, answerRecorded } from "./answers.ts";
import type { Refusal } from "./checks.ts";
import type { Connection, Event } from "./events.ts";
import { ignore } from "./ignored.ts";
import type { Reply } from "./messages.ts";
import type { SiteState, Turn } from "./state.ts";
import { holderOf } from "./trust.ts";

/** A refusal of who is known is a record with its evidence, and leaves after it; what nobody known signed is counted. */

/** Who sent a command, as far as the signatures tell. */
export interface Sender {
  readonly id: string;
  readonly via: Connection;
  /** The operator whose key signed, also where the key is revoked or the message names another; null: nobody known. */
  readonly by: string | null;
  readonly signed: string;
}

/** What one operator's messages may put into the ledger, whoever sends them again: a tape is no way to push out decisions. */
const REFUSALS: Limit = { burst: 60, everyMs: 60_000 };
/** A larger one is not kept as evidence: only a trust document can be. */
const EVIDENCE_LIMIT = 48 * 1024;
const TOLD_KEPT = 64;

export function senderOf(state: SiteState, event: Extract<Event, { type: "command-arrived" }>): Sender {
  const { command, via, signers, signed } = event;
  return { id: command.id, via, by: holderOf(state.trust, signers, command.by), signed };
}

/** Answers a message that could not be read. */
export function reject(turn: Turn, via: Connection, id: string, refusal: Refusal): void {
  turn.reply(via, { id, phase: "rejected", ...refusal });
}

/** @param decided whether the answer is the last word on this id: whoever asks again gets it again. */
export function refuse(turn: Turn, sender: Sender, refusal: Refusal, target: string, decided = false): void {
  const { id, via, by } = sender;
  const reply: Reply = { id, phase: "rejected", ...refusal };
  if (by === null) {
    ignore(turn, refusal.code);
    return turn.reply(via, reply);
  }
  const told = `${refusal.code} ${by} ${sender.signed}`;
  if (!decided && turn.state.told.includes(told)) return answerAgain(turn, via, reply);
  if (!decided && !allowed(turn, by)) {
    ignore(turn, `${refusal.code} ${by}`);
    return turn.reply(via, reply);
  }
  const signed = evidenceOf(sender.signed);
  if (signed !== null) turn.set({ told: [...turn.state.told, told].slice(-TOLD_KEPT) });
  const record = {
    kind: "refused",
    id,
    by,
    code: refusal.code,
    target,
    signed,
    reply: decided ? reply : null,
  } as const;
  answerRecorded(turn, via, reply, record, { sync: false });
}

function allowed(turn: Turn, by: string): boolean {
  const taken = takeOne(turn.state.refusals, by, REFUSALS, turn.nowMs);
  if (taken.ok) turn.set({ refusals: taken.all });
  return taken.ok;
}

export function evidenceOf(text: string): string | null {
  return text.length <= EVIDENCE_LIMIT ? text : null;
}
