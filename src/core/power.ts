import { type Limit, takeOne } from "./allowance.ts";
import { answerAgain, answerRecorded } from "./answers.ts";
import { operateAtOnce } from "./at-once.ts";
import { type Ask, moves, overrideRefusal, type Refusal, roleAllows, standingRefusal, tagRefusal } from "./checks.ts";
import type { Code } from "./codes.ts";
import type { Event } from "./events.ts";
import type { Command, Reply } from "./messages.ts";
import { type LeftOut, previewOf } from "./preview.ts";
import { recordIntent } from "./recording.ts";
import { refuse, senderOf } from "./refusals.ts";
import { addSelection, findSelection, NONCE_TTL_MS, repeatedSelection, type Selection, spend } from "./selection.ts";
import type { SiteState, Turn } from "./state.ts";
import { parseTargets, resolveTarget, targetText } from "./target.ts";
import { type Identity, identify } from "./trust.ts";

/** Select before operate: from a signed message to a decision. Then comes `recording.ts`, and what moves is in `running.ts`. */

type Arrived = Extract<Event, { type: "command-arrived" }>;
type Select = Extract<Command, { kind: "select" }>;
type Operate = Extract<Command, { kind: "operate" }>;

/** A person selects a few times a minute, a script some hundred at once; the ledger keeps a day of more than that. */
const SELECTS: Limit = { burst: 600, everyMs: 6_000 };

export function onSelect(turn: Turn, event: Arrived, command: Select): void {
  const { id, by, verb } = command;
  const { via, entropy: nonce, signed } = event;
  const sender = senderOf(turn.state, event);
  const refused = (refusal: Refusal) => refuse(turn, sender, refusal, command.target);
  const who = identify(turn.state.trust, event.signers, event.signatures, by);
  if (!who.ok) return refused({ code: who.code, detail: "" });
  const { epoch } = who.identity;
  const newer = newerEpoch(epoch, command.epoch);
  if (newer !== null) return refused(newer);
  const repeated = repeatedSelection(turn.state.selections, id, by, turn.nowMs);
  if (repeated !== null) return answerAgain(turn, via, repeated.reply);
  const aimed = aim(turn.state, who.identity, command, turn.nowMs);
  if (!aimed.ok) return refused(aimed.refusal);
  const taken = takeOne(turn.state.selects, by, SELECTS, turn.nowMs);
  if (!taken.ok) return refused({ code: "select.too-many", detail: by, retryAfterMs: taken.waitMs });

  const { ask, left } = partOf(turn.state, aimed, turn.nowMs);
  const preview = previewOf(turn.state, ask, standingRefusal(turn.state, ask, turn.nowMs), left);
  const reply: Reply = { id, phase: "selected", nonce, expiresInMs: NONCE_TTL_MS, epoch, preview };
  const asked = targetText(aimed.ask.targets);
  const selection: Selection = { ...ask, nonce, id, by, asked, selectedAtMs: turn.nowMs, used: false, reply };
  turn.set({ selections: addSelection(turn.state.selections, selection), selects: taken.all });
  const target = targetText(ask.targets);
  answerRecorded(turn, via, reply, { kind: "selected", id, by, verb, target, nonce, signed }, { sync: false });
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

function newerEpoch(own: number, epoch: number): Refusal | null {
  return epoch > own ? { code: "trust.behind", detail: `command: epoch ${epoch}, site: ${own}` } : null;
}

function olderEpoch(own: number, epoch: number): Refusal | null {
  return epoch < own ? { code: "trust.changed", detail: `command: epoch ${epoch}, site: ${own}` } : null;
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
  const { epoch } = who.identity;
  const ask = askOf(selection, command);
  const refusal =
    newerEpoch(epoch, command.epoch) ??
    olderEpoch(epoch, command.epoch) ??
    deniedFor(turn.state, who.identity, ask, turn.nowMs) ??
    standingRefusal(turn.state, ask, turn.nowMs);
  if (refusal !== null) return refuse(turn, sender, refusal, targetText(ask.targets), true);
  const { id, by } = command;
  if (moves(ask)) return recordIntent(turn, sender.via, { id, by, signed: event.signed }, ask);
  return operateAtOnce(turn, sender, by, ask);
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
