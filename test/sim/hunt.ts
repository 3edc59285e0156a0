import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { MUTANTS, type Mutant } from "./mutants.ts";

/** Lets the stories loose on each wrong core, in a copy of the tree and a process of its own. */

const ROOT = join(import.meta.dirname, "../..");

export interface Hunted {
  readonly name: string;
  /** The first seed that told; null when none did. */
  readonly seed: number | null;
  readonly problem: string;
}

export async function hunt(seeds: number, only: string, tell: (hunted: Hunted) => void): Promise<Hunted[]> {
  const waiting = MUTANTS.filter(({ name }) => name.includes(only));
  const found: Hunted[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const hunted = await huntOne(next, seeds);
      found.push(hunted);
      tell(hunted);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, cpus().length) }, work));
  return found;
}

async function huntOne(mutant: Mutant, seeds: number): Promise<Hunted> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-mutant-"));
  try {
    layOut(folder, mutant);
    const out = await run(folder, ["./sim/main.ts", "--seeds", String(seeds), "--first"]);
    const told = /^seed (\d+):\n {2}(.*)$/m.exec(out);
    if (told === null && !/^\{"ok":true/m.test(out)) throw new Error(`${mutant.name}: ${out.slice(-2_000)}`);
    return { name: mutant.name, seed: told === null ? null : Number(told[1]), problem: told?.[2] ?? "" };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The text of the file with what the mutant changes; throws when that does not stand there once. */
export function mutated({ name, file, find, replace }: Mutant): string {
  const before = readFileSync(join(ROOT, "src/core", file), "utf8");
  if (before.split(find).length !== 2) throw new Error(`${name}: what it changes does not stand once in ${file}`);
  return before.replace(find, () => replace);
}

function layOut(folder: string, mutant: Mutant): void {
  for (const part of ["src", "package.json", "tsconfig.json", "test/sim", "test/run.mjs", "test/trust.ts"])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "src/core", mutant.file), mutated(mutant));
}

function run(folder: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["test/run.mjs", ...args], {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (out += bytes));
    child.on("error", reject);
    child.on("close", () => resolve(out));
  });
}
