import { createHash, createPrivateKey, type KeyObject } from "node:crypto";
import { publicKeyLine, signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import { decodeCommand } from "../../src/protocol/command.ts";
import { decodeEnvelope, encodeEnvelope, NAMESPACES } from "../../src/protocol/envelope.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import type { Keys } from "../../src/site/edges.ts";
import { trustText } from "../trust.ts";

/** Who is around a simulated site: operators, one of whom is revoked under way, a viewer, and a stranger. */

export const PEOPLE = ["alice", "ada", "olaf", "bob", "mallory"] as const;
export type Person = (typeof PEOPLE)[number];

const KEYS_OF: Readonly<Record<Person, KeyObject>> = {
  alice: keyOf("alice"),
  ada: keyOf("ada"),
  olaf: keyOf("olaf"),
  bob: keyOf("bob"),
  mallory: keyOf("mallory"),
};
const ROOT = keyOf("root");

const operators = {
  alice: { key: KEYS_OF.alice, role: "operator" },
  ada: { key: KEYS_OF.ada, role: "admin" },
  olaf: { key: KEYS_OF.olaf, role: "operator" },
  bob: { key: KEYS_OF.bob, role: "viewer" },
};

const FINGERPRINTS = new Set(
  Object.values(operators).map(({ key }) => fingerprintOf(keyBlob(publicKeyLine(key, "")) ?? new Uint8Array())),
);

/** The trust of the start, and the one that revokes olaf. */
export const FIRST_TRUST = trustText({ fleet: "sim", epoch: 1, root: ROOT, operators });
export const SECOND_TRUST = trustText({ fleet: "sim", epoch: 2, root: ROOT, operators, revoked: ["olaf"] });

/** Ids of commands, and whether somebody whom the site knows signed it. Null: no command. */
export function authenticity(payload: Uint8Array): { readonly id: string; readonly known: boolean } | null {
  const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
  const decoded = envelope && decodeCommand(envelope.body);
  // Bent so that it is no command any more: nobody looks at whose it was.
  if (decoded?.ok === false && decoded.id !== null) return { id: decoded.id, known: false };
  if (envelope === null || decoded?.ok !== true) return null;
  const signers = envelope.sigs.map((one) => SITE_KEYS.verify(envelope.body, one, NAMESPACES.command));
  return { id: decoded.command.id, known: signers.some((one) => one !== null && FINGERPRINTS.has(one)) };
}

/** The same key in every process, so that a seed tells the same story everywhere (PKCS #8 of a seed, RFC 8410). */
function keyOf(name: string): KeyObject {
  const seed = createHash("sha256").update(name).digest();
  const key = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key, format: "der", type: "pkcs8" });
}

export const maySwitch = (by: string): boolean => by === "alice" || by === "ada" || by === "olaf";

export function signedBy(person: Person, body: object): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(body));
  const sigs = [signEd25519(KEYS_OF[person], bytes, NAMESPACES.command)];
  return Buffer.from(encodeEnvelope({ body: bytes, sigs }));
}

/** The same message comes again and again here; what a signature is worth does not change. */
const known = new Map<string, string | null>();
const KNOWN_LIMIT = 20_000;

/** Nobody in this world reads the site's signature, so it costs nothing. */
export const SITE_KEYS: Keys = {
  sign: () => new Uint8Array(64),
  verify(body, signature, namespace) {
    const key = `${namespace} ${Buffer.from(signature).toString("latin1")} ${Buffer.from(body).toString("latin1")}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    if (known.size > KNOWN_LIMIT) known.clear();
    const signer = verifySignature(body, signature, namespace)?.fingerprint ?? null;
    known.set(key, signer);
    return signer;
  },
};
