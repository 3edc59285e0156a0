import mqtt from "mqtt";
import type { Rhythm } from "./backoff.ts";
import type { Keepalive } from "./keepalive.ts";
import type { Path } from "./path.ts";
import type { TlsFiles } from "./tls-connect.ts";
import type { Dates } from "./tls-dates.ts";

export interface MqttOptions {
  readonly path: Path;
  /** `mqtts://host:port` or `mqtt://host:port`, tried in order. */
  readonly brokers: readonly string[];
  readonly tls: TlsFiles;
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
  /** When it is tried again; a site's where nothing is said. */
  readonly rhythm?: Rhythm;
  /** Where silence is found out to be cheap; else a fixed minute. */
  readonly keepalive?: { readonly machine: Keepalive; readonly changed: (seconds: number) => void };
  /** Whether a certificate that the machine's clock refuses may be in time. */
  readonly datesHold?: (dates: Dates) => boolean;
}

const KEEPALIVE_S = 60;
/** A full TLS handshake over a weak signal takes its seconds. */
const CONNECT_TIMEOUT_MS = 30_000;
const SESSION_S = 7 * 86_400;

/** @param n of the attempt: presence rises with it. */
export function clientOptions(options: MqttOptions, version: 4 | 5, n: number): mqtt.IClientOptions {
  const { presence } = options;
  return {
    protocolVersion: version,
    clientId: options.clientId,
    clean: !options.persistent,
    // A topic is sent in full once, where the broker keeps a number for it.
    autoUseTopicAlias: version === 5,
    autoAssignTopicAlias: version === 5,
    keepalive: options.keepalive?.machine.seconds ?? KEEPALIVE_S,
    reconnectPeriod: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    queueQoSZero: false,
    // The library's own gives a number away again while it is in use.
    messageIdProvider: new mqtt.UniqueMessageIdProvider(),
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
