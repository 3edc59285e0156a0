import type { OperateVerb, PowerArgs } from "../core/messages.ts";
import { NONCE_TTL_MS } from "../core/selection.ts";
import { readSelected, type ShownPreview } from "./answers.ts";
import type { Client, SiteReply } from "./client.ts";
import { ulid } from "./ulid.ts";
import type { LoadedTrust, Who } from "./who.ts";

/** Select, agree, operate, follow: what happens between a typed command and its verdict. */

export interface Selected {
  readonly nonce: string;
  readonly epoch: number;
  readonly preview: ShownPreview;
  readonly atMs: number;
}

export type Selecting = { ok: true; selected: Selected } | { ok: false; reply: SiteReply | null };

const SELECT_MS = 10_000;
const ACCEPT_MS = 10_000;
/** After the longest wait that was announced. */
const RESULT_SLACK_MS = 30_000;
/** A selection older than this is made again before it is used. */
const FRESH_MS = NONCE_TTL_MS - 10_000;

export interface Order {
  readonly verb: OperateVerb;
  readonly target: string;
  readonly args: PowerArgs;
}

export async function select(client: Client, who: Who, trust: LoadedTrust | null, order: Order): Promise<Selecting> {
  const body = { kind: "select", verb: order.verb, target: order.target, args: order.args };
  let reply = await client.send(body, { who, timeoutMs: SELECT_MS });
  if (reply?.code === "trust.behind" && trust !== null) {
    // The site has an older trust than we do: bring it, then ask again.
    await pushTrust(client, who, trust.text);
    reply = await client.send(body, { who, timeoutMs: SELECT_MS });
  }
  if (reply === null || reply.phase !== "selected") return { ok: false, reply };
  const selected = readSelected(reply);
  if (selected === null) return { ok: false, reply: null };
  return { ok: true, selected: { ...selected, atMs: Date.now() } };
}

export function pushTrust(client: Client, who: Who | null, document: string): Promise<SiteReply | null> {
  return client.send({ kind: "trust", args: { document } }, { who, timeoutMs: SELECT_MS });
}

/** A selection that can still be used: the same one, or a new one when that grew old. Null when the preview changed. */
export async function freshen(
  client: Client,
  who: Who,
  trust: LoadedTrust | null,
  order: Order,
  selected: Selected,
): Promise<Selecting | null> {
  if (Date.now() - selected.atMs < FRESH_MS) return { ok: true, selected };
  const again = await select(client, who, trust, order);
  return again.ok && !samePreview(again.selected.preview, selected.preview) ? null : again;
}

/** The same move on the same facts; only their age may differ. */
function samePreview(one: ShownPreview, other: ShownPreview): boolean {
  const gist = ({ facts, ...rest }: ShownPreview) => {
    const values = Object.entries(facts).map(([name, fact]) => [
      name,
      fact.commanded.value,
      fact.driven.value,
      fact.observed.value,
    ]);
    return JSON.stringify([rest, values]);
  };
  return gist(one) === gist(other);
}

export type Ended =
  | { how: "answered"; reply: SiteReply }
  /** Sent, and no verdict was heard. */
  | { how: "unknown"; why: "no-accept" | "no-result" | "interrupted" };

export interface Following {
  readonly id: string;
  readonly onSent: (id: string) => void;
  readonly onReply: (reply: SiteReply) => void;
  /** Stops the following, not the command. */
  readonly signal: AbortSignal;
}

/** Sends the operate and follows it to its verdict. */
export async function operate(
  client: Client,
  who: Who,
  order: Order,
  selected: Selected,
  following: Following,
): Promise<Ended> {
  const { id, signal } = following;
  const expect = Object.fromEntries(
    Object.entries(selected.preview.facts).map(([name, fact]) => [name, fact.driven.value]),
  );
  const body = {
    kind: "operate",
    verb: order.verb,
    target: order.target,
    nonce: selected.nonce,
    epoch: selected.epoch,
    args: { ...order.args, expect },
  };
  const waits = selected.preview.moves.reduce((sum, move) => sum + ("waitMs" in move ? move.waitMs : 0), 0);
  let accepted = false;
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), ACCEPT_MS);
  const reply = await client.send(body, {
    who,
    id,
    timeoutMs: waits + ACCEPT_MS + RESULT_SLACK_MS,
    signal: AbortSignal.any([signal, giveUp.signal]),
    sent: following.onSent,
    on(heard) {
      if (heard.phase === "accepted") {
        accepted = true;
        clearTimeout(timer);
      }
      following.onReply(heard);
      return heard.phase === "result" || heard.phase === "rejected";
    },
  });
  clearTimeout(timer);
  if (reply !== null) return { how: "answered", reply };
  if (signal.aborted) return { how: "unknown", why: "interrupted" };
  return { how: "unknown", why: accepted ? "no-result" : "no-accept" };
}

export function newId(): string {
  return ulid();
}
