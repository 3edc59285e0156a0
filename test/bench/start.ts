import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDisk } from "../../src/disk/disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { sleep } from "../../src/operator/client.ts";
import { openDevices } from "./devices.ts";
import { captureSite } from "./peers.ts";
import { type Outcome, rounded, spreadOf } from "./report.ts";
import { end, type Scratch, startController, until, withScratch } from "./scratch.ts";
import { usageOf } from "./usage.ts";

/** How soon a controller that was started records again, and what it holds while nothing happens. */

const STARTS = 10;
const IDLE_MS = 2_000;
const CAPTURE = "2MB";

function makeSite(scratch: Scratch, name: string, path: string | null): { config: string; data: string } {
  const folder = join(scratch.folder, name);
  mkdirSync(folder);
  const config = join(folder, "site.yaml");
  const consoles = path === null ? [] : [`  talker: { port: { path: ${path} }, baudRate: 115200 }`];
  writeFileSync(config, captureSite(consoles, CAPTURE));
  return { config, data: join(folder, "data") };
}

/** What `journal stat` would say, without a process for each look. */
export function capturedBytes(data: string): number {
  const folder = join(data, "journal");
  if (!existsSync(folder)) return 0;
  const disk = openDisk(folder, "read");
  try {
    return new JournalStore(disk, { captureBytes: 0, ledgerBytes: 0 }).stat()["talker/rx"]?.bytes ?? 0;
  } catch {
    // A segment is being made and renamed right now.
    return 0;
  } finally {
    disk.close();
  }
}

async function startOnce(scratch: Scratch, round: number, path: string): Promise<{ ready: number; first: number }> {
  const { config, data } = makeSite(scratch, `start-${round}`, path);
  const begun = performance.now();
  const recorded = until("a byte in the journal", () => capturedBytes(data) > 0, null, 5);
  const times = await Promise.all([
    startController(scratch, config).then((program) => ({ program, at: performance.now() - begun })),
    recorded.then(() => performance.now() - begun),
  ]);
  await end(times[0].program);
  return { ready: times[0].at, first: times[1] };
}

async function idleBytes(scratch: Scratch): Promise<number> {
  const { config } = makeSite(scratch, "idle", null);
  const program = await startController(scratch, config);
  await sleep(IDLE_MS);
  return usageOf(program.group).residentBytes;
}

export function benchStart(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const devices = await openDevices(scratch, { ports: 1, hold: true });
    await devices.talk();
    const rounds: { ready: number; first: number }[] = [];
    for (let round = 0; round < STARTS; round++) {
      rounds.push(await startOnce(scratch, round, devices.paths[0] ?? ""));
    }
    await devices.hush();
    const ready = spread(rounds.map((one) => one.ready));
    const first = spread(rounds.map((one) => one.first));
    const idleMiB = rounded((await idleBytes(scratch)) / 1024 ** 2, 1);
    const row = (name: string, { p50, worst }: { p50: number; worst: number }) => [name, String(p50), String(worst)];
    return {
      ok: true,
      table: {
        head: ["start", "p50", "worst"],
        rows: [
          row("spawn to `ready`, ms", ready),
          row("spawn to the first byte in the journal, ms", first),
          ["idle RSS, MiB", idleMiB.toFixed(1), ""],
        ],
      },
      notes: [
        `${STARTS} starts on an empty data folder beside one console that talks all the time; looked every 5 ms.`,
        `Idle: no console, ${IDLE_MS / 1_000} s after \`ready\`.`,
      ],
      goals: [],
      figures: { starts: STARTS, readyMs: ready, firstByteMs: first, idleMiB },
    };
  });
}

function spread(values: readonly number[]): { p50: number; worst: number } {
  return { p50: rounded(spreadOf(values).p50, 0), worst: rounded(Math.max(...values), 0) };
}
