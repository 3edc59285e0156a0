import mqtt from "mqtt";
import { unpackJson } from "../protocol/packed.ts";
import { Backoff, SITE_RHYTHM } from "./backoff.ts";
import { Liveness } from "./liveness.ts";
import { clientOptions, type MqttOptions } from "./mqtt-options.ts";
import { openStream } from "./mqtt-stream.ts";
import { type Usage, UsageMeter } from "./mqtt-usage.ts";
import { Versions } from "./mqtt-version.ts";
import { Outbox, urgencyOf } from "./outbox.ts";
import { TlsSessions } from "./tls-connect.ts";
import type { QueuedTransport, TransportEvents } from "./transport.ts";

/**
 * One MQTT connection. The library speaks the protocol and nothing else: the socket, the reconnect, the choice of
 * version, the window of unacknowledged messages and the judgement whether the other side lives are ours.
 */
export interface MqttTransport extends QueuedTransport {
  /** Something is going on: the connection proves that it lives within 10 s, or is made anew. */
  prove(): void;
  usage(): Usage;
}

const STABLE_MS = 60_000;
const FAREWELL_MS = 1_000;
/** What version 5 says where a broker says nothing. */
const RECEIVE_MAXIMUM = 65_535;
/** What wants an answer, and what is one. */
const ANSWERS: ReadonlySet<string | undefined> = new Set(["pingresp", "suback", "puback"]);

const nowMs = (): number => performance.now();

/** A message of QoS 0 gets none. */
function wantsAnswer(packet: { readonly cmd?: string | undefined; readonly qos?: number | undefined }): boolean {
  return packet.cmd === "publish" ? packet.qos !== 0 : packet.cmd === "pingreq" || packet.cmd === "subscribe";
}

/** One attempt, and the connection that it became. */
interface Try {
  readonly client: mqtt.MqttClient;
  readonly broker: string;
  readonly version: 4 | 5;
  readonly n: number;
  readonly live: Liveness;
  readonly oversized: string[];
  reached: boolean;
  answered: boolean;
  wrongVersion: boolean;
  reason: string;
}

export function createMqttTransport(options: MqttOptions): MqttTransport {
  const { brokers, keepalive } = options;
  const versions = new Versions(options.version);
  const backoff = new Backoff(options.rhythm ?? SITE_RHYTHM, options.random);
  const sessions = new TlsSessions();
  const meter = new UsageMeter();
  const outbox = new Outbox();
  let events: TransportEvents | null = null;
  let present: Try | null = null;
  let connected = false;
  let stopped = false;
  /** Which of the brokers is next, and how often one was tried. */
  let turn = 0;
  let attempts = 0;
  let told = "";
  let timer: NodeJS.Timeout | null = null;
  let stable: NodeJS.Timeout | null = null;
  const filters = [...options.filters];
  const late: { readonly filter: string; readonly done: () => void }[] = [];
  let deadline: NodeJS.Timeout | null = null;
  let cramped = false;
  let pumping = false;

  const attempt = (): void => {
    const broker = brokers[turn % brokers.length];
    if (stopped || broker === undefined) return;
    const version = versions.of(broker, nowMs());
    const n = ++attempts;
    const oversized: string[] = [];
    const live = new Liveness(nowMs());
    const client = new mqtt.MqttClient(
      () =>
        openStream({
          ...{ path: options.path, broker, version, tls: options.tls, sessions },
          datesHold: options.datesHold ?? null,
          onOversized: (topic) => oversized.push(topic),
          onReached: (socket) => {
            one.reached = true;
            meter.opened(socket);
          },
          onHeard: () => live.heard(nowMs()),
          onFailed: (why) => {
            one.reason ||= why;
          },
        }),
      clientOptions(options, version, n),
    );
    const flags = { reached: false, answered: false, wrongVersion: false, reason: "" };
    const one: Try = { client, broker, version, n, live, oversized, ...flags };
    present = one;
    listen(one);
  };

  const listen = (one: Try): void => {
    const { client, broker, version, live } = one;
    client.on("packetsend", (packet) => {
      if (wantsAnswer(packet)) live.asked(nowMs());
      watchDeadline(one);
    });
    client.on("packetreceive", (packet) => {
      if (ANSWERS.has(packet.cmd)) live.answered();
      watchDeadline(one);
      if (keepalive?.machine.heard(nowMs())) keepalive.changed(keepalive.machine.seconds);
      if (packet.cmd !== "connack") return;
      one.answered = true;
      one.wrongVersion = versions.refused(broker, version, packet, nowMs());
    });
    client.on("connect", (packet) => onConnect(one, packet.properties?.receiveMaximum ?? RECEIVE_MAXIMUM));
    client.on("message", (topic, payload, packet) => {
      const cut = payload.length === 0 && one.oversized[0] === topic;
      if (cut) one.oversized.shift();
      events?.message({ topic, payload: unpackJson(topic, payload), retained: packet.retain, oversized: cut });
    });
    client.on("error", (error) => {
      // The first error is the cause, what follows is the end of the stream.
      one.reason ||= error.message || ("code" in error ? String(error.code) : "error");
    });
    client.on("close", () => {
      if (present === one) onClose(one);
    });
  };

  /** Ends a connection whose other side does not answer: nothing else would for minutes. */
  const watchDeadline = (one: Try): void => {
    if (deadline !== null) clearTimeout(deadline);
    deadline = null;
    const at = one.live.deadAtMs(nowMs());
    if (at === null || stopped || present !== one) return;
    const look = (): void => {
      const due = one.live.deadAtMs(nowMs());
      if (due === null || present !== one) return;
      if (nowMs() < due) return watchDeadline(one);
      one.reason ||= "no answer to what was sent";
      one.client.stream.destroy();
    };
    deadline = setTimeout(look, Math.max(1, at - nowMs()));
  };

  const onConnect = (one: Try, brokersWindow: number): void => {
    const { client, broker, version, n } = one;
    versions.spoke(broker);
    outbox.open(brokersWindow);
    const asked = filters.length;
    const subscribed = (error?: Error | null): void => {
      if (present !== one || stopped) return;
      if (error) return void client.end(true);
      connected = true;
      // What was asked for while the others were on their way.
      for (const { filter, done } of late.splice(0)) {
        if (filters.indexOf(filter) < asked) done();
        else client.subscribe(filter, { qos: 1 }, done);
      }
      turn = 0;
      told = "";
      if (keepalive?.machine.opened(nowMs())) keepalive.changed(keepalive.machine.seconds);
      stable = setTimeout(() => backoff.reset(), STABLE_MS);
      if (options.presence) {
        const { topic, say } = options.presence;
        outbox.push({ topic, payload: say("online", n), retained: true, urgency: "reply" });
      }
      events?.up(`${broker}, MQTT ${version === 5 ? "5" : "3.1.1"}`);
      pump();
    };
    // "Retain as published": without it a broker hides the flag from who is subscribed already.
    if (filters.length === 0) subscribed();
    else client.subscribe([...filters], version === 5 ? { qos: 1, rap: true } : { qos: 1 }, subscribed);
  };

  const onClose = (one: Try): void => {
    const { client, broker, version, reached, answered } = one;
    if (!answered && reached) versions.hungUp(broker, version, nowMs());
    client.end(true);
    present = null;
    meter.opened(null);
    keepalive?.machine.closed(connected ? one.live.silentBeforeMs : 0, nowMs());
    for (const running of [stable, deadline]) if (running !== null) clearTimeout(running);
    const was = connected;
    connected = false;
    outbox.clear();
    if (stopped) return;
    // The same broker in its own version, at once: nothing failed.
    if (one.wrongVersion) return attempt();
    const why = `${broker}: ${one.reason || (answered ? "connection lost" : "closed before an answer")}`;
    if (why !== told) events?.down(why);
    told = why;
    timer = setTimeout(attempt, delayAfter(one, was));
  };

  /** The next broker follows soon; when none of them took us, it takes longer each time. */
  const delayAfter = (one: Try, was: boolean): number => {
    if (!was && ++turn % brokers.length !== 0) return Math.round(options.random() * 1_000);
    return backoff.next(one.reached || /ECONNREFUSED/.test(one.reason));
  };

  const pump = (): void => {
    pumping = false;
    const one = present;
    if (one === null || !connected) return;
    for (let next = outbox.take(); next !== null; next = outbox.take()) {
      const parcel = next;
      meter.publishing(parcel);
      // A stream's ends acknowledge to each other; the broker's word in between would only cost.
      const qos = parcel.urgency === "stream" ? 0 : 1;
      one.client.publish(parcel.topic, Buffer.from(parcel.payload), { qos, retain: parcel.retained }, () => {
        outbox.finished(parcel);
        if (present === one) pump();
      });
    }
    if (!cramped || !outbox.roomy()) return;
    cramped = false;
    events?.room?.();
  };

  const leave = (one: Try): Promise<void> =>
    new Promise((resolve) => {
      const { client } = one;
      // The peer may be gone: a farewell that is not acknowledged must not hold the end.
      const enough = setTimeout(() => client.end(true, () => resolve()), FAREWELL_MS);
      const end = () =>
        client.end(!connected, {}, () => {
          clearTimeout(enough);
          resolve();
        });
      const { presence } = options;
      if (!connected || presence === null) return end();
      client.publish(presence.topic, Buffer.from(presence.say("offline", attempts)), { qos: 1, retain: true }, end);
    });

  return {
    start(listener) {
      events = listener;
      attempt();
    },
    publish(topic, payload, retained, how = {}) {
      if (!connected) return false;
      const { urgency = urgencyOf(topic), settled } = how;
      const taken = outbox.push({ topic, payload, retained, urgency, settled });
      // At the end of this turn: of a state that is told twice in one, the first is not sent.
      if (!pumping) queueMicrotask(pump);
      pumping = true;
      return taken;
    },
    subscribe(filter, done) {
      filters.push(filter);
      if (connected) present?.client.subscribe(filter, { qos: 1 }, done);
      else late.push({ filter, done });
    },
    roomy() {
      const roomy = connected && outbox.roomy();
      cramped ||= !roomy;
      return roomy;
    },
    prove() {
      const one = present;
      if (one === null || !connected) return;
      one.live.alert(nowMs());
      if (!one.live.waits) one.client.sendPing();
      watchDeadline(one);
    },
    usage: () => meter.usage(),
    async stop() {
      // What was told in this turn goes before the farewell.
      pump();
      stopped = true;
      for (const running of [timer, stable, deadline]) if (running !== null) clearTimeout(running);
      if (present !== null) await leave(present);
      outbox.clear();
    },
  };
}
