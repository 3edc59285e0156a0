import { deflateRawSync, inflateRawSync } from "node:zlib";
import { decodeEnvelope, encodeEnvelope, MESSAGE_LIMIT } from "./envelope.ts";

/**
 * What a site says in JSON, small enough for LTE: `deflateRaw` with a dictionary that both sides know, marked by the
 * first byte, which in JSON is never that of a version. What was signed is packed as it was before base64url, and comes
 * out as the same text, byte by byte.
 */

/** Version 1. Another dictionary, or another order of the parts, takes another number. */
const VERSION_1 = 0x01;
/** Below this a message costs its overhead anyway. */
const WORTH_BYTES = 300;
const PACKED = /\/up\/(state|birth|event|reply|telemetry)$/;

/** Words of states, answers and records, the most common last. Fixed for ever: both sides have it. */
const DICTIONARY = Buffer.from(
  '{"v":1,"version":"0.1.0","key":"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI","config":{"sha256":"","boots":[,"tracks":{"' +
    '/rx":{"boot":,"next":"ledger":{"seq":"clock":"ntp","trust":"rtc","none"' +
    '{"records":[{"seq":,"boot":,"mono":,"kind":"start","start":"clock","wall":"link","connection":"lte","state":"up",' +
    '"detail":"mqtts://:8883, MQTT 5"},"primary":{"state":"down","detail":"connection lost","sinceMs":' +
    '"kind":"console","console":"","code":null,"console.missing","kind":"gap","track":"rx","offset":,"cause":"overrun",' +
    '"length":null,"count":1},{"kind":"intent","intent":{"id":"0","by":"","verb":"cycle","target":"","reason":"",' +
    '"outlets":[""],"cuts":[""],"waitMs":5000,"durability":"synced"}},"kind":"edge","id":"","outlet":"","power":"off",' +
    '"ok":true},"kind":"outcome","verdict":"verified","failures":[],"reply":{"id":"","phase":"result","kind":"refused",' +
    '"id":"0","phase":"selected","nonce":"","expiresInMs":60000,"epoch":,"preview":{"moves":[{"outlet":"","power":"off"},' +
    '{"waitMs":5000},"power":"on"}],"loses":[""],"ownBranch":"no","facts":{"warnings":[],"refusal":null,"left":[]}' +
    '"phase":"accepted","phase":"progress","step":"phase":"result","verdict":"commanded","failures":[],"facts":{' +
    '"fleet":"","name":"","mono":,"wall":,"devices":{"router1":{"rev":1,"outlets":["a1"],"consoles":["router1"],' +
    '"power":"on","alive":"console router1"},"consoles":{"rev":1,"state":"up","code":null,"detail":"","sinceMs":,' +
    '"line":{"modem":{"cts":true,"dsr":true,"dcd":false,"ring":false,"dtr":true,"rts":true},"errors":{"framing":0,' +
    '"overrun":0,"parity":0,"breaks":0}},"site":{"storage":{"rev":1,"state":"ok","detail":""},"trust":{"rev":1,"epoch":,' +
    '"sha256":""},"links":{"rev":,"local":{"state":"up","detail":"/var/lib/towpath/towpath.sock","sinceMs":},"lte":{' +
    '"budget":{"rev":1,"level":"normal","bytes":,"per":"month","tenths":},"spent":{"today":"","day":,"month":,"by":{' +
    '"reply":,"alarm":,"state":,"watched":,"telemetry":,"unwatched":0,"backfill":0,"connection":,"other":' +
    '"machine":{"rev":1,"findings":[{"check":"","level":"warn","what":"","todo":""}]},"receivers":{"rev":1},' +
    '"clock":{"rev":1,"trust":"ntp"},"heard":{}},"pending":[],"topic":"towpath/1//up/state","boot":,"start":,"n":' +
    '"outlets":{"a1":{"rev":1,"relay":1,"contact":"nc","commanded":{"value":"on","atMs":,"source":"ledger"},' +
    '"driven":{"value":"on","atMs":,"source":"relay 1"},"observed":{"value":"unknown","atMs":null,"source":"none"},' +
    '"lock":null,"alarm":false,"ownBranch":null,"busy":null},"a2":{"rev":1,"relay":2,"contact":"nc","commanded":{"value":',
);

/** As it goes out where each byte costs; the same where that would not help. */
export function packJson(topic: string, payload: Uint8Array): Uint8Array {
  if (payload.length < WORTH_BYTES || !PACKED.test(topic)) return payload;
  const packed = deflateRawSync(partsOf(Buffer.from(payload)), { dictionary: DICTIONARY, level: 9 });
  return packed.length + 1 < payload.length ? Buffer.concat([Buffer.from([VERSION_1]), packed]) : payload;
}

/** As it was before it was packed; what is not packed, or not by a version known here, stays as it is. */
export function unpackJson(topic: string, payload: Uint8Array): Uint8Array {
  if (payload[0] !== VERSION_1 || !PACKED.test(topic)) return payload;
  try {
    const limit = { dictionary: DICTIONARY, maxOutputLength: MESSAGE_LIMIT };
    return textOf(inflateRawSync(payload.subarray(1), limit)) ?? payload;
  } catch {
    return payload;
  }
}

/** How many signatures, each with its length, then the body; without signatures the text as it is. */
function partsOf(text: Buffer): Buffer {
  const envelope = decodeEnvelope(text.toString("utf8"));
  const same = envelope !== null && Buffer.from(encodeEnvelope(envelope)).equals(text);
  if (!same || envelope.sigs.length === 0) return Buffer.concat([Buffer.from([0]), text]);
  const sigs = envelope.sigs.flatMap((sig) => [Buffer.from([sig.length >> 8, sig.length & 0xff]), sig]);
  return Buffer.concat([Buffer.from([envelope.sigs.length]), ...sigs, envelope.body]);
}

function textOf(parts: Buffer): Uint8Array | null {
  const count = parts[0];
  if (count === undefined) return null;
  if (count === 0) return parts.subarray(1);
  const sigs: Uint8Array[] = [];
  let at = 1;
  for (let index = 0; index < count; index++) {
    if (at + 2 > parts.length) return null;
    const length = parts.readUInt16BE(at);
    sigs.push(parts.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return at > parts.length ? null : Buffer.from(encodeEnvelope({ body: parts.subarray(at), sigs }));
}
