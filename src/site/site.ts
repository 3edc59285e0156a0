import type { Effect, Event } from "../core/events.ts";
import type { LedgerRecord } from "../core/ledger.ts";
import { stepSite } from "../core/site.ts";
import { EMPTY_STATE, type SiteState } from "../core/state.ts";
import { encodeEnvelope } from "../protocol/envelope.ts";
import { checkpointBody, type LedgerChain } from "../protocol/ledger-chain.ts";
import { siteRoot, topicText } from "../protocol/topics.ts";
import type { Clock, Edges, Emit, Incoming, Keys, LogLine } from "./edges.ts";
import { type Inbox, receive } from "./inbox.ts";

/** One site: events in, a pure decision, effects out. */
export interface Site {
  emit: Emit;
  /** A message from a broker or the local socket. */
  receive(message: Incoming): void;
  /** For telling, never for deciding. */
  state(): SiteState;
  /** Events worked on so far: a loop that turns raises it. */
  turns(): number;
  stop(): void;
}

export interface SiteOptions {
  readonly edges: Edges;
  readonly clock: Clock;
  readonly keys: Keys;
  /** 128 random bits, hex. */
  readonly entropy: () => string;
  readonly log: (line: LogLine) => void;
  /** From the last stored record on. */
  readonly chain: LedgerChain;
  readonly started: Extract<Event, { type: "started" }>;
}

export function createSite(options: SiteOptions): Site {
  const { edges, clock, keys, entropy, log, chain, started } = options;
  const root = siteRoot(started.plan.fleet, started.plan.site);
  const topics: Inbox = {
    commandTopic: topicText(root, { name: "dn/command" }),
    ackTopic: topicText(root, { name: "dn/ack" }),
  };
  const inbox: Event[] = [];
  let state = EMPTY_STATE;
  let running = false;
  let stopped = false;
  let signed = 0;
  let turns = 0;
  /** Of records that were not published yet, by number. */
  const texts = new Map<number, string>();
  let cancelWake: (() => void) | null = null;

  const emit = (event: Event): void => {
    if (stopped) return;
    inbox.push(event);
    if (running) return;
    running = true;
    try {
      for (let next = inbox.shift(); next !== undefined && !stopped; next = inbox.shift()) {
        const step = stepSite(state, next, clock.monoMs());
        state = step.state;
        turns++;
        for (const effect of step.effects) perform(effect);
      }
    } finally {
      running = false;
    }
  };

  /** The site's own statement: exact bytes, signed, with where and when in its life it was made. */
  const statement = (topic: string, body: Readonly<Record<string, unknown>>): Uint8Array => {
    const { boot, start } = started;
    const bytes = Buffer.from(JSON.stringify({ ...body, topic, boot, start, n: ++signed }));
    return Buffer.from(encodeEnvelope({ body: bytes, sigs: [keys.sign(bytes)] }));
  };

  const append = (effect: Extract<Effect, { type: "append" }>): void => {
    for (const { kind, seq, boot: _boot, mono: _mono, ...detail } of effect.records) {
      log({ ...forLog(detail), level: levelOf(kind, detail), code: `ledger.${kind}`, seq });
    }
    const stored = effect.records.map((record) => chain.add(record));
    for (const [index, { seq }] of effect.records.entries()) texts.set(seq, stored[index] ?? "");
    edges.journal.perform({ ...effect, durable: { ...effect.durable, chain: chain.head().sha256 } }, stored);
  };

  /** What is told is what is stored, to the byte: each record holds the hash of the one before it. */
  const recordsText = (records: readonly LedgerRecord[]): Uint8Array => {
    const lines = records.map(({ seq }) => texts.get(seq) ?? "");
    for (const { seq } of records) texts.delete(seq);
    return Buffer.from(`{"records":[${lines.join(",")}]}`);
  };

  const checkpoint = (): void => {
    const { boot, start, plan } = started;
    const { seq: of, sha256 } = chain.head();
    const body = checkpointBody({ fleet: plan.fleet, site: plan.site, boot, start, seq: of, sha256 });
    emit({ type: "checkpoint-signed", of, sha256, signed: encodeEnvelope({ body, sigs: [keys.sign(body)] }) });
  };

  const perform = (effect: Effect): void => {
    if (stopped) return;
    switch (effect.type) {
      case "append":
        return append(effect);
      case "checkpoint":
        return checkpoint();
      case "drive":
        return edges.relays.perform(effect);
      case "reply": {
        const topic = topicText(root, { name: "up/reply" });
        return void edges.link.publish({
          to: effect.via,
          topic,
          payload: statement(topic, effect.reply),
          retained: false,
        });
      }
      case "publish": {
        const topic = topicText(root, { name: `up/${effect.topic}` });
        return void edges.link.publish({
          to: effect.to,
          topic,
          payload: statement(topic, effect.body),
          retained: true,
        });
      }
      case "publish-events": {
        const topic = topicText(root, { name: "up/event" });
        return void edges.link.publish({ to: "all", topic, payload: recordsText(effect.records), retained: false });
      }
      case "store-trust":
        return edges.trust.perform(effect);
      case "trust-adopted":
        return log({ level: "info", code: "trust.adopted", epoch: effect.document.epoch });
      case "read-range":
      case "watch":
        return edges.reader.perform(effect);
      case "session-told":
      case "seats-changed":
        return edges.sessions?.perform(effect);
      case "open-stream": {
        if (edges.streams !== null) return edges.streams.perform(effect);
        const refusal = { ok: false, code: "stream.unsupported", detail: "" } as const;
        return emit({ type: "stream-opened", token: effect.token, ...refusal });
      }
      case "close-stream":
        return edges.streams?.perform(effect);
      case "acknowledged":
        return edges.shipper?.perform(effect);
      case "govern":
        return edges.link.govern?.(effect.level);
      case "modem-step":
        return edges.modem === null
          ? emit({ ...effect, type: "modem-stepped", result: "refused", detail: "this site has no modem" })
          : edges.modem.perform(effect);
      case "set-fault":
        return edges.faults === null
          ? emit({ type: "fault-set", token: effect.token, ok: false, detail: "this board is not simulated" })
          : edges.faults.perform(effect);
      case "wake":
        cancelWake?.();
        cancelWake = effect.atMs === null ? null : clock.at(effect.atMs, () => emit({ type: "tick" }));
        return;
    }
  };

  emit(started);
  return {
    emit,
    receive: (message) => emit(receive(message, topics, keys, entropy)),
    state: () => state,
    turns: () => turns,
    stop() {
      stopped = true;
      cancelWake?.();
    },
  };
}

function levelOf(kind: string, detail: Readonly<Record<string, unknown>>): LogLine["level"] {
  const bad =
    detail.level === "last" || detail.verdict === "failed" || detail.state === "down" || detail.state === "degraded";
  return bad || kind === "refused" || kind === "config" || kind === "ignored" ? "warn" : "info";
}

/** The answer and the evidence are noise there, and `code` is the line's own. */
function forLog(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { reply: _reply, signed: _signed, document: _document, nonce: _nonce, code, ...rest } = detail;
  return code === undefined || code === null ? rest : { ...rest, reason: code };
}
