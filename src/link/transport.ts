import type { Urgency } from "./outbox.ts";

/** A way for topics and payloads to travel: a broker over MQTT, or the local socket. Both look the same from here. */
export interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  /** It was larger than the limit: the payload was cut off before it was read. */
  readonly oversized: boolean;
}

export interface TransportEvents {
  up(detail: string): void;
  down(detail: string): void;
  message(message: Message): void;
  /** What was refused as shipped is welcome again. */
  room?(): void;
}

export interface How {
  /** What waits longer when not all can go; else it follows from the topic. */
  readonly urgency?: Urgency;
  /** Told once the other side has it, or it was given up. */
  readonly settled?: () => void;
}

export interface Transport {
  start(events: TransportEvents): void;
  /** False when it was not taken: the transport is down, or its queue is full. */
  publish(topic: string, payload: Uint8Array, retained: boolean, how?: How): boolean;
  stop(): Promise<void>;
}

/** One over which byte streams can go. */
export interface StreamTransport extends Transport {
  /** One more filter, for as long as this transport is; `done` when the other side has it. */
  subscribe(filter: string, done: () => void): void;
  /** Only where there is nothing between the two ends: whether it reads no more. */
  hold?(held: boolean): void;
}

/** One with a queue of its own, of which a part is for shipped chunks. */
export interface QueuedTransport extends StreamTransport {
  /** Whether they are welcome; `room` tells when they are again. */
  roomy(): boolean;
}
