import { answerRecorded, answerUnrecorded, SYNC_DEADLINE_MS, settleAnswer } from "./answers.ts";
import { type Ask, cuts, mayForget, type Refusal } from "./checks.ts";
import type { ReplyTo } from "./events.ts";
import { drivenPower } from "./facts.ts";
import type { Intent } from "./ledger.ts";
import type { Durability, Reply } from "./messages.ts";
import { offTimeOf, sequenceVerb } from "./preview.ts";
import { beginSequence, runSequences } from "./running.ts";
import type { Recording, Turn } from "./state.ts";
import { targetText } from "./target.ts";

/** From a decision to the first edge: the intent goes to the card, and nothing moves before the card has it, or cannot. */

/** Who orders: an operator with his signed command, or an actor of the config, which signs nothing. */
interface Ordering {
  readonly id: string;
  readonly by: string;
  readonly signed: string | null;
}

/** Passed: the command becomes an intent, and moves when the card has it. */
export function recordIntent(turn: Turn, via: ReplyTo, who: Ordering, ask: Ask): void {
  const { id, by } = who;
  const outlets = ask.outlets;
  const intent: Intent = {
    id,
    by,
    verb: sequenceVerb(ask),
    target: targetText(ask.targets),
    reason: ask.args.reason ?? "",
    outlets,
    cuts: cuts(ask) ? outlets.filter((name) => drivenPower(turn.state, name) !== "off") : [],
    waitMs: offTimeOf(turn.state.plan, ask),
    durability: "synced",
    ...(ask.args.override?.length && { override: ask.args.override }),
  };
  record(turn, via, intent, who.signed, mayForget(turn.state.plan, ask));
}

/** The intent goes to the card; what comes of it is `settleRecording`'s. */
function record(turn: Turn, via: ReplyTo, intent: Intent, signed: string | null, mayForgetIt: boolean): void {
  const token = turn.token();
  const deadlineMs = turn.nowMs + SYNC_DEADLINE_MS;
  const epoch = turn.state.trust?.epoch;
  const recording: Recording = { token, intent, via, deadlineMs, mayForget: mayForgetIt, epoch };
  turn.set({ recordings: [...turn.state.recordings, recording] });
  turn.append([{ kind: "intent", intent, signed }], { sync: true, token });
  if (turn.state.storage.state === "degraded") settleRecording(turn, recording, false);
}

/** The card has answered, or has not within the deadline. */
export function settleRecording(turn: Turn, recording: Recording, ok: boolean): void {
  turn.set({ recordings: turn.state.recordings.filter((one) => one !== recording) });
  if (!ok && !recording.mayForget)
    return refuseRecorded(turn, recording, {
      code: "storage.degraded",
      detail: "the intent could not be recorded within 2 s",
    });
  if (recording.epoch !== turn.state.trust?.epoch)
    return refuseRecorded(turn, recording, { code: "trust.changed", detail: "while the intent was being recorded" });
  const durability: Durability = ok ? "synced" : "memory";
  const intent = { ...recording.intent, durability };
  if (!ok) turn.append([{ kind: "unrecorded", id: intent.id }], { sync: false });
  turn.reply(recording.via, { id: intent.id, phase: "accepted", durability, waitMs: intent.waitMs });
  beginSequence(turn, intent, recording.via);
  runSequences(turn);
}

/** Its intent is in the ledger and owes: the outcome says that nothing moved. */
function refuseRecorded(turn: Turn, { intent, via }: Recording, refusal: Refusal): void {
  const reply: Reply = { id: intent.id, phase: "rejected", ...refusal };
  const outlets = Object.fromEntries(intent.outlets.map((name) => [name, drivenPower(turn.state, name)]));
  const record = { kind: "outcome", id: intent.id, verdict: "failed", failures: [], outlets, reply } as const;
  if (refusal.code === "storage.degraded") answerUnrecorded(turn, via, reply, record);
  else answerRecorded(turn, via, reply, record, { sync: true });
}

/** Of recordings and of answers that wait for the card. */
export function checkDeadlines(turn: Turn): void {
  const due = ({ deadlineMs }: { readonly deadlineMs: number }) => turn.nowMs >= deadlineMs;
  for (const recording of turn.state.recordings.filter(due)) settleRecording(turn, recording, false);
  for (const answer of turn.state.answers.filter(due)) settleAnswer(turn, answer, false);
}
