import type { Effect, Event } from "../core/events.ts";
import { stepSite } from "../core/site.ts";
import { EMPTY_STATE, type SiteState } from "../core/state.ts";
import { encodeEnvelope } from "../protocol/envelope.ts";
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
  readonly started: Extract<Event, { type: "started" }>;
}

export function createSite(options: SiteOptions): Site {
  const { edges, clock, keys, entropy, log, started } = options;
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

  const perform = (effect: Effect): void => {
    if (stopped) return;
    switch (effect.type) {
      case "append":
        for (const { kind, seq, boot: _boot, mono: _mono, ...detail } of effect.records) {
          log({ ...withoutReply(detail), level: levelOf(kind, detail), code: `ledger.${kind}`, seq });
        }
        return edges.journal.perform(effect);
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
        const payload = Buffer.from(JSON.stringify({ records: effect.records }));
        return void edges.link.publish({ to: "all", topic, payload, retained: false });
      }
      case "store-trust":
        return edges.trust.perform(effect);
      case "trust-adopted":
        return log({ level: "info", code: "trust.adopted", epoch: effect.document.epoch });
      case "read-range":
      case "watch":
        return edges.reader.perform(effect);
      case "acknowledged":
        return edges.shipper?.perform(effect);
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
  const bad = detail.verdict === "failed" || detail.state === "down" || detail.state === "degraded";
  return bad || kind === "refused" || kind === "config" || kind === "ignored" ? "warn" : "info";
}

/** For the log: the answer is noise there, and `code` is the line's own. */
function withoutReply(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { reply: _, code, ...rest } = detail;
  return code === undefined || code === null ? rest : { ...rest, reason: code };
}
