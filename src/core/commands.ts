import type { Code } from "./codes.ts";
import type { Connection, Event } from "./events.ts";
import type { Command } from "./messages.ts";
import { ownerOfConsole } from "./plan.ts";
import { reject } from "./power.ts";
import { pendingOf } from "./sequence.ts";
import type { SiteState, Turn } from "./state.ts";
import { closeUnentitled } from "./streams.ts";
import { acceptTrust, allows, allowsAtSite, identify } from "./trust.ts";
import { birthView, stateView } from "./view.ts";

/** Commands that move nothing: what is, what was, and a new trust document. */

type Arrived = Extract<Event, { type: "command-arrived" }>;
type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;

/** Reads under way at once, over all connections. */
const READS_AT_ONCE = 16;
const WATCH_MS = 60_000;

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
  reject(turn, event.via, event.command.id, { code, detail: "" });
  return true;
}

export function onStatus(turn: Turn, event: Arrived): void {
  if (refusedView(turn, event, null)) return;
  turn.reply(event.via, { id: event.command.id, phase: "result", state: stateView(turn.state, turn.nowMs) });
}

export function onOutcome(turn: Turn, event: Arrived, command: Of<"outcome">): void {
  if (refusedView(turn, event, null)) return;
  const decided = turn.state.durable.decided.find((one) => one.id === command.args.id);
  if (decided === undefined) {
    return void reject(turn, event.via, command.id, { code: "outcome.unknown", detail: command.args.id });
  }
  const running = turn.state.sequences.find((one) => one.intent.id === command.args.id);
  const pending = running ? pendingOf(running, turn.nowMs) : null;
  turn.reply(event.via, {
    id: command.id,
    phase: "result",
    of: command.args.id,
    by: decided.by,
    outcome: decided.reply,
    pending,
  });
}

export function onRead(turn: Turn, event: Arrived, command: Of<"read">): void {
  const { console } = command.args;
  if (refusedView(turn, event, console)) return;
  if (console !== null && !isReadable(turn.state, console)) {
    return void reject(turn, event.via, command.id, { code: "console.unknown", detail: console });
  }
  if (turn.state.asked.length >= READS_AT_ONCE) {
    return void reject(turn, event.via, command.id, { code: "read.too-many", detail: "" });
  }
  const token = ask(turn, event.via, command.id);
  turn.effects.push({ type: "read-range", token, via: event.via, args: command.args });
}

/** Also one that left the config or has another name now: what it said is in the journal still. */
function isReadable({ plan, tracks }: SiteState, console: string): boolean {
  return plan.consoles.includes(console) || ["rx", "tx"].some((way) => Object.hasOwn(tracks, `${console}/${way}`));
}

function ask(turn: Turn, via: Connection, id: string): number {
  const token = turn.token();
  turn.set({ asked: [...turn.state.asked, { token, id, via }] });
  return token;
}

function answered(turn: Turn, token: number): { id: string; via: Connection } | null {
  const asked = turn.state.asked.find((one) => one.token === token);
  turn.set({ asked: turn.state.asked.filter((one) => one.token !== token) });
  return asked ?? null;
}

export function onRangeRead(turn: Turn, event: Extract<Event, { type: "range-read" }>): void {
  const asked = answered(turn, event.token);
  if (asked === null) return;
  if (!event.result.ok) return void reject(turn, asked.via, asked.id, { code: event.result.code, detail: "" });
  const { detail } = event.result;
  const clock = turn.state.durable.clocks.find((one) => one.boot === detail.boot) ?? null;
  // The site signs its own boot under `boot`: which one the range is of has a name of its own.
  turn.reply(asked.via, {
    ...detail,
    ofBoot: detail.boot ?? null,
    clock,
    clocks: turn.state.durable.clocks,
    id: asked.id,
    phase: "result",
  });
}

export function onWatch(turn: Turn, event: Arrived, command: Of<"watch">): void {
  const { console } = command.args;
  if (refusedView(turn, event, console)) return;
  if (!turn.state.plan.consoles.includes(console)) {
    return void reject(turn, event.via, command.id, { code: "console.unknown", detail: console });
  }
  turn.effects.push({ type: "watch", via: event.via, console, untilMs: turn.nowMs + WATCH_MS });
  turn.reply(event.via, { id: command.id, phase: "result", console, forMs: WATCH_MS });
}

export function onTrust(turn: Turn, event: Arrived, command: Of<"trust">): void {
  const refused = (code: Code) => void reject(turn, event.via, command.id, { code, detail: "" });
  const { state } = turn;
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
  turn.set({ trustChange: { token, document, id: command.id, by: command.by, via: event.via } });
  turn.effects.push({ type: "store-trust", token, envelope });
}

/** The file is on the card: from here on the new document rules. */
export function onTrustStored(turn: Turn, event: Extract<Event, { type: "trust-stored" }>): void {
  const change = turn.state.trustChange;
  if (change === null || change.token !== event.token) return;
  turn.set({ trustChange: null });
  const { document, id, by, via } = change;
  if (!event.ok) return void reject(turn, via, id, { code: "storage.degraded", detail: "the document was not stored" });
  turn.set({ trust: document });
  turn.append([{ kind: "trust", epoch: document.epoch, sha256: document.sha256, by }], { sync: true });
  turn.effects.push({ type: "trust-adopted", document });
  closeUnentitled(turn);
  turn.effects.push({ type: "publish", topic: "birth", to: "all", body: birthView(turn.state, turn.nowMs) });
  turn.reply(via, { id, phase: "result", verdict: "done", epoch: document.epoch });
}

/** Faults of a simulated site: only over the local socket, and only where the board is simulated. */
export function onSim(turn: Turn, event: Arrived, command: Of<"sim">): void {
  if (event.via !== "local") {
    return void reject(turn, event.via, command.id, { code: "command.unsupported", detail: "sim: local socket only" });
  }
  const token = ask(turn, event.via, command.id);
  turn.effects.push({ type: "set-fault", token, subject: command.args.subject, fault: command.args.fault });
}

export function onFaultSet(turn: Turn, event: Extract<Event, { type: "fault-set" }>): void {
  const asked = answered(turn, event.token);
  if (asked === null) return;
  if (!event.ok) return void reject(turn, asked.via, asked.id, { code: "sim.unknown", detail: event.detail });
  turn.reply(asked.via, { id: asked.id, phase: "result", verdict: "done", detail: event.detail });
}
