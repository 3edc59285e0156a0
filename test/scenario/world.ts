import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Certificates } from "../certificates.ts";

/** Real programs for scenarios: controllers, brokers, keys, the command line. All end with the test. */

const ROOT = join(import.meta.dirname, "../..");
export const TOWPATH = join(ROOT, "dist/src/towpath.mjs");

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "towpath-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Only what a scenario says reaches the command: no settings of whoever runs the tests. */
function cleanEnv(more: Record<string, string>): Record<string, string> {
  const kept = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("TOWPATH_") && !name.startsWith("SSH_")),
  );
  return { ...(kept as Record<string, string>), XDG_CONFIG_HOME: "/nonexistent", HOME: "/nonexistent", ...more };
}

export function run(
  program: string,
  args: readonly string[],
  options: { env?: Record<string, string>; input?: string; cwd?: string; limitMs?: number; signal?: AbortSignal } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: cleanEnv(options.env ?? {}),
      cwd: options.cwd,
      stdio: ["pipe", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (bytes: Buffer) => {
      out += bytes.toString("utf8");
    });
    child.stderr.on("data", (bytes: Buffer) => {
      err += bytes.toString("utf8");
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), options.limitMs ?? 90_000);
    options.signal?.addEventListener("abort", () => child.kill("SIGINT"));
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, out, err });
    });
    // A program that ended before it read anything is judged by its exit code.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
  });
}

export function towpath(args: readonly string[], options: Parameters<typeof run>[2] = {}): Promise<Ran> {
  return run("node", [TOWPATH, ...args], options);
}

export interface Running {
  readonly child: ChildProcess;
  log(): string;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
}

export function start(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Running {
  const child = spawn(program, args, {
    env: cleanEnv(options.env ?? {}),
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes: Buffer) => {
      log += bytes.toString("utf8");
    });
  }
  const ended = new Promise<number>((resolve) => child.on("close", (code) => resolve(code ?? -1)));
  return { child, log: () => log, ended };
}

export async function startController(
  config: string,
  args: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<Running> {
  const running = start("node", [TOWPATH, "controller", "--config", config, ...args], { env });
  onTestFinished(() => void running.child.kill("SIGKILL"));
  await until(
    () => /^ready$/m.test(running.log()) || running.child.exitCode !== null,
    20_000,
    () => running.log(),
  );
  if (running.child.exitCode !== null) throw new Error(`the controller ended: ${running.log()}`);
  return running;
}

export async function until(
  check: () => boolean | Promise<boolean>,
  ms = 10_000,
  tell: () => string = () => "",
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${check}\n${tell()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function makeKey(folder: string, name: string, type = "ed25519"): string {
  const file = join(folder, name);
  execFileSync("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", name, "-f", file]);
  return file;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

export interface TestBroker {
  readonly port: number;
  /** To stop, stall or kill it. */
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

/** A real mosquitto on loopback; with certificates it wants one from each client. */
export async function startMosquitto(
  folder: string,
  certificates: Certificates | null,
  wanted?: number,
): Promise<TestBroker> {
  const port = wanted ?? (await freePort());
  const file = join(folder, `mosquitto-${port}.conf`);
  const tls = certificates
    ? `cafile ${certificates.ca}\ncertfile ${certificates.server.cert}\nkeyfile ${certificates.server.key}\nrequire_certificate true\nuse_identity_as_username true\n`
    : "";
  writeFileSync(file, `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n${tls}`);
  const broker = start("mosquitto", ["-c", file], { env: { PATH: `${process.env.PATH}:/usr/sbin` } });
  onTestFinished(() => void broker.child.kill("SIGKILL"));
  await until(
    () => answers(port),
    10_000,
    () => broker.log(),
  );
  return {
    port,
    child: broker.child,
    async stop() {
      broker.child.kill("SIGTERM");
      await broker.ended;
    },
  };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** In front of a broker: hangs up on MQTT 5, as brokers do that only know 3.1.1. */
export async function refuseVersion5(brokerPort: number): Promise<{ port: number; refused: () => number }> {
  let refused = 0;
  const server: Server = createServer((socket) => {
    let held = Buffer.alloc(0);
    const judge = (bytes: Buffer): void => {
      held = Buffer.concat([held, bytes]);
      // Fixed header, length, "MQTT", then the level; it may come in pieces.
      const at = held.indexOf("MQTT") + 4;
      if (at < 4 || held.length <= at) return;
      socket.off("data", judge);
      if (held[at] === 5) {
        refused++;
        return void socket.destroy();
      }
      const upstream = connect(brokerPort, "127.0.0.1");
      upstream.write(held);
      socket.pipe(upstream).pipe(socket);
      for (const side of [socket, upstream]) side.on("error", () => [socket, upstream].map((one) => one.destroy()));
    };
    socket.on("data", judge);
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0, refused: () => refused };
}

export interface TestSite {
  readonly folder: string;
  readonly config: string;
  readonly data: string;
  readonly identity: string;
  readonly trust: string;
  /** Edges of the simulated board, in order. */
  edges(): { t: number; relay: number; energised: boolean }[];
  journal(): Promise<{ consoles: Record<string, { bytes: number; gaps: number }>; ledger: { owed: unknown[] } }>;
}

/** A site on the simulated board with a trust in which `alice` is an operator and `vera` a viewer. */
export async function makeSite(
  folder: string,
  more: { yaml?: string; outlets?: string; link?: string } = {},
): Promise<TestSite> {
  mkdirSync(folder, { recursive: true });
  const root = makeKey(folder, "root");
  const identity = makeKey(folder, "alice");
  makeKey(folder, "vera");
  const trust = join(folder, "trust.json");
  const said = async (args: string[]) => {
    const { code, err } = await towpath(["trust", ...args]);
    if (code !== 0) throw new Error(`towpath trust ${args.join(" ")}: ${err}`);
  };
  await said(["init", "--fleet", "acme", "--root", `${root}.pub`, "--out", trust]);
  await said(["add", "alice", "--key", `${identity}.pub`, "--role", "operator", "--trust", trust]);
  await said(["add", "vera", "--key", join(folder, "vera.pub"), "--role", "viewer", "--trust", trust]);
  await said(["sign", "--trust", trust, "--identity", root]);
  const config = join(folder, "site.yaml");
  writeFileSync(config, siteYaml(more));
  const data = join(folder, "data");
  return {
    folder,
    config,
    data,
    identity,
    trust,
    edges() {
      const file = join(data, "sim-board.jsonl");
      return existsSync(file)
        ? readFileSync(file, "utf8")
            .trim()
            .split("\n")
            .filter(Boolean)
            .map((line) => JSON.parse(line))
        : [];
    },
    journal: async () => JSON.parse((await towpath(["journal", "stat", data, "--json"])).out),
  };
}

export interface BrokeredSite extends TestSite {
  readonly port: number;
  readonly controller: Running;
  /** How the command reaches it as alice, without `--sites`. */
  readonly flags: readonly string[];
}

/** A running site that is connected to a mosquitto of its own. */
export async function startBrokeredSite(): Promise<BrokeredSite> {
  const folder = temporaryFolder();
  const { port } = await startMosquitto(folder, null);
  const url = `mqtt://127.0.0.1:${port}`;
  const site = await makeSite(folder, { link: `link: { brokers: [ "${url}" ] }` });
  const controller = await startController(site.config);
  await until(() => /"connection":"primary","state":"up"/.test(controller.log()));
  const flags = ["--broker", url, "--fleet", "acme", "--identity", site.identity, "--trust", site.trust];
  return { ...site, port, controller, flags };
}

function siteYaml(more: { yaml?: string; outlets?: string; link?: string }): string {
  const outlets =
    more.outlets ??
    `  a1: { relay: 1, contact: nc, offTime: 2s, observe: { input: s1, within: 2s } }
  a2: { relay: 2, contact: nc, offTime: 1s, minOff: 500ms, observe: { input: s2, within: 2s } }
  a3: { relay: 3, contact: no, minOn: 0s, minOff: 0s }`;
  return `site: one
fleet: acme
data: data
board: sim
trust: trust.json
journal: { capture: 8MB, ledger: 2MB }
controller: { poweredBy: none }
${more.link ?? ""}
outlets:
${outlets}
devices:
  router1: { outlets: [a1, a2], consoles: [${more.yaml?.includes("consoles:") ? "router1" : ""}] }
  nas1: { outlets: [a3] }
${more.yaml ?? ""}
`;
}
