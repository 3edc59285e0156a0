import type { GovernorLevel } from "../core/budget.ts";
import { passes } from "../core/budget.ts";
import type { Connection, Event, ReplyTo } from "../core/events.ts";
import { packJson } from "../protocol/packed.ts";
import { siteRoot, topicText } from "../protocol/topics.ts";
import { Keepalive, LTE_KEEPALIVE } from "./keepalive.ts";
import { type LocalServer, type LocalStreams, listenLocal } from "./local.ts";
import { createMqttTransport, type MqttTransport } from "./mqtt.ts";
import type { MqttOptions } from "./mqtt-options.ts";
import type { Usage } from "./mqtt-usage.ts";
import { type Urgency, urgencyOf } from "./outbox.ts";
import type { Path } from "./path.ts";
import type { How, Message } from "./transport.ts";

/**
 * All connections of a site: one to the broker over each path, and the local socket. No connection takes the place of
 * another: LTE never depended on anything else, and is the one that says how the site is.
 */
export interface LinkOptions {
  readonly fleet: string;
  readonly site: string;
  readonly boot: number;
  readonly start: number;
  readonly brokers: readonly string[];
  readonly tls: MqttOptions["tls"];
  readonly paths: readonly Path[];
  readonly socket: string;
  readonly random: () => number;
  readonly receive: (message: Message & { via: Connection }) => void;
  readonly emit: (event: Extract<Event, { type: "link-changed" }>) => void;
  /** How what is shipped goes from now on. Also said again when it goes the same way over a new connection. */
  readonly shipping: (way: ShipWay) => void;
  /** Byte streams of clients of the local socket; those over a broker come as messages. */
  readonly streams?: LocalStreams;
  /** The broker takes shipped chunks again. */
  readonly room: () => void;
  /** What was found out about a path's patience, over restarts. */
  readonly keepalive?: {
    readonly saved: (uplink: Path["uplink"]) => number | null;
    readonly save: (uplink: Path["uplink"], seconds: number) => void;
  };
  readonly datesHold?: MqttOptions["datesHold"];
}

/** `free`: all of it; `metered`: what cannot wait; `none`: there is no connection, or no budget left. */
export type ShipWay = "free" | "metered" | "none";

export interface Link {
  /** False when a broker was meant and did not take it. */
  publish(message: { to: ReplyTo; topic: string; payload: Uint8Array; retained: boolean } & How): boolean;
  /** A piece of a stream; `done` when it has left. False: the other end cannot be reached that way now. */
  sendStream(to: Connection, id: string, payload: Uint8Array, done: () => void): boolean;
  /** Whether shipped chunks are welcome at the broker. */
  roomy(): boolean;
  /** Something is going on: dead connections are to be found out now. */
  alert(): void;
  /** How far the budget of LTE is spent. */
  govern(level: GovernorLevel): void;
  /** How what need not go today is to be spared; null: it goes a way that costs nothing. */
  thrift(): GovernorLevel | null;
  /** The site's own address on a path, while a connection is up. */
  address(uplink: Path["uplink"]): string | null;
  usage(uplink: Path["uplink"]): Usage | null;
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface Leg {
  readonly uplink: Path["uplink"];
  readonly transport: MqttTransport;
  up: boolean;
}

/** Answers that nobody could be told, kept for the next connect. Who asked comes back and finds them. */
const UNSENT_KEPT = 64;
/** A kernel that dies in each second is one alarm: proofs cost. */
const ALERT_EVERY_MS = 60_000;

export function createLink(options: LinkOptions): Link {
  const root = siteRoot(options.fleet, options.site);
  const replyTopic = topicText(root, { name: "up/reply" });
  const legs = options.brokers.length === 0 ? [] : options.paths.map((path) => legOf(path, options, root));
  const retained = new Map<string, Uint8Array>();
  let level: GovernorLevel = "normal";
  let local: LocalServer | null = null;
  let unsent: { topic: string; payload: Uint8Array }[] = [];
  let authority: Leg | null = null;
  let shipping: Leg | null = null;
  let way: ShipWay = "none";
  let alertedMs = Number.NEGATIVE_INFINITY;

  const upOf = (uplink: Path["uplink"]): Leg | null => legs.find((leg) => leg.up && leg.uplink === uplink) ?? null;
  const saysState = (): Leg | null => upOf("lte") ?? upOf("primary");
  const costsLeast = (): Leg | null => upOf("primary") ?? upOf("lte");

  const pick = (to: ReplyTo, keep: boolean, urgency: Urgency): Leg | null => {
    if (keep) return saysState();
    // Back the way that it was asked; when that is gone, the way that works.
    if (to === "lte" || to === "primary") return upOf(to) ?? saysState();
    return urgency === "telemetry" ? costsLeast() : saysState();
  };

  const toBroker = (to: ReplyTo, topic: string, payload: Uint8Array, keep: boolean, how: How = {}): boolean => {
    const { urgency = urgencyOf(topic) } = how;
    if (keep) retained.set(topic, payload);
    const leg = pick(to, keep, urgency);
    // What another connection is told already need not be said here too.
    if (keep && leg !== null && to !== "all" && to !== leg.uplink) return settle(how, true);
    const goes = leg !== null && (leg.uplink !== "lte" || passes(level, urgency));
    const taken = goes && leg.transport.publish(topic, priced(leg, topic, payload), keep, { ...how, urgency });
    if (!taken && topic === replyTopic) unsent = [...unsent, { topic, payload }].slice(-UNSENT_KEPT);
    return taken || settle(how, false);
  };

  const changed = (leg: Leg, state: "up" | "down", detail: string): void => {
    const before = authority;
    const was = leg.up;
    leg.up = state === "up";
    authority = saysState();
    options.emit({ type: "link-changed", connection: leg.uplink, state, detail });
    // The one that came was told all by that event; any other that has to speak now was not.
    if (authority !== null && authority !== before && authority !== leg) tellAgain(authority);
    if (state === "up") sayUnsent();
    else if (was && leg.uplink === "primary") upOf("lte")?.transport.prove();
    reship(leg);
  };

  const tellAgain = (leg: Leg): void => {
    for (const [topic, payload] of retained) leg.transport.publish(topic, priced(leg, topic, payload), true);
  };

  const sayUnsent = (): void => {
    const waiting = unsent;
    unsent = [];
    for (const { topic, payload } of waiting) toBroker("all", topic, payload, false);
  };

  /** @param renewed a connection that is a new one, though the way may be the same. */
  const reship = (renewed: Leg | null): void => {
    const leg = costsLeast();
    const next = leg === null ? "none" : leg.uplink === "primary" ? "free" : level === "last" ? "none" : "metered";
    if (next === way && leg === shipping && leg !== renewed) return;
    [way, shipping] = [next, leg];
    options.shipping(way);
  };

  return {
    publish({ to, topic, payload, retained: keep, ...how }) {
      if (local !== null && (to === "local" || to === "all")) local.publish(topic, payload, keep);
      if (legs.length > 0 && to !== "local") return toBroker(to, topic, payload, keep, how);
      return settle(how, to === "local");
    },
    sendStream(to, id, payload, done) {
      const topic = topicText(root, { name: "up/stream/{id}", id });
      if (to === "local") return local?.send(id, topic, payload, done) === true;
      return (upOf(to) ?? saysState())?.transport.publish(topic, payload, false, { settled: done }) === true;
    },
    roomy: () => shipping?.up === true && shipping.transport.roomy(),
    alert() {
      const nowMs = performance.now();
      if (nowMs - alertedMs < ALERT_EVERY_MS) return;
      alertedMs = nowMs;
      for (const leg of legs) if (leg.up) leg.transport.prove();
    },
    govern(next) {
      level = next;
      reship(null);
    },
    thrift: () => (costsLeast()?.uplink === "lte" ? level : null),
    address: (uplink) => upOf(uplink)?.transport.usage().address ?? null,
    usage: (uplink) => legs.find((leg) => leg.uplink === uplink)?.transport.usage() ?? null,
    async start() {
      local = await listenLocal(
        options.socket,
        (message) => options.receive({ ...message, via: "local" }),
        options.streams,
      );
      options.emit({ type: "link-changed", connection: "local", state: "up", detail: options.socket });
      for (const leg of legs)
        leg.transport.start({
          up: (detail) => changed(leg, "up", detail),
          down: (detail) => changed(leg, "down", detail),
          message: (message) => options.receive({ ...message, via: leg.uplink }),
          room: () => leg === shipping && options.room(),
        });
    },
    async stop() {
      await Promise.all([...legs.map((leg) => leg.transport.stop()), local?.stop()]);
    },
  };
}

/** As it goes over this connection. */
function priced({ uplink }: Leg, topic: string, payload: Uint8Array): Uint8Array {
  return uplink === "lte" ? packJson(topic, payload) : payload;
}

function settle({ settled }: How, taken: boolean): boolean {
  settled?.();
  return taken;
}

function legOf(path: Path, options: LinkOptions, root: string): Leg {
  const { boot, start, brokers, tls, random, keepalive, datesHold } = options;
  const { uplink } = path;
  const transport = createMqttTransport({
    ...{ path, brokers, tls, random },
    clientId: `${options.fleet}/${options.site}/${uplink}`,
    filters: [`${root}/dn/#`],
    persistent: true,
    presence: {
      topic: topicText(root, { name: "up/link/{uplink}", uplink }),
      say: (state, n) => Buffer.from(JSON.stringify({ state, boot, start, n })),
    },
    ...(uplink === "lte" && {
      keepalive: {
        machine: new Keepalive(LTE_KEEPALIVE, keepalive?.saved(uplink) ?? null),
        changed: (seconds) => keepalive?.save(uplink, seconds),
      },
    }),
    ...(datesHold && { datesHold }),
  });
  return { uplink, transport, up: false };
}
