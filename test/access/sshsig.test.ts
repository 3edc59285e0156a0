import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { publicKeyLine, signEd25519, unarmour, verifySignature } from "../../src/access/sshsig.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import { newKey } from "../trust.ts";

const folder = mkdtempSync(join(tmpdir(), "towpath-sshsig-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const MESSAGE = Buffer.from("the exact bytes");

function opensshSigned(type: readonly string[], name: string): { line: string; blob: Uint8Array } {
  const key = join(folder, name);
  execFileSync("ssh-keygen", ["-q", ...type, "-N", "", "-f", key]);
  const armoured = execFileSync("ssh-keygen", ["-Y", "sign", "-q", "-f", key, "-n", "towpath-command"], {
    input: MESSAGE,
  });
  return { line: readFileSync(`${key}.pub`, "utf8"), blob: unarmour(armoured.toString()) ?? new Uint8Array() };
}

describe("signatures of OpenSSH", () => {
  const ed25519 = opensshSigned(["-t", "ed25519"], "ed");
  const ecdsa = opensshSigned(["-t", "ecdsa", "-b", "256"], "ec");

  it.each([
    ["ed25519", ed25519],
    ["ecdsa-p256", ecdsa],
  ])("%s verifies, for its bytes and its namespace only", (_, { line, blob }) => {
    const fingerprint = fingerprintOf(keyBlob(line) ?? new Uint8Array());
    expect(verifySignature(MESSAGE, blob, "towpath-command")).toEqual({ namespace: "towpath-command", fingerprint });
    expect(verifySignature(MESSAGE, blob, "towpath-trust")).toBeNull();
    expect(verifySignature(Buffer.from("other bytes"), blob, "towpath-command")).toBeNull();
  });

  it("the fingerprint is the one that ssh-keygen prints", () => {
    const printed = execFileSync("ssh-keygen", ["-l", "-f", join(folder, "ed.pub")]).toString();
    expect(printed).toContain(fingerprintOf(keyBlob(ed25519.line) ?? new Uint8Array()));
  });

  it("any flipped bit of a signature is refused, and nothing throws", () => {
    for (const { blob } of [ed25519, ecdsa]) {
      for (let at = 0; at < blob.length * 8; at++) {
        const bent = Uint8Array.from(blob);
        bent[at >> 3] = (bent[at >> 3] ?? 0) ^ (1 << (at & 7));
        expect(verifySignature(MESSAGE, bent, "towpath-command")).toBeNull();
      }
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (bytes) => verifySignature(MESSAGE, bytes, "towpath-command") === null,
      ),
    );
  });

  it("an RSA key is no key of ours", () => {
    execFileSync("ssh-keygen", ["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", join(folder, "rsa")]);
    expect(keyBlob(readFileSync(join(folder, "rsa.pub"), "utf8"))).toBeNull();
    const armoured = execFileSync(
      "ssh-keygen",
      ["-Y", "sign", "-q", "-f", join(folder, "rsa"), "-n", "towpath-command"],
      { input: MESSAGE },
    );
    expect(verifySignature(MESSAGE, unarmour(armoured.toString()) ?? new Uint8Array(), "towpath-command")).toBeNull();
  });
});

describe("signatures of a hardware key", () => {
  const text = (bytes: Uint8Array | string): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.from(bytes).length);
    return Buffer.concat([length, Buffer.from(bytes)]);
  };
  const sha = (name: string, bytes: Uint8Array) => createHash(name).update(bytes).digest();

  /** What an authenticator makes of it (PROTOCOL.u2f): flags and counter are signed with the message. */
  function skSigned(flags: number): { line: string; blob: Uint8Array } {
    const type = "sk-ssh-ed25519@openssh.com";
    const key = newKey();
    const { x = "" } = createPublicKey(key).export({ format: "jwk" });
    const publicBlob = Buffer.concat([text(type), text(Buffer.from(x, "base64url")), text("ssh:")]);
    const data = Buffer.concat([
      Buffer.from("SSHSIG"),
      text("towpath-command"),
      text(""),
      text("sha512"),
      text(sha("sha512", MESSAGE)),
    ]);
    const flagsAndCounter = Buffer.from([flags, 0, 0, 0, 7]);
    const raw = sign(
      null,
      Buffer.concat([sha("sha256", Buffer.from("ssh:")), flagsAndCounter, sha("sha256", data)]),
      key,
    );
    const signature = Buffer.concat([text(type), text(raw), flagsAndCounter]);
    const head = [
      Buffer.from("SSHSIG"),
      Buffer.from([0, 0, 0, 1]),
      text(publicBlob),
      text("towpath-command"),
      text(""),
      text("sha512"),
    ];
    return { line: `${type} ${publicBlob.toString("base64")} token`, blob: Buffer.concat([...head, text(signature)]) };
  }

  it("verify when somebody touched it, and only then", () => {
    const touched = skSigned(1);
    const fingerprint = fingerprintOf(keyBlob(touched.line) ?? new Uint8Array());
    expect(verifySignature(MESSAGE, touched.blob, "towpath-command")?.fingerprint).toBe(fingerprint);
    expect(verifySignature(MESSAGE, skSigned(0).blob, "towpath-command")).toBeNull();
    expect(verifySignature(Buffer.from("other"), touched.blob, "towpath-command")).toBeNull();
  });
});

describe("signatures of a site", () => {
  it("are what OpenSSH verifies too", () => {
    const key = newKey();
    const blob = signEd25519(key, MESSAGE, "towpath-site");
    const lines = Buffer.from(blob).toString("base64").replace(/.{70}/g, "$&\n");
    writeFileSync(join(folder, "site.sig"), `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`);
    writeFileSync(join(folder, "allowed"), `site ${publicKeyLine(key, "site")}\n`);
    const said = execFileSync(
      "ssh-keygen",
      [
        "-Y",
        "verify",
        "-f",
        join(folder, "allowed"),
        "-I",
        "site",
        "-n",
        "towpath-site",
        "-s",
        join(folder, "site.sig"),
      ],
      { input: MESSAGE },
    ).toString();
    expect(said).toContain('Good "towpath-site" signature');
  });
});
