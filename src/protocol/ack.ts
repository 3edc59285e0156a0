import type { AckedTrack } from "../core/events.ts";
import { type Span, unionOf } from "../core/ranges.ts";
import { isRecord, parseJson } from "./envelope.ts";
import { NAME } from "./topics.ts";

export type { AckedTrack };

/**
 * What a receiver holds safely, the body of `dn/ack`: `{"receiver", "tracks": {"boot/track": [[from, to], …]}}`, and
 * `"site": "fleet/site"` where the receiver says whose (then a broker cannot play it to another site).
 * Ranges are half-open: byte offsets of capture tracks (`4021/router1/rx`), sequence numbers of the ledger
 * (`0/ledger`: its numbers go on over boots). Everything ever acknowledged stays so: an old one, or the same twice, is
 * harmless. Signed in the namespace `towpath-collect`.
 */
export interface Ack {
  readonly receiver: string;
  /** `fleet/site`, where the receiver says whose. */
  readonly site?: string | undefined;
  readonly tracks: readonly AckedTrack[];
}

export const LEDGER_TRACK = "ledger";

const TRACKS_LIMIT = 4_096;
const RANGES_LIMIT = 1_024;

export function encodeAck({ receiver, site, tracks }: Ack): Uint8Array {
  const named = tracks.map(({ boot, track, ranges }) => [`${boot}/${track}`, ranges] as const);
  return Buffer.from(
    JSON.stringify({ receiver, ...(site !== undefined && { site }), tracks: Object.fromEntries(named) }),
  );
}

/** Null for anything that is not a whole acknowledgement; never throws. Ranges come out sorted and merged. */
export function decodeAck(body: Uint8Array): Ack | null {
  const value = parseJson(body);
  if (!isRecord(value) || typeof value.receiver !== "string" || !NAME.test(value.receiver)) return null;
  if (!isRecord(value.tracks)) return null;
  const { receiver, site } = value;
  if (site !== undefined && (typeof site !== "string" || site.length > 130)) return null;
  const entries = Object.entries(value.tracks);
  if (entries.length > TRACKS_LIMIT) return null;
  const tracks = entries.map(([key, ranges]) => decodeTrack(key, ranges));
  return tracks.some((one) => one === null)
    ? null
    : { receiver, ...(site !== undefined && { site }), tracks: tracks.filter((one) => one !== null) };
}

function decodeTrack(key: string, value: unknown): AckedTrack | null {
  const slash = key.indexOf("/");
  const boot = key.slice(0, slash);
  const track = key.slice(slash + 1);
  if (!/^\d{1,10}$/.test(boot) || Number(boot) > 0xffffffff || !isTrack(track)) return null;
  if (!Array.isArray(value) || value.length > RANGES_LIMIT || !value.every(isSpan)) return null;
  return { boot: track === LEDGER_TRACK ? 0 : Number(boot), track, ranges: unionOf(value) };
}

function isTrack(text: string): boolean {
  const [console = "", way, ...rest] = text.split("/");
  return text === LEDGER_TRACK || (NAME.test(console) && (way === "rx" || way === "tx") && rest.length === 0);
}

function isSpan(value: unknown): value is Span {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [from, to]: unknown[] = value;
  return Number.isSafeInteger(from) && Number.isSafeInteger(to) && Number(from) >= 0 && Number(from) <= Number(to);
}
