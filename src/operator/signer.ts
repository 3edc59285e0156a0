import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { readOpensshKey } from "../access/openssh-key.ts";
import { publicKeyLine, signEd25519, unarmour } from "../access/sshsig.ts";
import { fingerprintOf, keyBlob } from "../protocol/trust-document.ts";
import { SigningError } from "./errors.ts";

/** Who signs for a person: OpenSSH, so that keys stay in files, agents and hardware. */
export interface Signer {
  /** Of the public key. */
  readonly fingerprint: string;
  /** Raw SSHSIG blob. */
  sign(message: Uint8Array, namespace: string): Promise<Uint8Array>;
}

/** @param identity a private key file, or a public key whose private half an agent or a token holds. */
export function opensshSigner(identity: string): Signer {
  const line = publicLine(identity);
  const blob = line === null ? null : keyBlob(line);
  if (blob === null) {
    throw new SigningError(
      `${identity}: no public key of a supported kind (ed25519, ecdsa-p256, or their sk- forms) beside it`,
    );
  }
  return {
    fingerprint: fingerprintOf(blob),
    async sign(message, namespace) {
      const { code, stdout, stderr } = await run(
        "ssh-keygen",
        ["-Y", "sign", "-q", "-f", identity, "-n", namespace],
        message,
      );
      const signature = code === 0 ? unarmour(stdout) : null;
      if (signature === null)
        throw new SigningError(`ssh-keygen could not sign with ${identity}: ${stderr.trim() || `exit ${code}`}`);
      return signature;
    },
  };
}

/** For a service that signs often: in this process where the key's file allows it, else as a person's. */
export function serviceSigner(identity: string): Signer {
  const asked = opensshSigner(identity);
  const key = existsSync(identity) ? readOpensshKey(readFileSync(identity, "utf8")) : null;
  const blob = key && keyBlob(publicKeyLine(key, ""));
  if (key === null || blob === null || fingerprintOf(blob) !== asked.fingerprint) return asked;
  return { fingerprint: asked.fingerprint, sign: async (message, namespace) => signEd25519(key, message, namespace) };
}

function publicLine(identity: string): string | null {
  for (const file of identity.endsWith(".pub") ? [identity] : [`${identity}.pub`]) {
    if (existsSync(file)) return readFileSync(file, "utf8");
  }
  try {
    // Without the public half beside it, OpenSSH can tell it (and may ask for the passphrase).
    return execFileSync("ssh-keygen", ["-y", "-f", identity], {
      encoding: "utf8",
      stdio: ["inherit", "pipe", "ignore"],
    });
  } catch {
    return null;
  }
}

/** Public keys that could sign here: those in `~/.ssh`, then those of the agent. */
export async function knownIdentities(): Promise<string[]> {
  const folder = join(homedir(), ".ssh");
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => /^id_.*\.pub$/.test(name)) : [];
  const found = files.map((name) => join(folder, name)).filter((file) => keyBlob(readFileSync(file, "utf8")) !== null);
  return [...found, ...(await agentIdentities())];
}

/** ssh-keygen wants a file for an agent's key: the public half, in a folder that goes with this process. */
async function agentIdentities(): Promise<string[]> {
  if (process.env.SSH_AUTH_SOCK === undefined) return [];
  const { code, stdout } = await run("ssh-add", ["-L"], new Uint8Array());
  if (code !== 0) return [];
  const folder = mkdtempSync(join(tmpdir(), "towpath-keys-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return stdout
    .split("\n")
    .filter((line) => keyBlob(line) !== null)
    .map((line, index) => {
      const file = join(folder, `agent-${index}.pub`);
      writeFileSync(file, `${line}\n`);
      return file;
    });
}

function run(
  program: string,
  args: readonly string[],
  input: Uint8Array,
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (bytes: Buffer) => {
      stdout += bytes.toString("latin1");
    });
    child.stderr.on("data", (bytes: Buffer) => {
      stderr += bytes.toString("utf8");
    });
    child.on("error", () => reject(new SigningError(`${program} is not installed; install openssh-client`)));
    child.on("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
    // A key that wants a touch or a passphrase may end before it reads: its exit code tells, not this pipe.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}
