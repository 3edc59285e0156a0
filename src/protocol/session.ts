import { z } from "zod";
import { parseJson } from "./envelope.ts";

/**
 * What travels inside a stream to a console: frames of u8 kind (0 bytes of the console, 1 a message as JSON), u16 length,
 * payload; big endian. Bytes are never mixed with anything: all that is said about them is a message beside them.
 */

const DATA = 0;
const MESSAGE = 1;
const HEAD = 3;
const PAYLOAD_LIMIT = 0xffff;

export type SessionFrame = { readonly data: Uint8Array } | { readonly message: unknown };

/** From the site. */
export type SessionMessage =
  /** The first one. `offset` is that of the next byte of the console, in this boot. */
  | {
      t: "hello";
      console: string;
      device: string;
      boot: number;
      offset: number;
      sequences: readonly { name: string; what: string; confirm: boolean }[];
    }
  /** Where the bytes that follow begin: before replayed ones, and before live ones. */
  | { t: "at"; offset: number; live: boolean }
  /** Not shown, because this viewer was slow; it is in the journal. */
  | { t: "missed"; from: number; bytes: number }
  /** Lost before it could be recorded; null: nobody knows how many. */
  | { t: "gap"; from: number; bytes: number | null; cause: string }
  | { t: "lease"; what: string; why: string; by: string | null }
  | { t: "people"; people: readonly { name: string; from: string; role: string; you: boolean }[] }
  | { t: "console"; state: "up" | "down"; code: string | null; detail: string }
  | { t: "sent"; name: string; by: string }
  | { t: "line"; line: string; by: string; undone: boolean }
  /** Send it again with `confirmed` after a person said yes. */
  | { t: "confirm"; name: string; what: string }
  | { t: "refused"; what: string; code: string; detail: string }
  /** The last one. */
  | { t: "ended"; code: string };

const whole = z.int().min(0);

const request = z.discriminatedUnion("t", [
  /** The first one: what to show of before. */
  z.strictObject({
    t: z.literal("begin"),
    lines: whole.max(10_000).optional(),
    sinceMs: whole.optional(),
    from: whole.optional(),
  }),
  z.strictObject({ t: z.literal("beat") }),
  z.strictObject({ t: z.enum(["request", "steal", "join", "release"]) }),
  z.strictObject({ t: z.literal("send"), name: z.string().max(64), confirmed: z.boolean().default(false) }),
]);

/** To the site. */
export type SessionRequest = z.infer<typeof request>;

/** Null where it is no request that this version knows. */
export function readSessionRequest(message: unknown): SessionRequest | null {
  const parsed = request.safeParse(message);
  return parsed.success ? parsed.data : null;
}

/** As many frames as it takes. */
export function encodeSessionData(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= PAYLOAD_LIMIT) return framed(DATA, bytes);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PAYLOAD_LIMIT)
    frames.push(framed(DATA, bytes.subarray(at, at + PAYLOAD_LIMIT)));
  return Buffer.concat(frames);
}

export function encodeSessionMessage(message: SessionMessage | z.input<typeof request>): Uint8Array {
  return framed(MESSAGE, Buffer.from(JSON.stringify(message)));
}

function framed(kind: number, payload: Uint8Array): Uint8Array {
  if (payload.length > PAYLOAD_LIMIT) throw new Error("a session's message is too long");
  const frame = Buffer.alloc(HEAD + payload.length);
  frame.writeUInt8(kind, 0);
  frame.writeUInt16BE(payload.length, 1);
  frame.set(payload, HEAD);
  return frame;
}

/** Takes the stream as it comes; holds at most one frame. What makes no sense ends it: `broken`. */
export class SessionReader {
  private held: Buffer = Buffer.alloc(0);
  broken = false;

  push(bytes: Uint8Array): SessionFrame[] {
    if (this.broken) return [];
    this.held = this.held.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.held, bytes]);
    const frames: SessionFrame[] = [];
    let at = 0;
    while (this.held.length - at >= HEAD) {
      const length = this.held.readUInt16BE(at + 1);
      if (this.held.length - at < HEAD + length) break;
      const frame = readFrame(this.held.readUInt8(at), this.held.subarray(at + HEAD, at + HEAD + length));
      if (frame === null) {
        this.broken = true;
        break;
      }
      frames.push(frame);
      at += HEAD + length;
    }
    this.held = this.held.subarray(at);
    return frames;
  }
}

function readFrame(kind: number, payload: Buffer): SessionFrame | null {
  if (kind === DATA) return { data: Uint8Array.from(payload) };
  const message = kind === MESSAGE ? parseJson(payload) : null;
  return typeof message === "object" && message !== null ? { message } : null;
}
