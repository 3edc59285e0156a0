import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import mqtt from "mqtt";
import { MESSAGE_LIMIT } from "../protocol/envelope.ts";
import { backoff } from "./backoff.ts";
import { Outbox, urgencyOf } from "./outbox.ts";
import { type CapOptions, PacketCap } from "./packet-cap.ts";
import type { QueuedTransport, TransportEvents } from "./transport.ts";

/**
 * One MQTT connection. The library speaks the protocol and nothing else: the socket, the reconnect, the choice of
 * version and the window of unacknowledged messages are ours.
 */
export interface MqttOptions {
  /** `mqtts://host:port` or `mqtt://host:port`, tried in order. */
  readonly brokers: readonly string[];
  /** Files; read at each connect, so that a renewed certificate is taken without a restart. */
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
  readonly clientId: string;
  readonly filters: readonly string[];
  /** A site's session outlives its connection; a person's does not. */
  readonly persistent: boolean;
  /** Retained presence, told on connect, and by the broker when the connection dies. `n` rises with each connect. */
  readonly presence: {
    readonly topic: string;
    readonly say: (state: "online" | "offline", n: number) => Uint8Array;
  } | null;
  readonly random: () => number;
  /** Only this version; otherwise 5, and 3.1.1 where a broker does not speak it. */
  readonly version?: 4 | 5 | undefined;
}

const FIRST_DELAY_MS = 500;
const CAP_DELAY_MS = 60_000;
const STABLE_MS = 60_000;
const KEEPALIVE_S = 60;
const FAREWELL_MS = 1_000;
const CONNECT_TIMEOUT_MS = 20_000;
const SESSION_S = 7 * 86_400;
/** How long a broker that did not take version 5 is asked for 3.1.1 at once. */
const FALLBACK_MS = 86_400_000;
/** CONNACK: unacceptable protocol version (3.1.1: 1, 5: 0x84). */
const BAD_VERSION_3 = 1;
const BAD_VERSION_5 = 0x84;
/** What version 5 says where a broker says nothing. */
const RECEIVE_MAXIMUM = 65_535;

export function createMqttTransport(options: MqttOptions): QueuedTransport {
  let events: TransportEvents | null = null;
  let client: mqtt.MqttClient | null = null;
  let connected = false;
  let stopped = false;
  let attempts = 0;
  let delays = backoff(FIRST_DELAY_MS, CAP_DELAY_MS, options.random);
  let timer: NodeJS.Timeout | null = null;
  let stable: NodeJS.Timeout | null = null;
  const oldBrokers = new Map<string, number>();
  const earlyCloses = new Map<string, number>();
  const filters = [...options.filters];
  const outbox = new Outbox();
  let cramped = false;
  let pumping = false;

  const versionFor = (broker: string): 4 | 5 => {
    if (options.version !== undefined) return options.version;
    const until = oldBrokers.get(broker);
    return until !== undefined && Date.now() < until ? 4 : 5;
  };

  const attempt = (): void => {
    const broker = options.brokers[attempts % options.brokers.length];
    if (stopped || broker === undefined) return;
    const n = ++attempts;
    const version = versionFor(broker);
    const oversized: string[] = [];
    const seen = { reached: false };
    let answered = false;
    let reason = "";
    const made = new mqtt.MqttClient(
      () => openStream(broker, options, version, oversized, seen),
      clientOptions(options, version, n),
    );
    client = made;
    let wrongVersion = false;
    made.on("packetreceive", (packet) => {
      if (packet.cmd !== "connack") return;
      answered = true;
      // An old broker answers in its own format, whose return code then stands where version 5 has its reason code.
      const refused = [packet.returnCode, packet.reasonCode].some(
        (code) => code === BAD_VERSION_3 || code === BAD_VERSION_5,
      );
      wrongVersion = version === 5 && refused;
      if (wrongVersion) oldBrokers.set(broker, Date.now() + FALLBACK_MS);
    });
    made.on("connect", (packet) =>
      onConnect(made, broker, version, n, packet.properties?.receiveMaximum ?? RECEIVE_MAXIMUM),
    );
    made.on("message", (topic, payload, packet) => {
      const cut = payload.length === 0 && oversized[0] === topic;
      if (cut) oversized.shift();
      events?.message({ topic, payload, retained: packet.retain, oversized: cut });
    });
    made.on("error", (error) => {
      // The first error is the cause, what follows is the end of the stream.
      reason ||= error.message || ("code" in error ? String(error.code) : "error");
    });
    made.on("close", () => {
      if (client !== made) return;
      if (version === 5 && !answered && seen.reached) countEarlyClose(broker);
      made.end(true);
      client = null;
      if (wrongVersion && !stopped) {
        // The same broker in its own version, at once: nothing failed.
        attempts--;
        return attempt();
      }
      onClose(`${broker}: ${reason || (answered ? "connection lost" : "closed before an answer")}`);
    });
  };

  /** Some brokers only hang up on a version that they do not know. */
  const countEarlyClose = (broker: string): void => {
    const count = (earlyCloses.get(broker) ?? 0) + 1;
    earlyCloses.set(broker, count);
    if (count >= 2) oldBrokers.set(broker, Date.now() + FALLBACK_MS);
  };

  const onConnect = (
    made: mqtt.MqttClient,
    broker: string,
    version: number,
    n: number,
    brokersWindow: number,
  ): void => {
    earlyCloses.delete(broker);
    outbox.open(brokersWindow);
    const subscribed = (error?: Error | null): void => {
      if (client !== made || stopped) return;
      if (error) return void made.end(true);
      connected = true;
      stable = setTimeout(() => {
        delays = backoff(FIRST_DELAY_MS, CAP_DELAY_MS, options.random);
      }, STABLE_MS);
      if (options.presence) {
        const { topic, say } = options.presence;
        outbox.push({ topic, payload: say("online", n), retained: true, urgency: "reply" });
      }
      events?.up(`${broker}, MQTT ${version === 5 ? "5" : "3.1.1"}`);
      pump();
    };
    // "Retain as published": without it a broker hides the flag from who is subscribed already.
    if (filters.length === 0) subscribed();
    else made.subscribe([...filters], version === 5 ? { qos: 1, rap: true } : { qos: 1 }, subscribed);
  };

  const onClose = (detail: string): void => {
    const was = connected;
    connected = false;
    if (stable !== null) clearTimeout(stable);
    outbox.clear();
    if (stopped) return;
    if (was || attempts === 1) events?.down(detail);
    timer = setTimeout(attempt, delays.next().value);
  };

  const pump = (): void => {
    pumping = false;
    const made = client;
    if (made === null || !connected) return;
    for (let next = outbox.take(); next !== null; next = outbox.take()) {
      const parcel = next;
      // A stream's ends acknowledge to each other; the broker's word in between would only cost.
      const qos = parcel.urgency === "stream" ? 0 : 1;
      made.publish(parcel.topic, Buffer.from(parcel.payload), { qos, retain: parcel.retained }, () => {
        outbox.finished(parcel);
        if (client === made) pump();
      });
    }
    if (!cramped || !outbox.roomy()) return;
    cramped = false;
    events?.room?.();
  };

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
      if (connected) client?.subscribe(filter, { qos: 1 }, done);
    },
    roomy() {
      const roomy = connected && outbox.roomy();
      cramped ||= !roomy;
      return roomy;
    },
    async stop() {
      // What was told in this turn goes before the farewell.
      pump();
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      if (stable !== null) clearTimeout(stable);
      const last = client;
      if (last === null) return;
      const { presence } = options;
      await new Promise<void>((resolve) => {
        // The peer may be gone: a farewell that is not acknowledged must not hold the end.
        const enough = setTimeout(() => last.end(true, () => resolve()), FAREWELL_MS);
        const leave = () =>
          last.end(!connected, {}, () => {
            clearTimeout(enough);
            resolve();
          });
        if (!connected || presence === null) return leave();
        last.publish(presence.topic, Buffer.from(presence.say("offline", attempts)), { qos: 1, retain: true }, leave);
      });
      outbox.clear();
    },
  };
}

function clientOptions(options: MqttOptions, version: 4 | 5, n: number): mqtt.IClientOptions {
  const { presence } = options;
  return {
    protocolVersion: version,
    clientId: options.clientId,
    clean: !options.persistent,
    // A topic is sent in full once, where the broker keeps a number for it.
    autoUseTopicAlias: version === 5,
    autoAssignTopicAlias: version === 5,
    keepalive: KEEPALIVE_S,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    queueQoSZero: false,
    ...(presence && {
      will: { topic: presence.topic, payload: Buffer.from(presence.say("offline", n)), qos: 1, retain: true },
    }),
    ...(version === 5 && {
      properties: {
        // No maximumPacketSize: a broker would drop what is larger in silence, and we want to count it.
        receiveMaximum: 32,
        ...(options.persistent && { sessionExpiryInterval: SESSION_S }),
      },
    }),
  };
}

function openStream(
  broker: string,
  options: MqttOptions,
  version: 4 | 5,
  oversized: string[],
  seen: { reached: boolean },
): Duplex {
  let socket: Socket;
  const secure = broker.startsWith("mqtts:");
  try {
    const url = new URL(broker.replace(/^mqtt/, "http"));
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const port = Number(url.port) || (secure ? 8883 : 1883);
    socket = secure
      ? connectTls({ host, port, servername: /[a-z]/i.test(host) ? host : "", ...tlsFiles(options.tls) })
      : connectTcp({ host, port });
  } catch (error) {
    return broken(error);
  }
  socket.once(secure ? "secureConnect" : "connect", () => {
    seen.reached = true;
  });
  // Without it the acknowledgement of a QoS 1 message waits 40 ms for nothing.
  socket.setNoDelay(true);
  return new CappedStream(socket, {
    limitBytes: MESSAGE_LIMIT + 16 * 1024,
    version,
    onOversized: (topic) => oversized.push(topic),
  });
}

/** The socket as the library sees it: what comes in has passed the cap, and the end of one is the end of the other. */
class CappedStream extends Duplex {
  private readonly socket: Socket;

  constructor(socket: Socket, options: CapOptions) {
    super();
    this.socket = socket;
    const cap = new PacketCap(options);
    socket.on("data", (bytes) => {
      try {
        for (const piece of cap.push(bytes)) if (!this.push(piece)) socket.pause();
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.socket.write(chunk, done);
  }

  /** The library hands over a packet in pieces; each alone would be a TLS record and a segment of its own. */
  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.socket.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }
}

function tlsFiles(tls: MqttOptions["tls"]) {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
  return { ca: read(tls.ca), cert: read(tls.cert), key: read(tls.key) };
}

/** A stream that fails in the way a socket does, for what went wrong before there was one. */
function broken(error: unknown): Duplex {
  const stream = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  queueMicrotask(() => stream.destroy(error instanceof Error ? error : new Error(String(error))));
  return stream;
}
