import { createHash } from "node:crypto";
import { z } from "zod";
import { type TrustDocument, VERBS } from "../core/trust.ts";
import { parseJson } from "./envelope.ts";
import { NAME } from "./topics.ts";

/** The body of `trust.json` and `sites.json`. Keys are OpenSSH public key lines: `ssh-ed25519 AAAA… comment`. */

const KEY_TYPES = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
] as const;

/** The blob of a public key line, or null when it is none of the supported kinds. */
export function keyBlob(line: string): Uint8Array | null {
  const [type, base64] = line.trim().split(/\s+/);
  if (type === undefined || base64 === undefined || !/^[A-Za-z0-9+/]+=*$/.test(base64)) return null;
  const blob = Buffer.from(base64, "base64");
  const supported: readonly string[] = KEY_TYPES;
  if (!supported.includes(type) || blob.length < 4) return null;
  const inner = blob.subarray(4, 4 + blob.readUInt32BE(0)).toString("latin1");
  return inner === type ? blob : null;
}

/** As `ssh-keygen -l` prints it: `SHA256:` and unpadded base64. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

const keyLine = z
  .string()
  .max(2000)
  .refine((line) => keyBlob(line) !== null, { message: `not a public key of the kinds ${KEY_TYPES.join(", ")}` });
const name = z.string().regex(NAME);
const target = z
  .string()
  .regex(/^[a-z0-9*-]{1,63}\/[a-z0-9*:-]{1,63}$/, { message: "a target is site/device, with * inside a segment" });

const roleSchema = z.strictObject({ verbs: z.array(z.enum(VERBS)), targets: z.array(target) });

export const trustBodySchema = z.strictObject({
  v: z.literal(1),
  fleet: name,
  epoch: z.int().min(0),
  roots: z
    .strictObject({ threshold: z.int().min(1), keys: z.array(keyLine).min(1) })
    .refine((roots) => roots.threshold <= roots.keys.length, {
      message: "threshold is higher than the number of root keys",
    }),
  operators: z.array(z.strictObject({ name, keys: z.array(keyLine).min(1), roles: z.array(name) })).max(5_000),
  roles: z.record(name, roleSchema).default({}),
  revoked: z.array(z.string().max(200)).default([]),
});
export type TrustBody = z.infer<typeof trustBodySchema>;

export const sitesBodySchema = z.record(name, z.strictObject({ key: keyLine, hostKey: keyLine.optional() }));
export type SitesBody = z.infer<typeof sitesBodySchema>;

/** Null when the bytes are not a trust document. */
export function readTrustBody(body: Uint8Array): TrustBody | null {
  const parsed = trustBodySchema.safeParse(parseJson(body));
  return parsed.success ? parsed.data : null;
}

/** The document as the decisions see it. */
export function toTrustDocument(trust: TrustBody, body: Uint8Array): TrustDocument {
  const prints = (lines: readonly string[]) => lines.map((line) => fingerprintOf(keyBlob(line) ?? new Uint8Array()));
  return {
    fleet: trust.fleet,
    epoch: trust.epoch,
    roots: { threshold: trust.roots.threshold, keys: prints(trust.roots.keys) },
    operators: trust.operators.map(({ name, keys, roles }) => ({
      ...{ name, keys: prints(keys), roles },
      // Without the comment, in which anything may stand.
      lines: keys.map((line) => line.trim().split(/\s+/, 2).join(" ")),
    })),
    roles: trust.roles,
    revoked: trust.revoked,
    sha256: createHash("sha256").update(body).digest("hex"),
  };
}
