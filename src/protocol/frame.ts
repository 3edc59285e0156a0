import { MESSAGE_LIMIT } from "./envelope.ts";

/**
 * The local socket: frames of u32 length (of what follows), u8 flags, u16 topic length, topic, payload; big endian.
 * Flag 1: retained. Flag 2: subscribe; the topic is then an MQTT filter and the payload is empty.
 */
export interface Frame {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  readonly subscribe: boolean;
}

const RETAINED = 1;
const SUBSCRIBE = 2;
const HEAD = 3;
const TOPIC_LIMIT = 1024;

export function encodeFrame(frame: Frame): Uint8Array {
  const topic = Buffer.from(frame.topic, "utf8");
  const head = Buffer.alloc(4 + HEAD);
  head.writeUInt32BE(HEAD + topic.length + frame.payload.length, 0);
  head.writeUInt8((frame.retained ? RETAINED : 0) | (frame.subscribe ? SUBSCRIBE : 0), 4);
  head.writeUInt16BE(topic.length, 5);
  return Buffer.concat([head, topic, frame.payload]);
}

/** Takes the stream as it comes. A frame that is too long or makes no sense ends it: `broken` tells why. */
export class FrameReader {
  private held: Buffer = Buffer.alloc(0);
  broken: string | null = null;

  push(bytes: Uint8Array): Frame[] {
    if (this.broken !== null) return [];
    this.held = this.held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.held, bytes]);
    const frames: Frame[] = [];
    while (this.held.length >= 4) {
      const length = this.held.readUInt32BE(0);
      if (length < HEAD || length > MESSAGE_LIMIT + TOPIC_LIMIT + HEAD) {
        this.broken = `a frame of ${length} bytes`;
        break;
      }
      if (this.held.length < 4 + length) break;
      const frame = readFrame(this.held.subarray(4, 4 + length));
      if (frame === null) {
        this.broken = "a topic longer than its frame";
        break;
      }
      frames.push(frame);
      this.held = this.held.subarray(4 + length);
    }
    return frames;
  }
}

function readFrame(body: Buffer): Frame | null {
  const flags = body.readUInt8(0);
  const length = body.readUInt16BE(1);
  if (length > TOPIC_LIMIT || HEAD + length > body.length) return null;
  return {
    topic: body.subarray(HEAD, HEAD + length).toString("utf8"),
    payload: Uint8Array.prototype.slice.call(body, HEAD + length),
    retained: (flags & RETAINED) !== 0,
    subscribe: (flags & SUBSCRIBE) !== 0,
  };
}
