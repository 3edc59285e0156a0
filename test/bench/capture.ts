import { sleep } from "../../src/operator/client.ts";
import { type Devices, openDevices, type Spoken } from "./devices.ts";
import { type Capturing, type Contender, conman, conserver, reader, ser2net, towpath } from "./peers.ts";
import { killed, replugged } from "./recovery.ts";
import type { Goal, Outcome } from "./report.ts";
import { rounded, sum } from "./report.ts";
import { type Scratch, withScratch } from "./scratch.ts";
import { usageOf } from "./usage.ts";

/** 48 consoles at 115200 baud into the real controller; its peers do the same beside it, at the same time. */

const PORTS = 48;
/** Compilers and caches settle first; these bytes count for the loss and not for the CPU. */
const WARM_MS = 2_000;
const MEASURED_MS = 10_000;
const TAIL_MS = 10_000;
const PEAK_LIMIT_MIB = 100;

interface Runner {
  readonly name: string;
  readonly devices: Devices;
  readonly capturing: Capturing;
  /** What its files held before the devices spoke: some write a heading. */
  readonly before: readonly number[];
}

interface Figures {
  readonly cpuPercent: number;
  readonly peakMiB: number;
  readonly processes: number;
  readonly sentBytes: number;
  readonly capturedBytes: number;
  readonly refusedBytes: number;
  readonly unequalPorts: number;
}

async function prepare(scratch: Scratch, contender: Contender): Promise<Runner | null> {
  const devices = await openDevices(scratch, { ports: PORTS, hold: false });
  const capturing = await contender.start(scratch, devices.paths);
  if (capturing === null) return null;
  await devices.opened().catch((error: Error) => {
    throw new Error(`${contender.name}: ${error.message}: ${capturing.program.log()}`);
  });
  return { name: contender.name, devices, capturing, before: capturing.captured() };
}

/** Captured bytes by port, as soon as they are what was sent, or what there is when the wait is over. */
async function tailOf({ capturing, before }: Runner, { sent }: Spoken): Promise<number[]> {
  const deadline = Date.now() + TAIL_MS;
  for (;;) {
    const captured = capturing.captured().map((bytes, index) => bytes - (before[index] ?? 0));
    if (captured.every((bytes, index) => bytes === sent[index]) || Date.now() > deadline) return captured;
    await sleep(500);
  }
}

async function measure(runners: readonly Runner[]): Promise<Record<string, Figures>> {
  await Promise.all(runners.map(({ devices }) => devices.talk()));
  await sleep(WARM_MS);
  const usages = () => runners.map(({ capturing }) => usageOf(capturing.program.group));
  const begun = performance.now();
  const first = usages();
  await sleep(MEASURED_MS);
  const last = usages();
  const seconds = (performance.now() - begun) / 1_000;
  const spoken = await Promise.all(runners.map(({ devices }) => devices.hush()));
  const figures: Record<string, Figures> = {};
  for (const [index, runner] of runners.entries()) {
    const said = spoken[index] ?? { sent: [], refused: [] };
    const captured = await tailOf(runner, said);
    const after = last[index];
    figures[runner.name] = {
      cpuPercent: rounded((((after?.cpuSeconds ?? 0) - (first[index]?.cpuSeconds ?? 0)) / seconds) * 100, 1),
      peakMiB: rounded(usageOf(runner.capturing.program.group).peakBytes / 1024 ** 2, 1),
      processes: after?.processes ?? 0,
      sentBytes: sum(said.sent),
      capturedBytes: sum(captured),
      refusedBytes: sum(said.refused),
      unequalPorts: captured.filter((bytes, port) => bytes !== said.sent[port]).length,
    };
  }
  return figures;
}

const FLOOD_BYTES_PER_PORT = Math.ceil(100e6 / PORTS);

/** CPU-seconds for 100 MB as fast as it goes, one contender after the other. */
async function flatOut(runners: readonly Runner[]): Promise<Record<string, number>> {
  const seconds: Record<string, number> = {};
  for (const { name, devices, capturing, before } of runners) {
    const begun = usageOf(capturing.program.group).cpuSeconds;
    const { sent } = await devices.flood(FLOOD_BYTES_PER_PORT);
    const deadline = Date.now() + TAIL_MS;
    const complete = () =>
      capturing.captured().every((bytes, port) => bytes - (before[port] ?? 0) >= (sent[port] ?? 0));
    while (!complete() && Date.now() < deadline) await sleep(500);
    seconds[name] = rounded(usageOf(capturing.program.group).cpuSeconds - begun, 2);
    if (!complete()) seconds[name] = Number.NaN;
  }
  return seconds;
}

export function benchCapture(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const runners: Runner[] = [];
    const missing: string[] = [];
    for (const contender of [towpath, conserver, conman, ser2net, reader]) {
      const runner = await prepare(scratch, contender);
      if (runner === null) missing.push(`${contender.name}: not installed, skipped`);
      else runners.push(runner);
    }
    const figures = await measure(runners);
    const flat = await flatOut(runners);
    const replugMs = await replugged(scratch);
    const killMs = await killed(scratch);
    const rows = runners.flatMap(({ name }) => rowsOf(name, figures[name], flat[name]));
    return {
      ok: figures.towpath?.unequalPorts === 0,
      table: {
        head: ["capture", "CPU %", "peak MiB", "procs", "sent", "captured", "lost", "refused", "CPU s/100 MB"],
        rows,
      },
      notes: [
        ...missing,
        `${PORTS} ptys each, 62-byte chunks at 11.52 KB/s a port, all at the same time;`,
        `CPU % of one core over ${MEASURED_MS / 1_000} s after ${WARM_MS / 1_000} s of warming up.`,
        "Towpath syncs what it captured to disk, with checksums; conserver and conman sync nothing.",
        "CPU s/100 MB: flat out over all ports, one contender after the other; NaN: it did not get all of it in time.",
        `Cable back to captured: ${replugMs.p50} ms (worst ${replugMs.worst}); kill -9, started again at once, to captured: ${killMs.p50} ms (worst ${killMs.worst}).`,
        "refused: bytes that a full terminal did not take; a UART would have lost them.",
      ],
      goals: [...goalsOf(figures), ...moreGoals(flat, replugMs.worst)],
      figures: { ports: PORTS, measuredMs: MEASURED_MS, ...figures, cpuSecondsPer100MB: flat, replugMs, killMs },
    };
  });
}

function rowsOf(name: string, figures: Figures | undefined, flat = Number.NaN): string[][] {
  if (figures === undefined) return [];
  const { cpuPercent, peakMiB, processes, sentBytes, capturedBytes, refusedBytes } = figures;
  const counts = [processes, sentBytes, capturedBytes, sentBytes - capturedBytes, refusedBytes];
  return [[name, cpuPercent.toFixed(1), peakMiB.toFixed(1), ...counts.map(String), flat.toFixed(2)]];
}

function moreGoals(flat: Record<string, number>, replugMs: number): Goal[] {
  const ours = flat.towpath ?? Number.NaN;
  const goals: Goal[] = [{ what: `cable back to captured within 100 ms: ${replugMs}`, met: replugMs <= 100 }];
  const { conserver: theirs, conman: distance } = flat;
  if (theirs === undefined) return goals;
  const beside = distance === undefined ? "" : `; conman needs ${distance}`;
  const what = `CPU-seconds for 100 MB not above conserver's: ${ours} against ${theirs}${beside}`;
  return [...goals, { what, met: ours <= theirs }];
}

function goalsOf({ towpath: ours, ...peers }: Record<string, Figures>): Goal[] {
  if (ours === undefined) return [];
  // The C reader is the floor, not a rival: it keeps no times, checksums or gaps.
  const rivals = Object.entries(peers).filter(([name]) => name !== reader.name);
  const goals = rivals.map(([name, { cpuPercent }]) => ({
    what: `CPU not above ${name}'s: ${ours.cpuPercent} % against ${cpuPercent} %`,
    met: ours.cpuPercent <= cpuPercent,
  }));
  const peak = { what: `peak RSS up to ${PEAK_LIMIT_MIB} MiB: ${ours.peakMiB}`, met: ours.peakMiB <= PEAK_LIMIT_MIB };
  return [...goals, peak];
}
