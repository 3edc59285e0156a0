import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Spread, spreadOf } from "./report.ts";
import { freePort, installed, type Scratch, TOWPATH, until } from "./scratch.ts";

/** A power command as a person or a script gives it: a program from its start to its end. */

const RUNS = 40;
const WARM_RUNS = 3;
export const COMMAND_GOAL_MS = 100;

export interface Commands {
  readonly node: Spread;
  readonly broker: Spread;
  readonly local: Spread;
  /** Null where it is not installed. */
  readonly powerman: Spread | null;
}

export async function timeCommands(scratch: Scratch, broker: string, identity: string): Promise<Commands> {
  const words = [TOWPATH, "power", "on", "one/router1", "--yes", "--as", "alice", "--identity", identity];
  return {
    node: await spawned(["node", "-e", "0"]),
    broker: await spawned(["node", ...words, "--fleet", "acme", "--broker", broker]),
    local: await spawned(["node", ...words, "--local", join(scratch.folder, "data/towpath.sock")]),
    powerman: await timePowerman(scratch),
  };
}

/** Debian's powerman with the power controller that comes with it, which switches in memory. */
async function timePowerman(scratch: Scratch): Promise<Spread | null> {
  const [powerman, powermand, vpcd] = ["powerman", "powermand", "vpcd"].map(installed);
  if (!powerman || !powermand || !vpcd) return null;
  const port = await freePort();
  const file = join(scratch.folder, "powerman.conf");
  const device = `include "/etc/powerman/vpc.dev"\ndevice "vpc0" "vpc" "${vpcd} |&"\nnode "t[0-15]" "vpc0"\n`;
  writeFileSync(file, `listen "127.0.0.1:${port}"\n${device}`);
  const daemon = scratch.start(powermand, ["-f", "-c", file]);
  const on = [powerman, "-h", `127.0.0.1:${port}`, "--on", "t0"];
  await until("powermand", async () => (await ran(on)).code === 0, daemon);
  return spawned(on);
}

async function spawned(words: readonly string[]): Promise<Spread> {
  const times: number[] = [];
  for (let run = 0; run < WARM_RUNS + RUNS; run++) {
    const begun = performance.now();
    const { code, said } = await ran(words);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${said}`);
    times.push(performance.now() - begun);
  }
  return spreadOf(times.slice(WARM_RUNS));
}

function ran([program = "", ...args]: readonly string[]): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (bytes: Buffer) => {
      said += bytes.toString("utf8");
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, said }));
  });
}
