import type { Connection, Event, ReplyTo } from "../core/events.ts";
import { siteRoot, topicText } from "../protocol/topics.ts";
import { type LocalServer, type LocalStreams, listenLocal } from "./local.ts";
import { createMqttTransport } from "./mqtt.ts";
import type { How, Message, Transport } from "./transport.ts";

/** All connections of a site: the broker, where one is configured, and the local socket. */
export interface LinkOptions {
  readonly fleet: string;
  readonly site: string;
  readonly boot: number;
  readonly start: number;
  readonly brokers: readonly string[];
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
  readonly socket: string;
  readonly random: () => number;
  readonly receive: (message: Message & { via: Connection }) => void;
  readonly emit: (event: Extract<Event, { type: "link-changed" }>) => void;
  /** Byte streams of clients of the local socket; those over a broker come as messages. */
  readonly streams?: LocalStreams;
  /** The broker takes shipped chunks again. */
  readonly room: () => void;
}

export interface Link {
  /** False when a broker was meant and did not take it. */
  publish(message: { to: ReplyTo; topic: string; payload: Uint8Array; retained: boolean } & How): boolean;
  /** A piece of a stream; `done` when it has left. False: the other end cannot be reached that way now. */
  sendStream(to: Connection, id: string, payload: Uint8Array, done: () => void): boolean;
  /** Whether shipped chunks are welcome at the broker. */
  roomy(): boolean;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Answers that nobody could be told, kept for the next connect. Who asked comes back and finds them. */
const UNSENT_KEPT = 64;

export function createLink(options: LinkOptions): Link {
  const root = siteRoot(options.fleet, options.site);
  const uplink: Connection = "primary";
  const broker = options.brokers.length > 0 ? createMqttTransport(mqttOptions(options, root, uplink)) : null;
  const replyTopic = topicText(root, { name: "up/reply" });
  let local: LocalServer | null = null;
  let unsent: { topic: string; payload: Uint8Array }[] = [];

  const toBroker = (to: Transport, topic: string, payload: Uint8Array, retained: boolean, how: How = {}): boolean => {
    const taken = to.publish(topic, payload, retained, how);
    if (!taken && topic === replyTopic) unsent = [...unsent, { topic, payload }].slice(-UNSENT_KEPT);
    if (!taken) how.settled?.();
    return taken;
  };

  return {
    publish({ to, topic, payload, retained, ...how }) {
      if (local !== null && (to === "local" || to === "all")) local.publish(topic, payload, retained);
      if (broker !== null && to !== "local") return toBroker(broker, topic, payload, retained, how);
      how.settled?.();
      return to === "local";
    },
    sendStream(to, id, payload, done) {
      const topic = topicText(root, { name: "up/stream/{id}", id });
      if (to === "local") return local?.send(id, topic, payload, done) === true;
      return broker?.publish(topic, payload, false, { settled: done }) === true;
    },
    roomy: () => broker?.roomy() === true,
    async start() {
      local = await listenLocal(
        options.socket,
        (message) => options.receive({ ...message, via: "local" }),
        options.streams,
      );
      options.emit({ type: "link-changed", connection: "local", state: "up", detail: options.socket });
      broker?.start({
        up: (detail) => {
          options.emit({ type: "link-changed", connection: uplink, state: "up", detail });
          const waiting = unsent;
          unsent = [];
          for (const { topic, payload } of waiting) toBroker(broker, topic, payload, false);
        },
        down: (detail) => options.emit({ type: "link-changed", connection: uplink, state: "down", detail }),
        message: (message) => options.receive({ ...message, via: uplink }),
        room: options.room,
      });
    },
    async stop() {
      await Promise.all([broker?.stop(), local?.stop()]);
    },
  };
}

function mqttOptions(options: LinkOptions, root: string, uplink: string): Parameters<typeof createMqttTransport>[0] {
  const { boot, start } = options;
  return {
    brokers: options.brokers,
    tls: options.tls,
    clientId: `${options.fleet}/${options.site}/${uplink}`,
    filters: [`${root}/dn/#`],
    persistent: true,
    presence: {
      topic: topicText(root, { name: "up/link/{uplink}", uplink }),
      say: (state, n) => Buffer.from(JSON.stringify({ state, boot, start, n })),
    },
    random: options.random,
  };
}
