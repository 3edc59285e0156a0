import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import type { KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readOpensshKey } from "../../src/access/openssh-key.ts";
import { type Client, openClient, type SiteReply, sleep } from "../../src/operator/client.ts";
import { newId, operate, select } from "../../src/operator/switching.ts";
import { inProcessSigner, newKey, trustText } from "../trust.ts";
import type { Guest, Outcome } from "./guest.ts";

/** A site as an installer leaves it on a machine: the package, its config and trust, a broker outside, an operator. */

const ROOT = join(import.meta.dirname, "../..");
export const SOCKET = "/var/lib/towpath/towpath.sock";
export const FIRST = "/var/tmp/towpath_first.deb";
export const NEXT = "/var/tmp/towpath_next.deb";
export const NEXT_VERSION = "99.0.0";

export interface LaidSite {
  /** Guest path to a file here. */
  readonly files: Readonly<Record<string, string>>;
  /** Connects the guest's uplink to the broker, and the operator to the same one. */
  join(guest: Guest): Promise<void>;
  operator(): Operator;
  /** The command on this machine, as the operator types it; through the broker. `out` is both outputs. */
  towpath(args: readonly string[]): Promise<Outcome>;
  end(): Promise<void>;
}

export interface Operator {
  /** The last reply: the result, a refusal, or null when nobody answered. */
  power(verb: "on" | "off" | "cycle", target: string, onPhase?: (reply: SiteReply) => void): Promise<SiteReply | null>;
  status(): Promise<Readonly<Record<string, unknown>>>;
}

const siteYaml = (board: string): string => `site: one
fleet: acme
data: /var/lib/towpath
board: ${board}
trust: /etc/towpath/trust.json
journal: { capture: 8MB, ledger: 2MB }
controller: { poweredBy: none }
link: { brokers: [ "mqtt://192.168.50.100:1883" ] }
outlets:
  a1: { relay: 1, contact: nc, offTime: 2s, minOff: 0s, minOn: 0s, rate: 100000/h }
  a2: { relay: 2, contact: nc, offTime: 2s, minOff: 0s, minOn: 0s, rate: 100000/h }
  a3: { relay: 3, contact: nc, minOff: 0s, minOn: 0s, rate: 100000/h, observe: { input: s1, within: 5s } }
  a4: { relay: 4, contact: nc, minOff: 0s, minOn: 0s, rate: 100000/h }
devices:
  router1: { outlets: [a1], consoles: [router1] }
  switch1: { outlets: [a2], consoles: [switch1] }
  modem1: { outlets: [a3] }
  server1: { outlets: [a4] }
consoles:
  router1: { port: { usb: "0403:6001", serial: CONSOLE1 }, baudRate: 115200 }
  switch1: { port: { usb: "0403:6001", serial: CONSOLE2 }, baudRate: 19200, framing: 7o2 }
  switch7: { port: { usb: "10c4:ea60", serial: SILABS7 }, baudRate: 115200 }
`;

/** The broker is plain here: TLS is proven where it costs no emulated minutes. */
const LAB = `[Service]
ExecStart=
ExecStart=/usr/bin/node /usr/lib/towpath/src/towpath.mjs controller --config /etc/towpath/site.yaml --insecure-lab
`;

/** qemu's model of the Pi's watchdog resets the machine at the moment it is armed, instead of when it runs out. */
const NO_HARDWARE_WATCHDOG = `[Manager]
RuntimeWatchdogSec=off
RebootWatchdogSec=off
`;

export async function layOutSite(arch: "amd64" | "arm64", board: string): Promise<LaidSite> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-site-"));
  const identity = join(folder, "alice");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", identity]);
  const alice = readOpensshKey(readFileSync(identity, "utf8"));
  if (alice === null) throw new Error(`${identity} is no key that can sign in this process`);
  const operators = { alice: { key: alice, role: "operator" } };
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o644 });
    return join(folder, name);
  };
  const files = {
    [FIRST]: pack(arch, folder, []),
    [NEXT]: pack(arch, folder, ["--version", NEXT_VERSION]),
    "/etc/towpath/site.yaml": file("site.yaml", siteYaml(board)),
    "/etc/towpath/trust.json": file("trust.json", trustText({ fleet: "acme", epoch: 1, root: newKey(), operators })),
    "/etc/systemd/system/towpath.service.d/lab.conf": file("lab.conf", LAB),
    ...(arch === "arm64" ? { "/etc/systemd/system.conf.d/99-qemu.conf": file("qemu.conf", NO_HARDWARE_WATCHDOG) } : {}),
  };
  const broker = await startMosquitto(folder);
  return {
    files,
    async join(guest) {
      guest.uplinks.primary.reach(broker.port);
    },
    operator: () => operatorOf(broker.port, alice),
    towpath: (args) =>
      typed([
        ...args,
        "--broker",
        `mqtt://127.0.0.1:${broker.port}`,
        "--fleet",
        "acme",
        "--as",
        "alice",
        "--identity",
        identity,
      ]),
    async end() {
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function pack(arch: string, out: string, more: readonly string[]): string {
  const args = [join(ROOT, ".ci/package.mjs"), "--arch", arch, "--out", out, "--json", ...more];
  const lines = execFileSync("node", args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] }).toString();
  const made: { path: string } = JSON.parse(lines.trim().split("\n").at(-1) ?? "");
  return made.path;
}

async function startMosquitto(folder: string): Promise<{ port: number; stop(): Promise<void> }> {
  const port = await freePort();
  writeFileSync(join(folder, "mosquitto.conf"), `listener ${port} 127.0.0.1\nallow_anonymous true\n`);
  const path = `${process.env.PATH ?? ""}:/usr/sbin`;
  const child: ChildProcess = spawn("mosquitto", ["-c", join(folder, "mosquitto.conf")], {
    stdio: "ignore",
    env: { ...process.env, PATH: path },
  });
  process.once("exit", () => child.kill("SIGKILL"));
  return {
    port,
    async stop() {
      const closed = new Promise((resolve) => child.once("close", resolve));
      child.kill("SIGTERM");
      await closed;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

function operatorOf(port: number, key: KeyObject): Operator {
  const who = { by: "alice", signer: inProcessSigner(key) };
  const settings = {
    ...{ brokers: [`mqtt://127.0.0.1:${port}`], local: null, fleet: "acme", site: "one", identity: null, as: null },
    ...{ trust: null, sites: null, tls: {}, source: "machine" },
  };
  /** qemu's network now and then swallows a connection while this machine is busy: the site tries again after 20 s. */
  const answering = async (client: Client): Promise<SiteReply> => {
    for (let tries = 0; tries < 24; tries++) {
      const reply = await client.send({ kind: "status" }, { who, timeoutMs: 5_000 });
      if (reply !== null) return reply;
    }
    throw new Error("the site did not answer through the broker for two minutes");
  };
  const open = (): Promise<Client> => openClient(settings, "one", { keyOf: () => null, doubt: null }, 1);
  return {
    async power(verb, target, onPhase = () => undefined) {
      const client = await open();
      try {
        const order = { verb, target, args: {} };
        await answering(client);
        const selected = await select(client, who, null, order);
        if (!selected.ok) return selected.reply;
        let last: SiteReply | null = null;
        const onReply = (reply: SiteReply): void => {
          last = reply;
          onPhase(reply);
        };
        const signal = AbortSignal.timeout(60_000);
        await operate(client, who, order, selected.selected, { id: newId(), onSent: () => undefined, onReply, signal });
        return last;
      } finally {
        await client.stop();
      }
    },
    async status() {
      const client = await open();
      try {
        const reply = await answering(client);
        return (reply.state ?? {}) as Record<string, unknown>;
      } finally {
        await client.stop();
      }
    },
  };
}

function typed(args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn("node", [join(ROOT, "src/towpath.mjs"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => {
        out += bytes.toString("utf8");
      });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, out }));
  });
}

/** Until the controller that runs now answers on its socket; gives its process id. */
export async function ready(guest: Guest, not = ""): Promise<string> {
  const asked = `pid=$(systemctl show -p MainPID --value towpath); test "$pid" != 0 && test "$pid" != "${not}" && systemctl is-active -q towpath && test -S ${SOCKET} && echo $pid`;
  return guest.eventually(asked, { timeoutMs: 120_000 });
}

/** What the journal of this machine says of the controller's last starts, as its own log lines. */
export async function logLines(guest: Guest, code: string): Promise<Record<string, unknown>[]> {
  const out = await guest.expect(`journalctl -u towpath -o cat --no-pager | grep -F '"code":"${code}"' || true`);
  return out
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

export { sleep };
