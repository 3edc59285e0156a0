import { createPrivateKey, type KeyObject } from "node:crypto";

/**
 * An ed25519 key as OpenSSH keeps it (PROTOCOL.key in the OpenSSH sources), for a service that signs often: starting
 * `ssh-keygen` for each signature costs a hundred times the signature. Only keys without a passphrase.
 */

const HEADER = Buffer.from("openssh-key-v1\0");
const TYPE = "ssh-ed25519";
/** PKCS #8 of an ed25519 key, up to its 32 bytes. */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** Null for every other kind of key, one with a passphrase, and anything that is none; never throws. */
export function readOpensshKey(text: string): KeyObject | null {
  const found = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END OPENSSH PRIVATE KEY-----/.exec(text);
  try {
    return found?.[1] === undefined ? null : parse(Buffer.from(found[1].replace(/\s+/g, ""), "base64"));
  } catch (error) {
    // Too short for what it says it holds.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function parse(bytes: Buffer): KeyObject | null {
  if (!bytes.subarray(0, HEADER.length).equals(HEADER)) return null;
  let at = HEADER.length;
  const field = (): Buffer => {
    const start = at + 4;
    at = start + bytes.readUInt32BE(at);
    if (at > bytes.length) throw new RangeError("cut off");
    return bytes.subarray(start, at);
  };
  const [cipher, kdf] = [field().toString(), field().toString()];
  field();
  const keys = bytes.readUInt32BE(at);
  if (cipher !== "none" || kdf !== "none" || keys !== 1) return null;
  at += 4;
  field();
  // The private part is a field; its content begins with two equal numbers that tell a wrong passphrase.
  at += 4;
  if (bytes.readUInt32BE(at) !== bytes.readUInt32BE(at + 4)) return null;
  at += 8;
  if (field().toString() !== TYPE) return null;
  field();
  const secret = field();
  if (secret.length !== 64) return null;
  return createPrivateKey({ key: Buffer.concat([PKCS8, secret.subarray(0, 32)]), format: "der", type: "pkcs8" });
}
