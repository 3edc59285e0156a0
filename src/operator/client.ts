import { randomBytes } from "node:crypto";
import { decodeStatement, type Statement } from "../access/statement.ts";
import { createLocalTransport } from "../link/local.ts";
import { createMqttTransport } from "../link/mqtt.ts";
import type { Message, StreamTransport, Transport } from "../link/transport.ts";
import { encodeEnvelope, isRecord, NAMESPACES, parseJson } from "../protocol/envelope.ts";
import { parseTopic, siteRoot } from "../protocol/topics.ts";
import { Unreachable } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { ulid } from "./ulid.ts";
import type { KnownSites, Who } from "./who.ts";

/** An operator's connection to one site, through a broker or its local socket. */

export interface SiteReply {
  readonly id: string;
  readonly phase: string;
  readonly code?: string;
  readonly detail?: string;
  readonly boot?: number;
  readonly start?: number;
  readonly [name: string]: unknown;
}

export interface Client {
  readonly fleet: string;
  readonly site: string;
  readonly local: boolean;
  /** What it goes over: streams go beside the commands. */
  readonly transport: StreamTransport;
  /** Sends a command and hears every reply to it until the listener says `true`, or the time is over (null). */
  send(body: Readonly<Record<string, unknown>>, options: SendOptions): Promise<SiteReply | null>;
  readonly epoch: number;
  /** Last retained statements seen. */
  state(): Statement | null;
  presence(): Readonly<Record<string, unknown>> | null;
  onMessage(listener: (message: Message) => void): () => void;
  /** Told when the connection goes; it is made again by itself, but what was on its way to us is lost. */
  onLost(listener: () => void): () => void;
  /** Told when it is made again. */
  onBack(listener: () => void): () => void;
  /** True when answers came that the site's key did not sign. */
  sawForged(): boolean;
  verified(): boolean | null;
  stop(): Promise<void>;
}

export interface SendOptions {
  readonly who: Who | null;
  readonly timeoutMs: number;
  /** Hears each reply; true ends the waiting. Without it the first one does. */
  readonly on?: (reply: SiteReply) => boolean;
  /** Told when the message has left. */
  readonly sent?: (id: string) => void;
  readonly id?: string;
  readonly signal?: AbortSignal;
}

const CONNECT_MS = 10_000;
/** Node's timers stop at 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;
/** How long retained messages may take to come after subscribing. */
const RETAINED_MS = 1_500;

export function openTransport(settings: Settings, filters: readonly string[]): StreamTransport {
  if (settings.local !== null) return createLocalTransport(settings.local, filters);
  return createMqttTransport({
    brokers: settings.brokers,
    tls: settings.tls,
    clientId: `towpath-cli-${randomBytes(6).toString("hex")}`,
    filters,
    persistent: false,
    presence: null,
    random: Math.random,
  });
}

/** Connects, or stops the transport and throws `Unreachable` with the last reason. */
export async function startTransport(
  transport: Transport,
  onMessage: (message: Message) => void,
  onDown: () => void = () => undefined,
  onUp: () => void = () => undefined,
): Promise<void> {
  try {
    await connected(transport, onMessage, onDown, onUp);
  } catch (error) {
    await transport.stop();
    throw error;
  }
}

function connected(
  transport: Transport,
  onMessage: (message: Message) => void,
  onDown: () => void,
  onUp: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let last = "no answer";
    const timer = setTimeout(() => reject(new Unreachable(last)), CONNECT_MS);
    transport.start({
      up: () => {
        clearTimeout(timer);
        resolve();
        onUp();
      },
      down: (detail) => {
        last = detail;
        onDown();
        // A socket that is not there will not be there in ten seconds either.
        if (/ENOENT|ECONNREFUSED|EACCES/.test(detail)) {
          clearTimeout(timer);
          reject(new Unreachable(detail));
        }
      },
      message: onMessage,
    });
  });
}

export async function openClient(
  settings: Settings,
  site: string | null,
  sites: KnownSites,
  epoch: number | null,
): Promise<Client> {
  const listeners = new Set<(message: Message) => void>();
  const losses = new Set<() => void>();
  const returns = new Set<() => void>();
  let state: Statement | null = null;
  let presence: Readonly<Record<string, unknown>> | null = null;
  // A socket says itself whose it is: a fleet from the settings may be another one's.
  const known = settings.local === null && settings.fleet !== null && site !== null;
  let named: { fleet: string; site: string } | null = known ? { fleet: settings.fleet ?? "", site } : null;
  let forged = false;
  let verified: boolean | null = null;
  const filters = filtersOf(settings, named);
  const transport = openTransport(settings, filters);

  const readStatement = (message: Message): Statement | null => {
    const statement = decodeStatement(message, sites.keyOf(parseTopic(message.topic)?.site ?? ""));
    if (statement?.verified === false) forged = true;
    return statement?.verified === false ? null : statement;
  };

  let heard: () => void = () => undefined;
  const firstState = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const take = (message: Message): void => {
    const parsed = parseTopic(message.topic);
    if (parsed?.topic.name === "up/state") {
      state = readStatement(message) ?? state;
      named ??= { fleet: parsed.fleet, site: parsed.site };
      heard();
    }
    if (parsed?.topic.name === "up/link/{uplink}") presence = asRecord(parseJson(message.payload));
    for (const listener of listeners) listener(message);
  };

  const tell = (listeners: ReadonlySet<() => void>) => () => {
    for (const listener of [...listeners]) listener();
  };
  await startTransport(transport, take, tell(losses), tell(returns));
  await Promise.race([firstState, sleep(RETAINED_MS)]);
  if (named === null) {
    await transport.stop();
    throw new Unreachable("no site was heard");
  }
  const { fleet, site: siteName } = named;
  const root = siteRoot(fleet, siteName);
  const stateEpoch = Number(asRecord(asRecord(asRecord(asRecord(state)?.body)?.site)?.trust)?.epoch ?? 0);

  return {
    fleet,
    site: siteName,
    local: settings.local !== null,
    transport,
    epoch: epoch ?? stateEpoch,
    state: () => state,
    presence: () => presence,
    sawForged: () => forged,
    verified: () => verified,
    onMessage(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onLost(listener) {
      losses.add(listener);
      return () => void losses.delete(listener);
    },
    onBack(listener) {
      returns.add(listener);
      return () => void returns.delete(listener);
    },
    async send(body, options) {
      const id = options.id ?? ulid();
      const full = {
        v: 1,
        id,
        site: `${fleet}/${siteName}`,
        by: options.who?.by ?? "local",
        epoch: epoch ?? stateEpoch,
        ...body,
      };
      const bytes = Buffer.from(JSON.stringify(full));
      const sigs = options.who ? [await options.who.signer.sign(bytes, NAMESPACES.command)] : [];
      return new Promise((resolve, reject) => {
        const end = (reply: SiteReply | null): void => {
          clearTimeout(timer);
          listeners.delete(listener);
          options.signal?.removeEventListener("abort", abort);
          resolve(reply);
        };
        const abort = () => end(null);
        const timer = setTimeout(() => end(null), Math.min(options.timeoutMs, LONGEST_MS));
        const listener = (message: Message): void => {
          if (message.topic !== `${root}/up/reply`) return;
          const statement = readStatement(message);
          if (statement === null || statement.body.id !== id) return;
          verified = statement.verified;
          const reply = statement.body as SiteReply;
          if (options.on === undefined || options.on(reply)) end(reply);
        };
        listeners.add(listener);
        options.signal?.addEventListener("abort", abort);
        const sent = transport.publish(`${root}/dn/command`, Buffer.from(encodeEnvelope({ body: bytes, sigs })), false);
        if (sent) return options.sent?.(id);
        end(null);
        reject(new Unreachable("the connection was lost before the command left"));
      });
    },
    stop: () => transport.stop(),
  };
}

function filtersOf(settings: Settings, named: { fleet: string; site: string } | null): string[] {
  if (named === null)
    return settings.local !== null ? ["towpath/1/#"] : [`towpath/1/+/${settings.fleet ?? "+"}/+/up/#`];
  const root = siteRoot(named.fleet, named.site);
  return ["up/reply", "up/state", "up/link/+", "up/capture/+/+", "up/event"].map((tail) => `${root}/${tail}`);
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> | null {
  return isRecord(value) ? value : null;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
