import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRecord, parseJson } from "../../src/protocol/envelope.ts";

/** The programs that the helper runs: by argument list, each within some seconds. */

export function run(program: string, args: readonly string[], input = ""): string {
  try {
    return execFileSync(program, args, {
      input,
      encoding: "utf8",
      timeout: 10_000,
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
  } catch (error) {
    const { stderr, code } = error as { stderr?: string; code?: string };
    if (code === "ENOENT") throw new Error(`${program} is not there; apt-get install iproute2 nftables`);
    throw new Error(`${program} ${args.join(" ")}: ${(stderr || String(error)).trim().split("\n")[0]}`);
  }
}

export function ipJson(args: readonly string[]): Readonly<Record<string, unknown>>[] {
  const value = parseJson(Buffer.from(run("ip", ["-j", ...args]) || "[]"));
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

/** False where the kernel has no such setting: an interface that is not there has none. */
export function setSysctl(path: string, value: string): boolean {
  const file = `/proc/sys/net/${path}`;
  if (!existsSync(file) || readFileSync(file, "utf8").trim() === value) return false;
  writeFileSync(file, value);
  return true;
}

/** What the helper remembers from one run to the next; its own folder, which nobody else writes. */
export interface Memory {
  get(name: string): string | null;
  set(name: string, text: string): void;
}

export function openMemory(folder: string): Memory {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return {
    get(name) {
      const file = join(folder, name);
      return existsSync(file) ? readFileSync(file, "utf8") : null;
    },
    set: (name, text) => writeFileSync(join(folder, name), text, { mode: 0o600 }),
  };
}
