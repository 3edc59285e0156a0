import type { Event } from "../core/events.ts";
import type { Command } from "../core/messages.ts";
import type { Offer } from "../core/trust.ts";
import { decodeCommand } from "../protocol/command.ts";
import {
  COMMAND_LIMIT,
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  MESSAGE_LIMIT,
  NAMESPACES,
  type Namespace,
} from "../protocol/envelope.ts";
import { readTrustBody, toTrustDocument } from "../protocol/trust-document.ts";
import type { Incoming, Keys } from "./edges.ts";

/** From bytes to an event: size, retain flag, parse, and whose signatures fit. What that allows is the core's to say. */
export function receive(message: Incoming, commandTopic: string, keys: Keys, entropy: () => string): Event {
  const { via } = message;
  const ignored = (code: Extract<Event, { type: "message-ignored" }>["code"], id: string | null = null): Event => ({
    type: "message-ignored",
    via,
    code,
    id,
  });
  if (message.oversized || message.payload.length > MESSAGE_LIMIT) return ignored("message.oversized");
  if (message.topic !== commandTopic) return ignored("message.unknown-topic");
  const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
  const decoded = envelope && decodeCommand(envelope.body);
  if (message.retained) return ignored("message.retained", decoded?.ok ? decoded.command.id : (decoded?.id ?? null));
  if (envelope === null || decoded === null) return ignored("message.malformed");
  if (!decoded.ok) return ignored(decoded.code, decoded.id);
  if (decoded.command.kind !== "trust" && message.payload.length > COMMAND_LIMIT)
    return ignored("message.oversized", decoded.command.id);
  return {
    type: "command-arrived",
    via,
    command: decoded.command,
    signers: signersOf(envelope, NAMESPACES.command, keys),
    signatures: envelope.sigs.length,
    // Another spelling of the same bytes would be no other evidence.
    signed: encodeEnvelope(envelope),
    offer: offerOf(decoded.command, keys),
    entropy: entropy(),
  };
}

function signersOf(envelope: Envelope, namespace: Namespace, keys: Pick<Keys, "verify">): string[] {
  const signers = envelope.sigs.map((signature) => keys.verify(envelope.body, signature, namespace));
  return [...new Set(signers.filter((one) => one !== null))];
}

function offerOf(command: Command, keys: Keys): (Offer & { envelope: string }) | null {
  if (command.kind !== "trust") return null;
  const offer = readOffer(command.args.document, keys);
  return offer && { ...offer, envelope: command.args.document };
}

/** A signed trust document as an offer, or null when it is none. */
export function readOffer(text: string, keys: Pick<Keys, "verify">): Offer | null {
  const envelope = decodeEnvelope(text);
  const body = envelope && readTrustBody(envelope.body);
  if (envelope === null || body === null) return null;
  const signers = signersOf(envelope, NAMESPACES.trust, keys);
  return { document: toTrustDocument(body, envelope.body), signers, text: encodeEnvelope(envelope) };
}
