import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** Many stories, shared out over the processors: each child tells its own and ends with one JSON line. */

const summary = z.object({
  ok: z.boolean(),
  seeds: z.number(),
  accepted: z.number(),
  edges: z.number(),
  faults: z.record(z.string(), z.number()),
});
export type Summary = z.infer<typeof summary>;

export async function tellMany(seeds: number, from: number, say: (line: string) => void): Promise<Summary> {
  const jobs = Math.max(1, Math.min(cpus().length, Math.floor(seeds / 250)));
  const share = Math.ceil(seeds / jobs);
  const shares = Array.from({ length: jobs }, (_, index) => ({
    from: from + index * share,
    seeds: Math.min(share, seeds - index * share),
  })).filter((one) => one.seeds > 0);
  const all = await Promise.all(shares.map((one) => tellShare(one, say)));
  return all.reduce(together);
}

async function tellShare(one: { from: number; seeds: number }, say: (line: string) => void): Promise<Summary> {
  const args = ["--seeds", String(one.seeds), "--from", String(one.from), "--alone"];
  const child = spawn(process.execPath, [join(import.meta.dirname, "../run.mjs"), "./sim/main.ts", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.on("data", (bytes) => (out += bytes));
  await new Promise((resolve) => child.on("close", resolve));
  const lines = out.trimEnd().split("\n");
  const last = lines.pop() ?? "";
  for (const line of lines) say(line);
  return summary.parse(JSON.parse(last));
}

function together(one: Summary, other: Summary): Summary {
  const faults = { ...one.faults };
  for (const [name, count] of Object.entries(other.faults)) faults[name] = (faults[name] ?? 0) + count;
  return {
    ok: one.ok && other.ok,
    seeds: one.seeds + other.seeds,
    accepted: one.accepted + other.accepted,
    edges: one.edges + other.edges,
    faults,
  };
}
