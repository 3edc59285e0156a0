import { z } from "zod";
import { decodeEnvelope, type Envelope, encodeEnvelope, parseJson } from "../../protocol/envelope.ts";
import { fingerprintOf, keyBlob } from "../../protocol/trust-document.ts";

/**
 * An export of a ledger: JSON lines. First whose it is, then the records' exact texts in order, last the site's signed
 * answer about the newest of them. Only one text says the same thing: whatever is not written so is an edit.
 */

const headerSchema = z.strictObject({ v: z.literal(1), fleet: z.string(), site: z.string(), key: z.string() });
export type Header = z.infer<typeof headerSchema>;

export interface Export {
  readonly header: Header;
  /** Fingerprint of the header's key. */
  readonly key: string;
  readonly records: readonly string[];
  /** Null: read from a card, where nobody can be asked. */
  readonly head: Envelope | null;
}

/** A public key line without its comment, in the one way to write it; null when it is no key. */
export function plainKey(line: string): string | null {
  const blob = keyBlob(line);
  return blob === null ? null : `${line.trim().split(/\s+/)[0]} ${Buffer.from(blob).toString("base64")}`;
}

function headerText({ fleet, site, key }: Omit<Header, "v">): string {
  return JSON.stringify({ v: 1, fleet, site, key });
}

export function exportText(header: Omit<Header, "v">, records: readonly string[], head: Envelope | null): string {
  const last = head === null ? [] : [`{"head":${encodeEnvelope(head)}}`];
  return [headerText(header), ...records, ...last, ""].join("\n");
}

/** The parts of an export, or why it is none. */
export function readExport(bytes: Uint8Array): Export | string {
  const text = utf8(bytes);
  if (text === null) return "the file is not UTF-8 text";
  const lines = text.split("\n");
  if (lines.pop() !== "") return "the last line is not whole: the file was cut";
  const [first = "", ...rest] = lines;
  const header = headerSchema.safeParse(parseJson(first)).data;
  if (header === undefined || headerText(header) !== first) return "the first line is not the header of an export";
  const blob = keyBlob(header.key);
  if (blob === null || plainKey(header.key) !== header.key) return "the header's key is not written as a key is";
  const headed = rest.at(-1)?.startsWith('{"head":') === true;
  const head = headed ? readHead(rest.at(-1) ?? "") : null;
  if (headed && head === null) return "the last line is not a signed answer as a site writes it";
  return { header, key: fingerprintOf(blob), records: headed ? rest.slice(0, -1) : rest, head };
}

function readHead(line: string): Envelope | null {
  const head = /^\{"head":(.*)\}$/.exec(line)?.[1];
  return head === undefined ? null : canonical(head);
}

/** The envelope, if this is the one way to write it: no padding, no bits to spare, nothing beside it. */
export function canonical(text: string): Envelope | null {
  const envelope = decodeEnvelope(text);
  return envelope !== null && encodeEnvelope(envelope) === text ? envelope : null;
}

function utf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
