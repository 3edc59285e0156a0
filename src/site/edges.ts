import type { Connection, Effect, Event, ReplyTo } from "../core/events.ts";

/**
 * The edges of a site as it sees them. `perform` starts something and returns; what comes of it arrives as an event.
 * No promise crosses, so a crash at any step is simulated by dropping the object.
 */

type Of<T extends Effect["type"]> = Extract<Effect, { type: T }>;

export type Emit = (event: Event) => void;

export interface Edge<T extends Effect["type"]> {
  perform(effect: Of<T>): void;
}

export interface Outgoing {
  readonly to: ReplyTo;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
}

/** `texts` are the records as they are stored, each with the hash of the one before. */
export interface JournalEdge {
  perform(effect: Of<"append">, texts: readonly string[]): void;
}

export interface Edges {
  readonly journal: JournalEdge;
  readonly relays: Edge<"drive">;
  readonly trust: Edge<"store-trust">;
  readonly reader: Edge<"read-range" | "watch">;
  /** None where nobody attaches. */
  readonly sessions?: Edge<"session-told" | "seats-changed">;
  /** None where nothing can be opened. */
  readonly streams: Edge<"open-stream" | "close-stream"> | null;
  /** None where nothing is shipped. */
  readonly shipper: Edge<"acknowledged"> | null;
  /** None where the config has no modem. */
  readonly modem: Edge<"modem-step"> | null;
  /** Only a simulated site has one. */
  readonly faults: Edge<"set-fault"> | null;
  readonly link: { publish(message: Outgoing): unknown; govern?(level: Of<"govern">["level"]): void };
}

export interface Incoming {
  readonly via: Connection;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  /** Set when the message was cut before it was read: it was larger than the limit. */
  readonly oversized?: boolean;
}

export interface Clock {
  /** CLOCK_MONOTONIC, ms. */
  monoMs(): number;
  /** Calls back once, not before the time. Returns how to cancel it. */
  at(monoMs: number, wake: () => void): () => void;
}

/** The site's key and what it takes to check others'. */
export interface Keys {
  /** Raw SSHSIG blob in the namespace of sites. */
  sign(body: Uint8Array): Uint8Array;
  /** Fingerprint of who signed, or null. */
  verify(body: Uint8Array, signature: Uint8Array, namespace: string): string | null;
}

export interface LogLine {
  readonly level: "error" | "warn" | "info" | "debug";
  readonly code: string;
  readonly [detail: string]: unknown;
}
