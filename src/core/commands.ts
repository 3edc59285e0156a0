import { answerRecorded } from "./answers.ts";
import type { Code } from "./codes.ts";
import type { Event } from "./events.ts";
import type { Command } from "./messages.ts";
import { ownerOfConsole } from "./plan.ts";
import { evidenceOf, refuse, type Sender, senderOf } from "./refusals.ts";
import { pendingOf } from "./sequence.ts";
import type { Asked, SiteState, Turn } from "./state.ts";
import { closeUnentitled } from "./streams.ts";
import { revised } from "./telling.ts";
import { acceptTrust, allows, allowsAtSite, identify } from "./trust.ts";
import { birthView, stateView } from "./view.ts";

/** Commands that move nothing: what is, what was, and a new trust document. */

type Arrived = Extract<Event, { type: "command-arrived" }>;
type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** Reads under way at once, over all connections. */
const READS_AT_ONCE = 16;
const WATCH_MS = 60_000;
/** Who brings a trust document need not be known: the roots' signatures decide. */
const BEARER = "bearer";

/** Null when the sender may look at this console's device (or, with null, at the site), else the refusal. */
function viewRefusal(turn: Turn, event: Arrived, console: string | null): Code | null {
  // The socket's group is the permission to look (design, section 6).
  if (event.via === "local" && event.signatures === 0) return null;
  const { state } = turn;
  const who = identify(state.trust, event.signers, event.signatures, event.command.by);
  if (!who.ok) return who.code;
  const { site } = state.plan;
  const may =
    console === null
      ? allowsAtSite(who.identity, "view", site)
      : allows(who.identity, "view", site, ownerOfConsole(state.plan, console));
  return may ? null : "role.denied";
}

function refusedView(turn: Turn, event: Arrived, console: string | null): boolean {
  const code = viewRefusal(turn, event, console);
  if (code === null) return false;
  refuse(turn, senderOf(turn.state, event), { code, detail: "" }, console ?? "");
  return true;
}

export function onStatus(turn: Turn, event: Arrived): void {
  if (refusedView(turn, event, null)) return;
  const state = stateView(turn.state, turn.nowMs, revised(turn));
  turn.reply(event.via, { id: event.command.id, phase: "result", state });
}

export function onOutcome(turn: Turn, event: Arrived, command: Of<"outcome">): void {
  if (refusedView(turn, event, null)) return;
  const of = command.args.id;
  const decided = turn.state.durable.decided.find((one) => one.id === of);
  if (decided === undefined)
    return refuse(turn, senderOf(turn.state, event), { code: "outcome.unknown", detail: of }, "");
  const running = turn.state.sequences.find((one) => one.intent.id === of);
  const pending = running ? pendingOf(running, turn.nowMs) : null;
  turn.reply(event.via, {
    id: command.id,
    phase: "result",
    of,
    by: decided.by,
    outcome: decided.reply,
    pending,
  });
}

export function onRead(turn: Turn, event: Arrived, command: Of<"read">): void {
  const { console } = command.args;
  if (refusedView(turn, event, console)) return;
  const sender = senderOf(turn.state, event);
  if (console !== null && !isReadable(turn.state, console))
    return refuse(turn, sender, { code: "console.unknown", detail: console }, console);
  if (turn.state.asked.length >= READS_AT_ONCE)
    return refuse(turn, sender, { code: "read.too-many", detail: "" }, console ?? "");
  const token = ask(turn, sender, console ?? "");
  turn.effects.push({ type: "read-range", token, via: event.via, args: command.args });
}

/** Also one that left the config or has another name now: what it said is in the journal still. */
function isReadable({ plan, tracks }: SiteState, console: string): boolean {
  return plan.consoles.includes(console) || ["rx", "tx"].some((way) => Object.hasOwn(tracks, `${console}/${way}`));
}

function ask(turn: Turn, sender: Sender, target: string): number {
  const token = turn.token();
  turn.set({ asked: [...turn.state.asked, { token, sender, target }] });
  return token;
}

function answered(turn: Turn, token: number): Asked | null {
  const asked = turn.state.asked.find((one) => one.token === token);
  turn.set({ asked: turn.state.asked.filter((one) => one.token !== token) });
  return asked ?? null;
}

export function onRangeRead(turn: Turn, event: Extract<Event, { type: "range-read" }>): void {
  const asked = answered(turn, event.token);
  if (asked === null) return;
  const { sender, target } = asked;
  if (!event.result.ok) return refuse(turn, sender, { code: event.result.code, detail: "" }, target);
  const { detail } = event.result;
  const clock = turn.state.durable.clocks.find((one) => one.boot === detail.boot) ?? null;
  // The site signs its own boot under `boot`: which one the range is of has a name of its own.
  turn.reply(sender.via, {
    ...detail,
    ofBoot: detail.boot ?? null,
    clock,
    clocks: turn.state.durable.clocks,
    id: sender.id,
    phase: "result",
  });
}

export function onWatch(turn: Turn, event: Arrived, command: Of<"watch">): void {
  const { console } = command.args;
  if (refusedView(turn, event, console)) return;
  if (!turn.state.plan.consoles.includes(console))
    return refuse(turn, senderOf(turn.state, event), { code: "console.unknown", detail: console }, console);
  turn.effects.push({ type: "watch", via: event.via, console, untilMs: turn.nowMs + WATCH_MS });
  turn.reply(event.via, { id: command.id, phase: "result", console, forMs: WATCH_MS });
}

export function onTrust(turn: Turn, event: Arrived, command: Of<"trust">): void {
  const { state } = turn;
  const sender = senderOf(state, event);
  const refused = (code: Code) => refuse(turn, sender, { code, detail: "" }, "");
  if (event.offer === null) return refused("trust.invalid");
  // Whose roots would it be checked against? The first document comes with the config, from who has the machine.
  if (state.trust === null) return refused("trust.none");
  if (state.trustChange !== null) return refused("outlet.busy");
  const accepted = acceptTrust(state.trust, event.offer, state.plan.fleet, state.durable.trust);
  if (!accepted.ok) return refused(accepted.code);
  const { document, envelope } = event.offer;
  if (!accepted.changed) {
    return turn.reply(event.via, { id: command.id, phase: "result", verdict: "done", epoch: document.epoch });
  }
  const token = turn.token();
  const text = event.offer.text ?? envelope;
  turn.set({ trustChange: { token, document, text, by: sender.by ?? BEARER, sender } });
  turn.effects.push({ type: "store-trust", token, envelope });
}

/** The file is on the card: from here on the new document rules. */
export function onTrustStored(turn: Turn, event: Extract<Event, { type: "trust-stored" }>): void {
  const change = turn.state.trustChange;
  if (change === null || change.token !== event.token) return;
  turn.set({ trustChange: null });
  const { document, text, by, sender } = change;
  const { id, via } = sender;
  if (!event.ok) return refuse(turn, sender, { code: "storage.degraded", detail: "the document was not stored" }, "");
  turn.set({ trust: document });
  const { epoch, sha256 } = document;
  const record = { kind: "trust", epoch, sha256, by, id, document: evidenceOf(text) } as const;
  answerRecorded(turn, via, { id, phase: "result", verdict: "done", epoch }, record, { sync: true });
  turn.effects.push({ type: "trust-adopted", document });
  closeUnentitled(turn);
  turn.effects.push({ type: "publish", topic: "birth", to: "all", body: birthView(turn.state, turn.nowMs) });
}

/** Faults of a simulated site: only over the local socket, and only where the board is simulated. */
export function onSim(turn: Turn, event: Arrived, command: Of<"sim">): void {
  if (event.via !== "local") {
    const refusal = { code: "command.unsupported", detail: "sim: local socket only" } as const;
    return refuse(turn, senderOf(turn.state, event), refusal, command.args.subject);
  }
  const token = ask(turn, senderOf(turn.state, event), command.args.subject);
  turn.effects.push({ type: "set-fault", token, subject: command.args.subject, fault: command.args.fault });
}

export function onFaultSet(turn: Turn, event: Extract<Event, { type: "fault-set" }>): void {
  const asked = answered(turn, event.token);
  if (asked === null) return;
  const { sender, target } = asked;
  if (!event.ok) return refuse(turn, sender, { code: "sim.unknown", detail: event.detail }, target);
  turn.reply(sender.via, { id: sender.id, phase: "result", verdict: "done", detail: event.detail });
}
