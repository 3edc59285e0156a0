import type { Message } from "../link/transport.ts";
import { decodeEnvelope, isRecord, NAMESPACES, parseJson } from "../protocol/envelope.ts";
import { verifySignature } from "./sshsig.ts";

/** What a site says with its signature. */
export interface Statement {
  readonly body: Readonly<Record<string, unknown>>;
  /** True when it verifies with the site's known key, null when no key is known for the site. */
  readonly verified: boolean | null;
}

/** Checks a signed statement of a site: the signature, and that it was made for this topic. */
export function decodeStatement(message: Pick<Message, "topic" | "payload">, key: string | null): Statement | null {
  const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
  const body = envelope && parseJson(envelope.body);
  if (envelope === null || !isRecord(body) || body.topic !== message.topic) return null;
  if (key === null) return { body, verified: null };
  const good = envelope.sigs.some((blob) => verifySignature(envelope.body, blob, NAMESPACES.site)?.fingerprint === key);
  return { body, verified: good };
}
