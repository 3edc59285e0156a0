import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { readOpensshKey } from "../../src/access/openssh-key.ts";
import { publicKeyLine } from "../../src/access/sshsig.ts";
import { seeded } from "../sim/random.ts";

function made(type: string, passphrase: string): { secret: string; open: string } {
  const folder = mkdtempSync(join(tmpdir(), "towpath-key-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "key");
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", passphrase, "-C", "vault", "-f", file]);
  return { secret: readFileSync(file, "utf8"), open: readFileSync(`${file}.pub`, "utf8").trim() };
}

it("a key that ssh-keygen made is the same key here", () => {
  const { secret, open } = made("ed25519", "");
  const key = readOpensshKey(secret);
  expect(key && publicKeyLine(key, "vault")).toBe(open);
});

it("a key with a passphrase, or of another kind, is left to ssh-keygen", () => {
  expect(readOpensshKey(made("ed25519", "secret").secret)).toBeNull();
  expect(readOpensshKey(made("ecdsa", "").secret)).toBeNull();
  expect(readOpensshKey("ssh-ed25519 AAAA")).toBeNull();
});

it("a file that was spoilt is no key, and never an error", () => {
  const random = seeded(1);
  const { secret } = made("ed25519", "");
  const [first = "", ...rest] = secret.trim().split("\n");
  const last = rest.pop() ?? "";
  for (let round = 0; round < 2_000; round++) {
    const bytes = Buffer.from(rest.join(""), "base64");
    for (let flips = random.between(1, 4); flips > 0; flips--)
      bytes[random.between(0, bytes.length)] = random.between(0, 256);
    const cut = bytes.subarray(0, random.chance(0.3) ? random.between(0, bytes.length) : bytes.length);
    expect(() => readOpensshKey([first, cut.toString("base64"), last].join("\n"))).not.toThrow();
  }
});
