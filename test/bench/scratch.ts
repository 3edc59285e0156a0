import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sleep } from "../../src/operator/client.ts";
import { readUnit } from "../firmware/unit-file.ts";

/** A folder and the programs that run in it; both end with the bench, also when it is interrupted. */

export const ROOT = join(import.meta.dirname, "../..");
export const TOWPATH = join(ROOT, "dist/src/towpath.mjs");
const END_MS = 3_000;

export interface Program {
  readonly child: ChildProcess;
  /** Each program leads a process group, so that its children are counted and ended with it. */
  readonly group: number;
  log(): string;
}

export interface Scratch {
  readonly folder: string;
  start(program: string, args: readonly string[]): Program;
  /** One of our own TypeScript programs, with a channel to talk to it. */
  fork(file: string): ChildProcess;
}

const open = new Set<() => void>();

/** Ends at once what still runs. */
export function abandonAll(): void {
  for (const abandon of open) abandon();
}

export async function withScratch<T>(work: (scratch: Scratch) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-bench-"));
  const programs: Program[] = [];
  const forks: ChildProcess[] = [];
  const abandon = (): void => {
    for (const { group } of programs) signalGroup(group, "SIGKILL");
    for (const child of forks) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  open.add(abandon);
  try {
    return await work({
      folder,
      start(program, args) {
        const made = startProgram(program, args, folder);
        programs.push(made);
        return made;
      },
      fork(file) {
        const made = fork(join(ROOT, "test/run.mjs"), [file], { cwd: ROOT });
        forks.push(made);
        return made;
      },
    });
  } finally {
    await Promise.all(programs.map(end));
    abandon();
    open.delete(abandon);
  }
}

function startProgram(program: string, args: readonly string[], cwd: string): Program {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TOWPATH_")));
  const child = spawn(program, args, { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes: Buffer) => {
      log += bytes.toString("utf8");
    });
  }
  child.on("error", (error) => {
    log += String(error);
  });
  return { child, group: child.pid ?? 0, log: () => log };
}

export async function end({ child, group }: Program): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = new Promise((resolve) => child.once("exit", resolve));
  signalGroup(group, "SIGTERM");
  await Promise.race([closed, sleep(END_MS)]);
  signalGroup(group, "SIGKILL");
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  if (group === 0) return;
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended already.
  }
}

/** As the service is started: what a site's unit says of memory counts here too. */
const SERVICE_ENVIRONMENT = (readUnit("systemd/system/towpath.service").get("Service.Environment") ?? []).flatMap(
  (words) => words.split(/\s+/),
);

/** The controller as a site runs it; resolves when it says that it is ready. */
export async function startController(
  scratch: Scratch,
  config: string,
  before: readonly string[] = [],
): Promise<Program> {
  const service = ["env", ...SERVICE_ENVIRONMENT, "node", TOWPATH, "controller", "--config", config, "--quiet"];
  const [first = "env", ...rest] = [...before, ...service];
  const program = scratch.start(first, rest);
  await until("a ready controller", () => /^ready$/m.test(program.log()), program, 2);
  return program;
}

/** Polls; fails when it takes too long or the program ends before. */
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  program: Program | null,
  everyMs = 20,
  limitMs = 20_000,
): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (!(await check())) {
    const ended = program !== null && (program.child.exitCode !== null || program.child.pid === undefined);
    if (ended || Date.now() > deadline) throw new Error(`waited in vain for ${what}: ${program?.log() ?? ""}`);
    await sleep(everyMs);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Where a program is; daemons are often in folders that are in root's PATH only. */
export function installed(name: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, name)).find((file) => existsSync(file)) ?? null;
}

/** What a console's journal holds, by the command that an operator would use. */
export function journalStat(data: string): Record<string, { bytes: number; gaps: number }> {
  const text = execFileSync("node", [TOWPATH, "journal", "stat", data, "--json"], { encoding: "utf8" });
  return (JSON.parse(text) as { consoles: Record<string, { bytes: number; gaps: number }> }).consoles;
}

/** A broker on loopback for whoever comes; its URL. */
export async function startBroker(scratch: Scratch, mosquitto: string): Promise<string> {
  const port = await freePort();
  const file = join(scratch.folder, "mosquitto.conf");
  const user = process.getuid?.() === 0 ? "user root\n" : "";
  writeFileSync(file, `${user}listener ${port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n`);
  const broker = scratch.start(mosquitto, ["-c", file]);
  await until("the broker", () => /running/.test(broker.log()), broker);
  return `mqtt://127.0.0.1:${port}`;
}
