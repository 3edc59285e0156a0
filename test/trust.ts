import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { publicKeyLine, signEd25519 } from "../src/access/sshsig.ts";
import type { Signer } from "../src/operator/signer.ts";
import { encodeEnvelope, NAMESPACES } from "../src/protocol/envelope.ts";
import { fingerprintOf, keyBlob } from "../src/protocol/trust-document.ts";

/** Keys and trust documents made in this process, for tests that sign by the thousand. */

export function newKey(): KeyObject {
  return generateKeyPairSync("ed25519").privateKey;
}

export interface TrustOptions {
  readonly fleet: string;
  readonly epoch: number;
  readonly root: KeyObject;
  readonly operators: Readonly<Record<string, { readonly key: KeyObject; readonly role: string }>>;
  readonly revoked?: readonly string[];
}

export function trustText(options: TrustOptions): string {
  const operators = Object.entries(options.operators).map(([name, { key, role }]) => ({
    name,
    keys: [publicKeyLine(key, name)],
    roles: [role],
  }));
  const body = Buffer.from(
    JSON.stringify({
      v: 1,
      fleet: options.fleet,
      epoch: options.epoch,
      roots: { threshold: 1, keys: [publicKeyLine(options.root, "root")] },
      operators,
      roles: {},
      revoked: options.revoked ?? [],
    }),
  );
  return encodeEnvelope({ body, sigs: [signEd25519(options.root, body, NAMESPACES.trust)] });
}

export function inProcessSigner(key: KeyObject): Signer {
  const blob = keyBlob(publicKeyLine(key, "")) ?? new Uint8Array();
  return { fingerprint: fingerprintOf(blob), sign: async (message, namespace) => signEd25519(key, message, namespace) };
}
