import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { Opened, Service } from "../link/streams.ts";

/**
 * Logins: OpenSSH's own server for one stream, as the controller's user, with a configuration that is made for it. Who
 * may log in is who opened the stream; all that he can have is a console, and forwards where his role and the config
 * allow them.
 */

export interface SshdOptions {
  readonly data: string;
  /** `host:port` that forwards may reach. */
  readonly forwards: readonly string[];
  /** The program behind each login; it finds a ticket in TOWPATH_TICKET and the wished console in SSH_ORIGINAL_COMMAND. */
  readonly command: readonly string[];
  /** What sshd said of a login: who, with which key. */
  readonly told: (line: string) => void;
}

/** What whoever logs in has to know: the Unix user that it is, and the host's public key. */
export interface Login {
  readonly user: string;
  readonly hostKey: string;
}

const PLACES = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"];

/** Makes the host key at the first start. Null where this machine has no OpenSSH server. */
export function prepareSshd(data: string): Login | null {
  if (!PLACES.some((place) => existsSync(place))) return null;
  const file = hostKeyFile(data);
  try {
    if (!existsSync(file)) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "towpath", "-f", file]);
    const [type, key] = readFileSync(`${file}.pub`, "utf8").split(" ");
    return { user: userInfo().username, hostKey: `${type} ${key?.trim()}` };
  } catch {
    // Without ssh-keygen there are no logins; the rest of the site does not depend on them.
    return null;
  }
}

export function createSshd(options: SshdOptions): Service {
  const sshd = PLACES.find((place) => existsSync(place));
  // What a controller that was killed has left of its logins.
  const folder = join(options.data, "logins");
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // The card is read-only: there are no logins, and the rest of the site does not depend on them.
  }
  return (stream, open) => {
    if (sshd === undefined || !existsSync(hostKeyFile(options.data)))
      return { ok: false, code: "stream.unsupported", detail: "the machine has no sshd: apt install openssh-server" };
    if (open.keys.length === 0) return { ok: false, code: "signature.unknown-key", detail: "no key that may log in" };
    const ticket = randomBytes(16).toString("hex");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const own = mkdtempSync(join(folder, "login-"));
    writeFileSync(join(own, "keys"), `${open.keys.join("\n")}\n`, { mode: 0o600 });
    writeFileSync(join(own, "config"), configOf(options, own, open, ticket), { mode: 0o600 });
    // As root it insists on a place for its unprivileged part.
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const child = spawn(sshd, ["-i", "-e", "-f", join(own, "config")], { stdio: ["pipe", "pipe", "pipe"] });
    bridge(stream, child, options.told);
    child.once("close", () => rmSync(own, { recursive: true, force: true }));
    return { ok: true, ticket };
  };
}

function hostKeyFile(data: string): string {
  return join(data, "ssh_host_ed25519_key");
}

function configOf({ data, forwards, command }: SshdOptions, own: string, open: Opened, ticket: string): string {
  const forward = open.rights.includes("forward") && forwards.length > 0;
  return [
    `HostKey ${quoted(hostKeyFile(data))}`,
    `AuthorizedKeysFile ${quoted(join(own, "keys"))}`,
    // The folder is ours alone; the owner of what is above it is not sshd's business.
    "StrictModes no",
    "PidFile none",
    "UsePAM no",
    "PermitRootLogin prohibit-password",
    "AuthenticationMethods publickey",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "LoginGraceTime 120",
    "DisableForwarding no",
    "AllowAgentForwarding no",
    "AllowStreamLocalForwarding no",
    "X11Forwarding no",
    "PermitTunnel no",
    "PermitUserRC no",
    "PermitUserEnvironment no",
    `AllowTcpForwarding ${forward ? "local" : "no"}`,
    `PermitOpen ${forward ? forwards.join(" ") : "none"}`,
    "PermitListen none",
    // The ticket is good for one session.
    "MaxSessions 1",
    "PrintMotd no",
    "PrintLastLog no",
    "LogLevel INFO",
    `SetEnv TOWPATH_TICKET=${ticket}`,
    `ForceCommand exec ${command.map(shellWord).join(" ")} "$SSH_ORIGINAL_COMMAND"`,
    "",
  ].join("\n");
}

function quoted(path: string): string {
  return `"${path.replaceAll('"', '\\"')}"`;
}

/** sshd runs its command by the user's shell: each word is one word there, whatever is in it. */
function shellWord(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

function bridge(stream: Duplex, child: ChildProcess, told: (line: string) => void): void {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null) return void stream.destroy();
  stream.pipe(stdin);
  stdout.pipe(stream);
  // Whichever end goes first: the other hears of it by its own close.
  for (const pipe of [stdin, stdout, stderr]) pipe.on("error", () => undefined);
  stderr.on("data", (bytes: Buffer) => {
    for (const line of bytes.toString("latin1").split("\n")) if (line.trim() !== "") told(line.trim());
  });
  child.once("error", (error) => stream.destroy(error));
  child.once("exit", () => stream.end());
  stream.once("close", () => child.kill("SIGTERM"));
}
