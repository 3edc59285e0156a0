import type { Event } from "../core/events.ts";
import type { Command } from "../core/messages.ts";
import type { Offer } from "../core/trust.ts";
import { decodeAck } from "../protocol/ack.ts";
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

/** Where the site listens. */
export interface Inbox {
  readonly commandTopic: string;
  readonly ackTopic: string;
}

type Ignored = Extract<Event, { type: "message-ignored" }>;

/** From bytes to an event: size, retain flag, parse, and whose signatures fit. What that allows is the core's to say. */
export function receive(message: Incoming, inbox: Inbox, keys: Pick<Keys, "verify">, entropy: () => string): Event {
  if (message.oversized || message.payload.length > MESSAGE_LIMIT) return ignored(message, "message.oversized");
  if (message.topic === inbox.ackTopic) return receiveAck(message, keys);
  if (message.topic !== inbox.commandTopic) return ignored(message, "message.unknown-topic");
  const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
  const decoded = envelope && decodeCommand(envelope.body);
  if (message.retained)
    return ignored(message, "message.retained", decoded?.ok ? decoded.command.id : (decoded?.id ?? null));
  if (envelope === null || decoded === null) return ignored(message, "message.malformed");
  if (!decoded.ok) return ignored(message, decoded.code, decoded.id);
  if (decoded.command.kind !== "trust" && message.payload.length > COMMAND_LIMIT)
    return ignored(message, "message.oversized", decoded.command.id);
  return {
    type: "command-arrived",
    via: message.via,
    command: decoded.command,
    signers: signersOf(envelope, NAMESPACES.command, keys),
    signatures: envelope.sigs.length,
    // Another spelling of the same bytes would be no other evidence.
    signed: encodeEnvelope(envelope),
    offer: offerOf(decoded.command, keys),
    entropy: entropy(),
  };
}

/** Signatures before the parser: an acknowledgement may be large, and only a known key is worth the work. */
function receiveAck(message: Incoming, keys: Pick<Keys, "verify">): Event {
  const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
  if (envelope === null) return ignored(message, "message.malformed");
  const signers = signersOf(envelope, NAMESPACES.collect, keys);
  const signatures = envelope.sigs.length;
  if (signers.length === 0) return ignored(message, signatures === 0 ? "signature.missing" : "signature.invalid");
  const ack = decodeAck(envelope.body);
  if (ack === null) return ignored(message, "message.malformed");
  const { via, retained } = message;
  return { type: "ack-arrived", via, retained, ...ack, signers, signatures };
}

function ignored({ via }: Incoming, code: Ignored["code"], id: string | null = null): Ignored {
  return { type: "message-ignored", via, code, id };
}

function signersOf(envelope: Envelope, namespace: Namespace, keys: Pick<Keys, "verify">): string[] {
  const signers = envelope.sigs.map((signature) => keys.verify(envelope.body, signature, namespace));
  return [...new Set(signers.filter((one) => one !== null))];
}

function offerOf(command: Command, keys: Pick<Keys, "verify">): (Offer & { envelope: string }) | null {
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
