import { createHash, createPublicKey, type KeyObject, sign as signBytes, verify as verifyBytes } from "node:crypto";
import { fingerprintOf } from "../protocol/trust-document.ts";

/**
 * SSHSIG, OpenSSH's signature format (PROTOCOL.sshsig in the OpenSSH sources): a signature says which key signed which
 * bytes for which namespace. Verifying needs nothing but `node:crypto`; operators sign with `ssh-keygen -Y sign`.
 */

const MAGIC = Buffer.from("SSHSIG");
const VERSION = 1;
/** User presence bit of a FIDO authenticator: without it nobody touched the key. */
const USER_PRESENT = 0x01;

export interface Signed {
  readonly namespace: string;
  /** Of the key that signed. */
  readonly fingerprint: string;
}

/** Who signed `message`, or null when the blob is not a good signature of it. Never throws. */
export function verifySignature(message: Uint8Array, blob: Uint8Array, namespace: string): Signed | null {
  try {
    const parts = parse(blob);
    if (parts.namespace !== namespace) return null;
    const good = verifyWith(parts.key, parts.signature, signedData(message, parts.namespace, parts.hash));
    return good ? { namespace, fingerprint: fingerprintOf(parts.key) } : null;
  } catch {
    return null;
  }
}

/** Signs with an ed25519 key of our own (the site's). Returns the raw blob, not the armoured text. */
export function signEd25519(key: KeyObject, message: Uint8Array, namespace: string): Uint8Array {
  const publicBlob = ed25519Blob(key);
  const signature = signBytes(null, signedData(message, namespace, "sha512"), key);
  return Buffer.concat([
    MAGIC,
    u32(VERSION),
    text(publicBlob),
    text(Buffer.from(namespace)),
    text(Buffer.alloc(0)),
    text(Buffer.from("sha512")),
    text(Buffer.concat([text(Buffer.from("ssh-ed25519")), text(signature)])),
  ]);
}

/** The OpenSSH public key line of an ed25519 key. */
export function publicKeyLine(key: KeyObject, comment: string): string {
  return `ssh-ed25519 ${ed25519Blob(key).toString("base64")} ${comment}`;
}

function ed25519Blob(key: KeyObject): Buffer {
  const { x } = (key.type === "private" ? createPublicKey(key) : key).export({ format: "jwk" });
  return Buffer.concat([text(Buffer.from("ssh-ed25519")), text(Buffer.from(x ?? "", "base64url"))]);
}

/** The blob inside `-----BEGIN SSH SIGNATURE-----` armour; null when there is none. */
export function unarmour(armoured: string): Uint8Array | null {
  const found = /-----BEGIN SSH SIGNATURE-----([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----/.exec(armoured);
  return found?.[1] === undefined ? null : Buffer.from(found[1].replace(/\s+/g, ""), "base64");
}

interface Parts {
  readonly key: Buffer;
  readonly namespace: string;
  readonly hash: string;
  readonly signature: Buffer;
}

function parse(blob: Uint8Array): Parts {
  const reader = new Reader(Buffer.from(blob));
  if (!reader.take(MAGIC.length).equals(MAGIC) || reader.u32() !== VERSION) throw new Error("not SSHSIG version 1");
  const key = reader.text();
  const namespace = reader.text().toString("utf8");
  reader.text();
  const hash = reader.text().toString("latin1");
  const signature = reader.text();
  reader.end();
  return { key, namespace, hash, signature };
}

function signedData(message: Uint8Array, namespace: string, hash: string): Buffer {
  if (hash !== "sha512" && hash !== "sha256") throw new Error("unknown hash");
  return Buffer.concat([
    MAGIC,
    text(Buffer.from(namespace)),
    text(Buffer.alloc(0)),
    text(Buffer.from(hash)),
    text(createHash(hash).update(message).digest()),
  ]);
}

function verifyWith(keyBlob: Buffer, signature: Buffer, data: Buffer): boolean {
  const key = new Reader(keyBlob);
  const type = key.text().toString("latin1");
  const reader = new Reader(signature);
  if (reader.text().toString("latin1") !== type) return false;
  const raw = reader.text();
  switch (type) {
    case "ssh-ed25519":
      reader.end();
      return verifyBytes(null, data, ed25519Key(key.text()), raw);
    case "ecdsa-sha2-nistp256":
      reader.end();
      return verifyP256(key, data, raw);
    case "sk-ssh-ed25519@openssh.com": {
      const point = key.text();
      return verifyBytes(null, authenticatorData(key.text(), reader, data), ed25519Key(point), raw);
    }
    case "sk-ecdsa-sha2-nistp256@openssh.com": {
      const curve = key.text();
      const point = key.text();
      const message = authenticatorData(key.text(), reader, data);
      return verifyP256(new Reader(Buffer.concat([text(curve), text(point)])), message, raw);
    }
    default:
      return false;
  }
}

/** What a FIDO key signs (PROTOCOL.u2f): hash of the application, flags, counter, hash of the message. */
function authenticatorData(application: Buffer, rest: Reader, data: Buffer): Buffer {
  const flags = rest.take(1);
  const counter = rest.take(4);
  rest.end();
  if (((flags[0] ?? 0) & USER_PRESENT) === 0) throw new Error("nobody touched the key");
  const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest();
  return Buffer.concat([sha256(application), flags, counter, sha256(data)]);
}

function ed25519Key(point: Buffer): KeyObject {
  return createPublicKey({ format: "jwk", key: { kty: "OKP", crv: "Ed25519", x: point.toString("base64url") } });
}

function verifyP256(key: Reader, data: Buffer, raw: Buffer): boolean {
  if (key.text().toString("latin1") !== "nistp256") return false;
  const point = key.text();
  if (point.length !== 65 || point[0] !== 4) return false;
  const x = point.subarray(1, 33).toString("base64url");
  const y = point.subarray(33).toString("base64url");
  const jwk = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x, y } });
  const numbers = new Reader(raw);
  const both = Buffer.concat([fixed32(numbers.text()), fixed32(numbers.text())]);
  return verifyBytes("sha256", data, { key: jwk, dsaEncoding: "ieee-p1363" }, both);
}

/** An SSH mpint as 32 bytes. */
function fixed32(mpint: Buffer): Buffer {
  const digits = mpint[0] === 0 ? mpint.subarray(1) : mpint;
  if (digits.length > 32) throw new Error("number too large for P-256");
  return Buffer.concat([Buffer.alloc(32 - digits.length), digits]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(bytes: Uint8Array): Buffer {
  return Buffer.concat([u32(bytes.length), bytes]);
}

class Reader {
  private at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  take(length: number): Buffer {
    if (this.at + length > this.bytes.length) throw new Error("truncated");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  u32(): number {
    return this.take(4).readUInt32BE(0);
  }

  text(): Buffer {
    return this.take(this.u32());
  }

  end(): void {
    if (this.at !== this.bytes.length) throw new Error("trailing bytes");
  }
}
