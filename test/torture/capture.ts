import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sleep } from "../../src/operator/client.ts";
import { seeded } from "../sim/random.ts";
import { type Figures, noFigures, round, type Suffering, smallDisk } from "./rounds.ts";

/**
 * Far ends that cannot wait, and a controller that is killed, stopped, frozen, unplugged, out of descriptors and out of
 * disk: afterwards every byte that was said is held, or missing where a gap is declared, and none is there twice.
 */

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    ports: { type: "string", default: "48" },
    built: { type: "boolean" },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed);
const ports = Number(values.ports);
const ROOT = join(import.meta.dirname, "../..");
const KILLS_PER_ROUND = 25;
const BAUD = 115_200;
/** A journal on it holds the first segments, and not the next while the filler lies beside it. */
const DISK_BYTES = 40 * 1024 * 1024;

const note = (line: string) => process.stderr.write(`${line}\n`);

/** Kills at random moments, and between them a freeze, a clean restart, or a cable pulled. */
async function killed(world: Suffering, count: number): Promise<void> {
  const { random } = world;
  for (let done = 0; done < count; ) {
    await sleep(random.between(20, 600));
    const kind = random.next();
    if (kind < 0.08) await freeze(world, random.between(200, 900));
    else if (kind < 0.16) await world.kill("SIGTERM", random.between(0, 50));
    else if (kind < 0.26) await replug(world);
    else {
      await world.kill("SIGKILL", random.between(0, 200));
      done++;
    }
  }
}

/** Longer than the kernel can hold what is said. */
async function freeze({ manager }: Suffering, ms: number): Promise<void> {
  manager.signal("SIGSTOP");
  await sleep(ms);
  manager.signal("SIGCONT");
}

async function replug({ tell, random, ports: count }: Suffering): Promise<void> {
  const port = random.between(1, count + 1);
  await tell({ type: "unplug", port });
  await sleep(random.between(10, 200));
  await tell({ type: "plug", port });
}

/** A port that returns while no descriptor is left is opened when one is. */
async function withoutDescriptors(world: Suffering): Promise<void> {
  const pid = world.manager.pid();
  await sleep(300);
  await world.tell({ type: "unplug", port: 1 });
  await sleep(200);
  const limit = (soft: string) => execFileSync("prlimit", ["--pid", String(pid), `--nofile=${soft}:`]);
  const before = execFileSync("prlimit", ["--pid", String(pid), "--nofile", "--noheadings", "-o", "SOFT"])
    .toString()
    .trim();
  const used = readdirSync(`/proc/${pid}/fd`).length;
  limit(String(Math.max(used - 4, 3)));
  await world.tell({ type: "plug", port: 1 });
  await sleep(700);
  limit(before);
  await sleep(700);
}

/** The disk is full for a while, long enough for a new segment to be due. */
async function fullDisk(world: Suffering): Promise<void> {
  await sleep(500);
  const filler = join(world.data, "filler");
  const { bavail, bsize } = statfsSync(world.data);
  writeFileSync(filler, Buffer.alloc(Math.max(0, Number(bavail) * Number(bsize) - 8_192)));
  await sleep(16_000);
  rmSync(filler);
  await sleep(2_500);
}

function add(total: Figures, one: Figures): Figures {
  const declared = { ...total.declared };
  for (const [cause, bytes] of Object.entries(one.declared)) declared[cause] = (declared[cause] ?? 0) + bytes;
  const sum = (of: "kills" | "sent" | "held" | "gaps" | "undeclared" | "duplicates") => total[of] + one[of];
  const lost = {
    closed: total.lost.closed + one.lost.closed,
    full: total.lost.full + one.lost.full,
    unplugged: total.lost.unplugged + one.lost.unplugged,
  };
  return {
    ...{ kills: sum("kills"), sent: sum("sent"), held: sum("held"), gaps: sum("gaps"), declared, lost },
    ...{ undeclared: sum("undeclared"), duplicates: sum("duplicates"), problems: [...total.problems, ...one.problems] },
  };
}

async function rounds(store: boolean, count: number): Promise<Figures> {
  let total = noFigures();
  for (let done = 0; done < count; done += KILLS_PER_ROUND) {
    const random = seeded(seed * 1_000 + done * 2 + Number(store));
    const now = Math.min(KILLS_PER_ROUND, count - done);
    const options = { ports, baudRate: BAUD, store, seed };
    total = add(total, await round(options, random, (world) => killed(world, now)));
    for (const problem of total.problems.slice(0, 5)) note(problem);
    note(`${store ? "with" : "without"} the store: ${total.kills} kills, ${total.problems.length} problems`);
  }
  return total;
}

async function worldsEnd(): Promise<Record<string, Figures | string>> {
  const options = { ports, baudRate: BAUD, store: true, seed };
  const disk = smallDisk(DISK_BYTES);
  return {
    descriptors: await round(options, seeded(seed), withoutDescriptors),
    disk: disk === null ? "skipped: only root may mount" : await round(options, seeded(seed), fullDisk, disk),
  };
}

if (values.built !== true) execFileSync("node", [join(ROOT, ".ci/build.mjs")], { cwd: ROOT, stdio: ["ignore", 2, 2] });
const withStore = await rounds(true, Math.ceil(kills / 2));
const withoutStore = await rounds(false, Math.floor(kills / 2));
const others = await worldsEnd();
const parts = { withStore, withoutStore, ...others };
const total = Object.values(parts).reduce<Figures>(
  (sum, one) => (typeof one === "string" ? sum : add(sum, one)),
  noFigures(),
);
for (const problem of total.problems.slice(0, 20)) note(problem);
const sumOf = (bytes: Record<string, number>) => Object.values(bytes).reduce((sum, one) => sum + one, 0);
const balanced = total.sent === total.held + sumOf(total.declared) + total.undeclared - total.duplicates;
if (!balanced) note(`sent ${total.sent} is not held ${total.held} + declared ${sumOf(total.declared)}`);
const ok =
  total.problems.length === 0 && total.undeclared === 0 && total.duplicates === 0 && balanced && total.kills === kills;
const brief = (one: Figures | string) => (typeof one === "string" ? one : { ...one, problems: one.problems.length });
const { problems: _, ...figures } = total;
process.stdout.write(
  `${JSON.stringify({
    ok,
    ...figures,
    // No receiver runs here.
    delivered: 0,
    parts: Object.fromEntries(Object.entries(parts).map(([name, one]) => [name, brief(one)])),
  })}\n`,
);
process.exit(ok ? 0 : 1);
