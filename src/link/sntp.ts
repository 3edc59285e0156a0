import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";

/** The time of day by SNTP (RFC 4330, RFC 5905 section 14), asked from one of our own addresses. */

export interface TimeAnswer {
  /** Unix ms at the moment in which the answer came. */
  readonly wallMs: number;
  /** Half of the way there and back, and what the server says of itself. */
  readonly errorMs: number;
}

const PACKET_BYTES = 48;
/** No leap warning, version 4, mode 3: client. */
const CLIENT = 0x23;
const MODE_SERVER = 4;
const UNSYNCHRONISED = 3;
/** From 1900 to 1970. */
const TO_UNIX_S = 2_208_988_800;
const ERA_S = 2 ** 32;
/** Worse than this it labels nothing. */
const WORST_MS = 5_000;

function question(nonce: Uint8Array): Buffer {
  const packet = Buffer.alloc(PACKET_BYTES);
  packet[0] = CLIENT;
  // Not our time, which tells who we are and may be wrong: a number that only the server can give back.
  packet.set(nonce.subarray(0, 8), 40);
  return packet;
}

/** Null for whatever is no answer to this question that can be believed. @param floorMs no time is before. */
function readAnswer(packet: Buffer, nonce: Uint8Array, roundTripMs: number, floorMs: number): TimeAnswer | null {
  if (packet.length < PACKET_BYTES) return null;
  const first = packet.readUInt8(0);
  const stratum = packet.readUInt8(1);
  if ((first & 7) !== MODE_SERVER || first >> 6 === UNSYNCHRONISED || stratum < 1 || stratum > 15) return null;
  if (!packet.subarray(24, 32).equals(Buffer.from(nonce.subarray(0, 8)))) return null;
  const [received, sent] = [msAt(packet, 32, floorMs), msAt(packet, 40, floorMs)];
  if (received === null || sent === null || sent < received) return null;
  const wayMs = Math.max(0, roundTripMs - (sent - received));
  const ownMs = (packet.readUInt32BE(4) / 2 + packet.readUInt32BE(8)) / 65.536;
  const errorMs = Math.ceil(wayMs / 2 + ownMs);
  const wallMs = Math.round(sent + wayMs / 2);
  return errorMs > WORST_MS || wallMs < floorMs ? null : { wallMs, errorMs };
}

/** A timestamp says no century: the first one that is not before the floor. Null where the server has none. */
function msAt(packet: Buffer, at: number, floorMs: number): number | null {
  const seconds = packet.readUInt32BE(at);
  if (seconds === 0) return null;
  const ms = (seconds - TO_UNIX_S) * 1_000 + (packet.readUInt32BE(at + 4) * 1_000) / ERA_S;
  const eras = Math.max(0, Math.ceil((floorMs - ms) / (ERA_S * 1_000)));
  return ms + eras * ERA_S * 1_000;
}

export interface AskOptions {
  readonly from: string;
  readonly server: string;
  readonly port?: number;
  readonly floorMs: number;
  readonly timeoutMs?: number;
}

/** Null when nobody answers in time, or what comes cannot be believed. */
export function askTime({
  from,
  server,
  port = 123,
  floorMs,
  timeoutMs = 5_000,
}: AskOptions): Promise<TimeAnswer | null> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(server) ? "udp6" : "udp4");
    const nonce = randomBytes(8);
    const end = (answer: TimeAnswer | null): void => {
      clearTimeout(timer);
      socket.removeAllListeners("message");
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(end, timeoutMs, null);
    socket.once("error", () => end(null));
    socket.bind({ address: from }, () => {
      socket.connect(port, server, () => {
        const sentMs = performance.now();
        socket.on("message", (packet) => {
          const answer = readAnswer(packet, nonce, performance.now() - sentMs, floorMs);
          // A stranger's packet must not end the waiting for the right one.
          if (answer !== null) end(answer);
        });
        socket.send(question(nonce));
      });
    });
  });
}
