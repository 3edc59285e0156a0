/**
 * Frames of a stream over a broker: u8 flags, u48 position of the first byte, u48 next byte that is wanted from the other
 * end, u16 how many KiB of it there is room for, then the bytes. Big endian. Either end numbers its bytes from 0; the end
 * of a direction takes one number.
 */
export interface StreamFrame {
  readonly seq: number;
  readonly ack: number;
  readonly creditKiB: number;
  /** Nothing comes after these bytes. */
  readonly fin: boolean;
  /** Answer at once. */
  readonly ask: boolean;
  /** Something is missing from `ack` on. */
  readonly missing: boolean;
  /** The stream is over: the payload is the code that says why. */
  readonly reset: boolean;
  readonly payload: Uint8Array;
}

const FIN = 1;
const ASK = 2;
const MISSING = 4;
const RESET = 8;
const HEAD = 15;
/** A position beyond is refused, never wrapped. */
export const LAST_POSITION = 2 ** 48 - 1;
export const STREAM_PAYLOAD = 4096;

export function encodeStreamFrame(frame: StreamFrame): Uint8Array {
  const bytes = Buffer.alloc(HEAD + frame.payload.length);
  const { fin, ask, missing, reset } = frame;
  bytes[0] = (fin ? FIN : 0) | (ask ? ASK : 0) | (missing ? MISSING : 0) | (reset ? RESET : 0);
  bytes.writeUIntBE(frame.seq, 1, 6);
  bytes.writeUIntBE(frame.ack, 7, 6);
  bytes.writeUInt16BE(frame.creditKiB, 13);
  bytes.set(frame.payload, HEAD);
  return bytes;
}

/** Null for anything that is none. */
export function decodeStreamFrame(raw: Uint8Array): StreamFrame | null {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
  if (bytes.length < HEAD || bytes.length > HEAD + STREAM_PAYLOAD) return null;
  const flags = bytes.readUInt8(0);
  if (flags > (FIN | ASK | MISSING | RESET)) return null;
  const seq = bytes.readUIntBE(1, 6);
  const payload = bytes.subarray(HEAD);
  if (seq + payload.length >= LAST_POSITION) return null;
  return {
    seq,
    ack: bytes.readUIntBE(7, 6),
    creditKiB: bytes.readUInt16BE(13),
    fin: (flags & FIN) !== 0,
    ask: (flags & ASK) !== 0,
    missing: (flags & MISSING) !== 0,
    reset: (flags & RESET) !== 0,
    payload,
  };
}

/** Tells the other end that it is over, and why. */
export function resetFrame(code: string): Uint8Array {
  const none = { seq: 0, ack: 0, creditKiB: 0, fin: false, ask: false, missing: false };
  return encodeStreamFrame({ ...none, reset: true, payload: Buffer.from(code, "latin1").subarray(0, 64) });
}

/** The code of a reset, or `stream.lost` where it is none that could be shown. */
export function resetCode(frame: StreamFrame): string {
  const text = Buffer.from(frame.payload).toString("latin1");
  return /^[a-z]+(\.[a-z-]+)?$/.test(text) ? text : "stream.lost";
}
