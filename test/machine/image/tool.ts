import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

interface ToolOptions {
  readonly cwd?: string;
  readonly input?: string | Buffer;
  /** Milliseconds. */
  readonly timeout?: number;
}

const FOLDERS = ["/usr/sbin", "/sbin", ...(process.env.PATH ?? "").split(":")];

/** Whether a program is on this machine, in `sbin` too. */
export function hasProgram(name: string): boolean {
  return FOLDERS.some((folder) => existsSync(`${folder}/${name}`));
}

/** Runs a program to its end and gives its output; throws with what it said when it fails. */
export function tool(program: string, args: readonly string[], options: ToolOptions = {}): Buffer {
  const done = spawnSync(program, args, {
    ...options,
    env: { ...process.env, PATH: FOLDERS.join(":"), LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: 1 << 30,
  });
  if (done.error !== undefined) throw new Error(`${program} could not be run: ${done.error.message}`);
  if (done.status === 0) return done.stdout;
  const said = `${done.stderr}`.trim().split("\n").slice(-15).join("\n");
  throw new Error(`${[program, ...args].join(" ").slice(0, 300)} ended with ${done.status ?? done.signal}:\n${said}`);
}

/** The same, as lines without the empty ones. */
export function toolLines(program: string, args: readonly string[], options: ToolOptions = {}): string[] {
  return tool(program, args, options).toString("utf8").split("\n").filter(Boolean);
}
