import { answerAgain, answerRecorded } from "./answers.ts";
import type { Code } from "./codes.ts";
import type { Connection, Event } from "./events.ts";
import type { Command, Reply, StreamArgs } from "./messages.ts";
import { ownerOfConsole, type SitePlan } from "./plan.ts";
import { evidenceOf, refuse, type Sender, senderOf } from "./refusals.ts";
import type { Turn } from "./state.ts";
import { allows, allowsAtSite, type Identity, identify, livingKeys, type TrustDocument, type Verb } from "./trust.ts";

/** Byte streams into a site: who may open which, how many at once, and when one that is open loses its right. */

/** Over brokers: each may hold an uplink for minutes. */
export const FAR_STREAMS = 8;
/** Over the local socket: 48 consoles with four viewers each, and room. */
const LOCAL_STREAMS = 256;
/** Ids of opens in this life; one that comes again opens nothing. */
const USED_KEPT = 4_096;

/** Who a stream speaks for. `local`: the socket's group, no operator. */
export interface StreamWho {
  readonly name: string;
  /** Fingerprint of the key that signed; null where none did. */
  readonly key: string | null;
  readonly local: boolean;
}

/** A right that was there when the stream was opened, and must stay. `console` null: anywhere at the site. */
interface Need {
  readonly verb: Verb;
  readonly console: string | null;
}

export interface OpenStream {
  readonly token: number;
  /** On the wire; random, so never in a record that others read. */
  readonly id: string;
  /** Of the command that opened it: its name in the ledger. */
  readonly commandId: string;
  readonly via: Connection;
  readonly sender: Sender;
  readonly args: StreamArgs;
  readonly who: StreamWho;
  readonly needs: readonly Need[];
  /** Keys that may log in through it. */
  readonly keys: readonly string[];
  readonly state: "opening" | "open";
  /** What a program that this stream started proves its operator with; spent by its first use. */
  readonly ticket: string | null;
}

type Arrived = Extract<Event, { type: "command-arrived" }>;
type Open = Extract<Command, { kind: "stream.open" }>;
type Rights = Pick<OpenStream, "who" | "needs" | "keys">;
type Judged = { ok: true; rights: Rights } | { ok: false; code: Code };

export function onStreamOpen(turn: Turn, event: Arrived, command: Open): void {
  const { state } = turn;
  const { args } = command;
  const sender = senderOf(state, event);
  const refused = (code: Code, detail = "") => refuse(turn, sender, { code, detail }, targetOf(args));
  if (args.console !== undefined && !state.plan.consoles.includes(args.console)) {
    return refused("console.unknown", args.console);
  }
  const judged = judge(turn, event, command);
  if (!judged.ok) return refused(judged.code);
  const inClear = event.via !== "local" && args.service === "console";
  if (inClear && args.mode !== "watch") return refused("stream.in-clear", "towpath ssh SITE CONSOLE");
  const before = state.streams.find((one) => one.commandId === command.id);
  // QoS 1 may bring it twice; what was used up is never opened again.
  if (before !== undefined) return before.state === "open" ? answerAgain(turn, event.via, answerOf(before)) : undefined;
  if (state.streamsUsed.includes(command.id)) return refused("stream.stale", "this id was used before");
  const far = (one: OpenStream) => one.via !== "local";
  const same = state.streams.filter((one) => far(one) === (event.via !== "local"));
  if (same.length >= (event.via === "local" ? LOCAL_STREAMS : FAR_STREAMS)) return refused("stream.too-many");
  const stream: OpenStream = {
    token: turn.token(),
    id: event.entropy,
    commandId: command.id,
    via: event.via,
    sender,
    args,
    ...judged.rights,
    state: "opening",
    ticket: null,
  };
  const used = [...state.streamsUsed, command.id].slice(-USED_KEPT);
  turn.set({ streams: [...spendTicket(turn, args.ticket), stream], streamsUsed: used });
  const { service, console = null, mode } = args;
  const { id, token, who } = stream;
  turn.effects.push({
    type: "open-stream",
    ...{ token, id, via: event.via, service, console, mode, who },
    rights: stream.needs.map((need) => need.verb),
    keys: loginOf(state.trust, stream),
  });
}

function targetOf({ service, console }: StreamArgs): string {
  return console === undefined ? service : `${service} ${console}`;
}

function spendTicket(turn: Turn, ticket: string | undefined): readonly OpenStream[] {
  if (ticket === undefined) return turn.state.streams;
  return turn.state.streams.map((one) => (one.ticket === ticket ? { ...one, ticket: null } : one));
}

/** Who asks, and which rights it takes; those that were needed are looked at again when the trust changes. */
function judge(turn: Turn, event: Arrived, command: Open): Judged {
  const { args } = command;
  const { state } = turn;
  if (args.ticket !== undefined) {
    const parent = state.streams.find((one) => one.ticket === args.ticket);
    if (event.via !== "local" || parent === undefined) return { ok: false, code: "stream.ticket" };
    return permitted(state.trust, state.plan, parent.who, args, []);
  }
  // The socket's group is the right to read and type (design, section 6), and to nothing more.
  if (event.via === "local" && event.signatures === 0 && args.service === "console") {
    const { must, may } = needsOf(args);
    const who = { name: "local", key: null, local: true };
    return { ok: true, rights: { who, needs: [...must, ...may], keys: [] } };
  }
  const who = identify(state.trust, event.signers, event.signatures, command.by);
  if (!who.ok) return { ok: false, code: who.code };
  // A recorded open that somebody plays again in another life of the site opens nothing.
  if (args.life !== `${state.boot}/${state.start}`) return { ok: false, code: "stream.stale" };
  const keys = state.trust === null ? [] : livingKeys(state.trust, who.identity.name);
  const key = keys.find((one) => event.signers.includes(one)) ?? null;
  return permitted(state.trust, state.plan, { name: who.identity.name, key, local: false }, args, keys);
}

function permitted(
  trust: TrustDocument | null,
  plan: SitePlan,
  who: StreamWho,
  args: StreamArgs,
  keys: readonly string[],
): Judged {
  const identity = standing(trust, who);
  if (identity === null) return { ok: false, code: "operator.revoked" };
  const { must, may } = needsOf(args);
  if (!must.every((need) => holds(identity, plan, need))) return { ok: false, code: "role.denied" };
  // What may be done inside is fixed when it begins, so it ends when one of these rights does.
  const needs = [...must, ...may.filter((need) => holds(identity, plan, need))];
  return { ok: true, rights: { who, needs, keys: args.service === "ssh" ? keys : [] } };
}

/** The rights without which it is not opened, and those that it has where the operator has them. */
function needsOf(args: StreamArgs): { must: readonly Need[]; may: readonly Need[] } {
  const { service, mode } = args;
  const need = (verb: Verb): Need => ({ verb, console: args.console ?? null });
  if (service === "shell") return { must: [need("admin")], may: [] };
  if (service === "ssh") return { must: [need("view")], may: [need("forward")] };
  return mode === "watch"
    ? { must: [need("view")], may: [] }
    : { must: [need("view"), need("type")], may: [need("break")] };
}

function holds(identity: Identity, plan: SitePlan, { verb, console }: Need): boolean {
  if (console === null) return allowsAtSite(identity, verb, plan.site);
  return allows(identity, verb, plan.site, ownerOfConsole(plan, console));
}

/** The operator as the trust has him now; null when he or the key that he came with is gone. */
function standing(trust: TrustDocument | null, { name, key }: StreamWho): Identity | null {
  if (key === null) return null;
  const who = identify(trust, [key], 1, name);
  return who.ok ? who.identity : null;
}

/** Public keys that may log in through it, as `type base64`. */
function loginOf(trust: TrustDocument | null, { who, keys }: OpenStream): string[] {
  const operator = trust?.operators.find((one) => one.name === who.name);
  return (operator?.lines ?? []).filter((_, at) => keys.includes(operator?.keys[at] ?? ""));
}

export function onStreamOpened(turn: Turn, event: Extract<Event, { type: "stream-opened" }>): void {
  const stream = turn.state.streams.find((one) => one.token === event.token && one.state === "opening");
  if (stream === undefined) return;
  const others = turn.state.streams.filter((one) => one !== stream);
  if (!event.ok) {
    turn.set({ streams: others });
    const refusal = { code: event.code ?? "stream.unsupported", detail: event.detail };
    return refuse(turn, stream.sender, refusal, targetOf(stream.args));
  }
  const open: OpenStream = { ...stream, state: "open", ticket: event.ticket ?? null };
  turn.set({ streams: [...others, open] });
  const signed = open.who.local ? null : evidenceOf(open.sender.signed);
  const record = { kind: "stream", state: "opened", ...described(open), signed } as const;
  answerRecorded(turn, open.via, answerOf(open), record, { sync: false });
  // The trust may have changed while it was being opened.
  closeUnentitled(turn);
}

export function onStreamClosed(turn: Turn, event: Extract<Event, { type: "stream-closed" }>): void {
  const stream = turn.state.streams.find((one) => one.id === event.id);
  if (stream === undefined) return;
  turn.set({ streams: turn.state.streams.filter((one) => one !== stream) });
  if (stream.state === "opening") return;
  const { how, bytesIn, bytesOut } = event;
  turn.append([{ kind: "stream", state: "closed", ...described(stream), how, bytesIn, bytesOut }], { sync: false });
}

/** After a change of trust: what a stream was opened with must still be there. */
export function closeUnentitled(turn: Turn): void {
  const { trust, plan } = turn.state;
  for (const stream of turn.state.streams) {
    if (stream.who.local) continue;
    const identity = standing(trust, stream.who);
    const living = trust === null || identity === null ? [] : livingKeys(trust, identity.name);
    const code: Code | null =
      identity === null || !stream.keys.every((key) => living.includes(key))
        ? "operator.revoked"
        : stream.needs.every((need) => holds(identity, plan, need))
          ? null
          : "role.denied";
    if (code !== null) turn.effects.push({ type: "close-stream", id: stream.id, code });
  }
}

function answerOf({ commandId, id, args }: OpenStream): Reply {
  const { service, console = null, mode } = args;
  return { id: commandId, phase: "result", stream: id, service, console, mode };
}

function described({ commandId, who, via, args }: OpenStream) {
  const { service, console = null, mode } = args;
  return { id: commandId, by: who.name, key: who.key, via, service, console, mode };
}
