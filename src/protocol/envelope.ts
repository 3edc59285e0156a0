/**
 * A signed message, on the wire and on disk: `{"body": base64url, "sigs": [base64url of a raw SSHSIG blob]}`.
 * The bytes of the body are what is signed, checked and kept; they are never serialised again.
 */
export interface Envelope {
  readonly body: Uint8Array;
  readonly sigs: readonly Uint8Array[];
}

export const MESSAGE_LIMIT = 1024 * 1024;
/** Of a command that carries no document: it is kept in the ledger as evidence. */
export const COMMAND_LIMIT = 16 * 1024;
const SIGNATURES_LIMIT = 16;
/** Without padding; where a library adds it, it is taken too. */
const BASE64URL = /^[A-Za-z0-9_-]*={0,2}$/;

export const NAMESPACES = {
  command: "towpath-command",
  site: "towpath-site",
  collect: "towpath-collect",
  trust: "towpath-trust",
} as const;
export type Namespace = (typeof NAMESPACES)[keyof typeof NAMESPACES];

export function encodeEnvelope(envelope: Envelope): string {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  return JSON.stringify({ body: text(envelope.body), sigs: envelope.sigs.map(text) });
}

/** Null for anything else than an envelope; never throws. */
export function decodeEnvelope(text: string): Envelope | null {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || !("body" in value) || !("sigs" in value)) return null;
  const { body, sigs } = value;
  if (!Array.isArray(sigs) || sigs.length > SIGNATURES_LIMIT) return null;
  const bytes = fromBase64url(body);
  const blobs = sigs.map(fromBase64url);
  if (bytes === null || blobs.some((blob) => blob === null)) return null;
  return { body: bytes, sigs: blobs.filter((blob) => blob !== null) };
}

function fromBase64url(value: unknown): Uint8Array | null {
  return typeof value === "string" && BASE64URL.test(value) ? Buffer.from(value, "base64url") : null;
}

/** Undefined when it is not JSON. Bytes that are not UTF-8 are not JSON either. */
export function parseJson(text: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof text === "string" ? text : new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    return undefined;
  }
}

/** True for a JSON object: neither a list nor null. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
