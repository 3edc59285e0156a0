import { readdirSync, readFileSync } from "node:fs";

/** What the kernel counted for a process group (proc(5)): all processes in it, with all their threads. */

export interface Usage {
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
  readonly processes: number;
}

/** USER_HZ is 100 on every platform that Node runs on under Linux. */
const TICKS_PER_SECOND = 100;

export function usageOf(group: number): Usage {
  const mine = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => processOf(pid, group));
  const total = (of: (one: Counted) => number) => mine.reduce((sum, one) => sum + of(one), 0);
  return {
    cpuSeconds: total((one) => one.ticks) / TICKS_PER_SECOND,
    peakBytes: total((one) => one.peakBytes),
    residentBytes: total((one) => one.residentBytes),
    processes: mine.length,
  };
}

interface Counted {
  readonly ticks: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
}

function processOf(pid: string, group: number): Counted[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // After the name, which may hold anything: state, ppid, pgrp, …; utime and stime are fields 14 and 15 of all.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (Number(fields[2]) !== group) return [];
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const ticks = Number(fields[11]) + Number(fields[12]);
    return [{ ticks, peakBytes: kilobytes(status, "VmHWM"), residentBytes: kilobytes(status, "VmRSS") }];
  } catch {
    // It ended while we looked.
    return [];
  }
}

function kilobytes(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? 0) * 1024;
}
