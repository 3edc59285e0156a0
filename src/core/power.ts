import { type Limit, takeOne } from "./allowance.ts";
import { answerAgain, answerRecorded, answerUnrecorded, SYNC_DEADLINE_MS, settleAnswer } from "./answers.ts";
import {
  type Ask,
  cuts,
  mayForget,
  overrideRefusal,
  type Refusal,
  roleAllows,
  standingRefusal,
  tagRefusal,
} from "./checks.ts";
import type { Code } from "./codes.ts";
import type { Event, ReplyTo } from "./events.ts";
import { drivenPower, factsOfAll } from "./facts.ts";
import type { Intent } from "./ledger.ts";
import { trustedWall } from "./locks.ts";
import type { Command, Durability, Reply } from "./messages.ts";
import { type LeftOut, offTimeOf, previewOf, sequenceVerb } from "./preview.ts";
import { refuse, type Sender, senderOf } from "./refusals.ts";
import { beginSequence, runSequences } from "./running.ts";
import { addSelection, findSelection, NONCE_TTL_MS, repeatedSelection, type Selection, spend } from "./selection.ts";
import type { Recording, SiteState, Turn } from "./state.ts";
import { parseTargets, resolveTarget, targetText } from "./target.ts";
import { type Identity, identify } from "./trust.ts";

/** Select before operate: the way from a signed message to an intent. What moves afterwards is in `running.ts`. */

type Arrived = Extract<Event, { type: "command-arrived" }>;
type Select = Extract<Command, { kind: "select" }>;
type Operate = Extract<Command, { kind: "operate" }>;

/** A person selects a few times a minute, a script some hundred at once; the ledger keeps a day of more than that. */
const SELECTS: Limit = { burst: 600, everyMs: 6_000 };

export function onSelect(turn: Turn, event: Arrived, command: Select): void {
  const sender = senderOf(turn.state, event);
  const refused = (refusal: Refusal) => refuse(turn, sender, refusal, command.target);
  const who = identify(turn.state.trust, event.signers, event.signatures, command.by);
  if (!who.ok) return refused({ code: who.code, detail: "" });
  const stale = newerEpoch(who.identity, command.epoch);
  if (stale !== null) return refused(stale);
  const repeated = repeatedSelection(turn.state.selections, command.id, command.by, turn.nowMs);
  if (repeated !== null) return answerAgain(turn, event.via, repeated.reply);

  const aimed = aim(turn.state, who.identity, command, turn.nowMs);
  if (!aimed.ok) return refused(aimed.refusal);
  const taken = takeOne(turn.state.selects, command.by, SELECTS, turn.nowMs);
  if (!taken.ok) return refused({ code: "select.too-many", detail: command.by, retryAfterMs: taken.waitMs });
  const { ask, left } = partOf(turn.state, aimed, turn.nowMs);
  const preview = previewOf(turn.state, ask, standingRefusal(turn.state, ask, turn.nowMs), left);
  const reply: Reply = {
    id: command.id,
    phase: "selected",
    nonce: event.entropy,
    expiresInMs: NONCE_TTL_MS,
    epoch: who.identity.epoch,
    preview,
  };
  const selection: Selection = {
    ...ask,
    nonce: event.entropy,
    id: command.id,
    by: command.by,
    asked: targetText(aimed.ask.targets),
    selectedAtMs: turn.nowMs,
    used: false,
    reply,
  };
  turn.set({ selections: addSelection(turn.state.selections, selection), selects: taken.all });
  const { id, by, verb } = command;
  const target = targetText(ask.targets);
  const { entropy: nonce, signed } = event;
  answerRecorded(turn, event.via, reply, { kind: "selected", id, by, verb, target, nonce, signed }, { sync: false });
}

/** The whole ask, and each of its targets by itself. */
type Aimed = { ok: true; ask: Ask; parts: readonly Ask[] } | { ok: false; refusal: Refusal };

function aim(state: SiteState, identity: Identity, command: Select, nowMs: number): Aimed {
  const refused = (code: Code, detail: string): Aimed => ({ ok: false, refusal: { code, detail } });
  const targets = parseTargets(command.target, state.plan.site);
  if (targets === null) return refused("target.unknown", command.target);
  const { verb, args } = command;
  const parts = targets.map((target): Ask => {
    const outlets = resolveTarget(state.plan, target) ?? [];
    return { verb, args, targets: [target], outlets };
  });
  const ask = together(parts, command);
  // Whoever may not do it is not told either what there is.
  const denied = deniedFor(state, identity, ask, nowMs);
  if (denied !== null) return { ok: false, refusal: denied };
  for (const { targets: target, outlets } of parts) {
    if (outlets.length > 0) continue;
    const known = target.every((one) => resolveTarget(state.plan, one) !== null);
    return refused(known ? "target.no-outlets" : "target.unknown", targetText(target));
  }
  return { ok: true, ask, parts };
}

function together(parts: readonly Ask[], { verb, args }: Pick<Ask, "verb" | "args">): Ask {
  const targets = parts.flatMap((one) => one.targets);
  return { verb, args, targets, outlets: [...new Set(parts.flatMap((one) => one.outlets))] };
}

/** What the operator's role does not allow, whatever the outlets say. */
function deniedFor(state: SiteState, identity: Identity, ask: Ask, nowMs: number): Refusal | null {
  if (!roleAllows(identity, state.plan, ask))
    return { code: "role.denied", detail: `${ask.verb} ${targetText(ask.targets)}` };
  return overrideRefusal(identity, state.plan, ask) ?? tagRefusal(state, identity, ask, nowMs);
}

/** With `partial`, what is left of the ask when the targets that would be refused are taken out of it. */
function partOf(
  state: SiteState,
  { ask, parts }: { readonly ask: Ask; readonly parts: readonly Ask[] },
  nowMs: number,
): { ask: Ask; left: readonly LeftOut[] } {
  if (ask.args.partial !== true) return { ask, left: [] };
  const judged = parts.map((part) => ({ part, refusal: standingRefusal(state, part, nowMs) }));
  const kept = judged.filter(({ refusal }) => refusal === null).map(({ part }) => part);
  // With nothing left, the whole is refused, with its own reason.
  if (kept.length === 0) return { ask, left: [] };
  const left = judged.flatMap(({ part, refusal }) =>
    refusal === null ? [] : [{ target: targetText(part.targets), ...refusal }],
  );
  return { ask: together(kept, ask), left };
}

function newerEpoch({ epoch: own }: Identity, epoch: number): Refusal | null {
  return epoch > own ? { code: "trust.behind", detail: `command: epoch ${epoch}, site: ${own}` } : null;
}

/** The fixed order of design section 5 item 2; size, retain flag and parse were checked at the inbox. */
export function onOperate(turn: Turn, event: Arrived, command: Operate): void {
  const sender = senderOf(turn.state, event);
  const refused = (code: Code) => refuse(turn, sender, { code, detail: "" }, command.target ?? "");
  const decided = turn.state.durable.decided.find((one) => one.id === command.id);
  if (decided !== undefined) {
    if (decided.by === command.by) return answerAgain(turn, event.via, decided.reply);
    return refused("command.id-taken");
  }
  const found = findSelection(turn.state.selections, command.nonce, turn.nowMs);
  if (!found.ok) return refused(found.code);
  const { selection } = found;
  const who = identify(turn.state.trust, event.signers, event.signatures, command.by);
  if (!who.ok) return refused(who.code);
  const mismatch = mismatchOf(turn.state, selection, command);
  if (mismatch !== null) return refuse(turn, sender, mismatch, command.target ?? "");

  turn.set({ selections: spend(turn.state.selections, command.nonce) });
  const refusal = refusalOf(turn, who.identity, selection, command);
  if (refusal !== null) return refuse(turn, sender, refusal, targetText(selection.targets), true);
  const ask = askOf(selection, command);
  const { id, by } = command;
  if (ask.verb === "on" || ask.verb === "off" || ask.verb === "cycle")
    return recordIntent(turn, sender.via, { id, by, signed: event.signed }, ask);
  return operateAtOnce(turn, sender, command, ask);
}

function mismatchOf(state: SiteState, selection: Selection, command: Operate): Refusal | null {
  const mismatch = (detail: string): Refusal => ({ code: "nonce.mismatch", detail });
  if (selection.by !== command.by) return mismatch("selected by somebody else");
  if (command.verb !== null && command.verb !== selection.verb) return mismatch(`selected for ${selection.verb}`);
  if (command.target === null) return null;
  const targets = parseTargets(command.target, state.plan.site);
  const same = targets !== null && targetText(targets) === selection.asked;
  return same ? null : mismatch(`selected for ${selection.asked}`);
}

function refusalOf(turn: Turn, identity: Identity, selection: Selection, command: Operate): Refusal | null {
  const newer = newerEpoch(identity, command.epoch);
  if (newer !== null) return newer;
  if (command.epoch < identity.epoch)
    return { code: "trust.changed", detail: `command: epoch ${command.epoch}, site: ${identity.epoch}` };
  const ask = askOf(selection, command);
  return deniedFor(turn.state, identity, ask, turn.nowMs) ?? standingRefusal(turn.state, ask, turn.nowMs);
}

/** What was selected decides; an operate may add what does not change the move: facts, reason, `--without-record`. */
function askOf(selection: Selection, command: Operate): Ask {
  const { expect, withoutRecord, reason } = command.args;
  const args = {
    ...selection.args,
    ...(expect && { expect }),
    ...(withoutRecord !== undefined && { withoutRecord }),
    ...(reason !== undefined && { reason }),
  };
  return { verb: selection.verb, targets: selection.targets, outlets: selection.outlets, args };
}

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

function lockEnd(turn: Turn, forMs: number | undefined): { forMs: number | null; untilWallMs: number | null } {
  const wall = trustedWall(turn.state, turn.nowMs);
  if (forMs === undefined) return { forMs: null, untilWallMs: null };
  return { forMs, untilWallMs: wall === null ? null : wall + forMs };
}

function operateAtOnce(turn: Turn, sender: Sender, { id, by }: Operate, ask: Ask): void {
  const { via, signed } = sender;
  const result = (detail: Record<string, unknown>): Reply => ({ id, phase: "result", verdict: "done", ...detail });
  const reason = ask.args.reason ?? "";
  const facts = () => factsOfAll(turn.state, ask.outlets);
  if (ask.verb === "lock") {
    const end = lockEnd(turn, ask.args.forMs);
    const reply = result({ locked: ask.outlets, ...end, facts: facts() });
    const record = { kind: "locked", id, by, reason, outlets: ask.outlets, ...end, signed, reply } as const;
    return answerRecorded(turn, via, reply, record, { sync: true });
  }
  if (ask.verb === "unlock") {
    const reply = result({ unlocked: ask.outlets, facts: facts() });
    const record = { kind: "unlocked", id, by, outlets: ask.outlets, signed, reply } as const;
    return answerRecorded(turn, via, reply, record, { sync: true });
  }
  const running = turn.state.sequences.find((one) => one.intent.outlets.some((name) => ask.outlets.includes(name)));
  if (running === undefined) {
    const refusal: Refusal = { code: "outlet.busy", detail: "its record is being written" };
    return refuse(turn, sender, refusal, targetText(ask.targets), true);
  }
  const reply = result({ cancels: running.intent.id });
  const record = { kind: "cancelled", id, by, cancels: running.intent.id, signed, reply } as const;
  answerRecorded(turn, via, reply, record, { sync: true });
  const sequences = turn.state.sequences.map((one) => (one === running ? { ...one, cancelled: true } : one));
  turn.set({ sequences });
  runSequences(turn);
}
