import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ClockTrust } from "../src/core/ledger.ts";
import { type MachineFiles, machineFiles } from "../src/linux/machine-files.ts";
import type { Clock } from "../src/site/edges.ts";

/** What this machine is: its clocks and its boot. */

/** CLOCK_MONOTONIC in ms: `process.hrtime` reads it on Linux. It goes on over restarts of the program. */
export function monoMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}

/** A u32 for this boot of the kernel. */
export function bootNumber(): number {
  const id = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  return createHash("sha256").update(id).digest().readUInt32BE(0) || 1;
}

/** How far the wall clock can be believed. */
export function clockTrust(files: MachineFiles = machineFiles()): ClockTrust {
  const isThere = (path: string) => files.stat(path) !== null;
  if (isThere("/run/systemd/timesync/synchronized") || isThere("/run/chrony/synchronized")) return "ntp";
  return isThere("/dev/rtc0") ? "rtc" : "none";
}

/** Node's timers stop at 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1;

export function systemClock(): Clock {
  const at = (due: number, wake: () => void): (() => void) => {
    const left = Math.max(0, due - monoMs());
    let cancelLater: (() => void) | null = null;
    const timer = setTimeout(
      () => {
        // A timer may fire a little early; a wake-up before its time would be one too few.
        if (monoMs() >= due) wake();
        else cancelLater = at(due, wake);
      },
      Math.min(left, LONGEST_MS),
    );
    return () => {
      clearTimeout(timer);
      cancelLater?.();
    };
  };
  return { monoMs, at };
}
