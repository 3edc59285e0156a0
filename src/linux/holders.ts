import type { MachineFiles } from "./machine-files.ts";

/** A process that has a file open, or a lock on it. */
export interface Holder {
  readonly pid: number;
  /** Its command line, shortened. */
  readonly command: string;
}

/**
 * Who has these files open. Without root only the processes of the same user are seen, and those that locked the file:
 * locks are told to everybody.
 */
export function holdersOf(paths: readonly string[], files: MachineFiles): Map<string, Holder[]> {
  const living = pids(files);
  // A lock is told with who took it, which may be dead while systemd keeps the descriptor.
  const lockers = (path: string) => lockersOf(path, files).filter((pid) => living.includes(String(pid)));
  const found = new Map<string, Set<number>>(paths.map((path) => [path, new Set(lockers(path))]));
  for (const pid of living) {
    const folder = `/proc/${pid}/fd`;
    for (const fd of files.names(folder)) found.get(files.link(`${folder}/${fd}`) ?? "")?.add(Number(pid));
  }
  const told = (numbers: Set<number>) => [...numbers].sort((a, b) => a - b).map((pid) => holder(pid, files));
  return new Map([...found].map(([path, numbers]) => [path, told(numbers)]));
}

/** Who has a flock(2) or an fcntl(2) lock on a file: costs no look at other processes. */
export function lockersOf(path: string, files: MachineFiles): number[] {
  const key = lockKey(path, files);
  if (key === null) return [];
  // "1: FLOCK  ADVISORY  WRITE 812 00:06:345 0 EOF"; an arrow stands before one that waits.
  return (files.read("/proc/locks") ?? "")
    .split("\n")
    .map((line) => line.split(/\s+/))
    .filter((words) => words[1] !== "->" && words[5] === key && Number(words[4]) > 0)
    .map((words) => Number(words[4]));
}

/** Processes of one name, as the kernel cuts it: at most 15 characters. */
export function processesNamed(name: string, files: MachineFiles): number[] {
  return pids(files)
    .filter((pid) => files.read(`/proc/${pid}/comm`) === name)
    .map(Number);
}

function holder(pid: number, files: MachineFiles): Holder {
  const words = (files.read(`/proc/${pid}/cmdline`) ?? "").replaceAll("\0", " ").trim();
  const command = words || files.read(`/proc/${pid}/comm`) || "unknown";
  return { pid, command: command.length > 60 ? `${command.slice(0, 59)}…` : command };
}

/** Device and inode as `/proc/locks` writes them: `00:06:345`, the device in hex (makedev(3)). */
function lockKey(path: string, files: MachineFiles): string | null {
  const stat = files.stat(path);
  if (stat === null) return null;
  const { dev, ino } = stat;
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${hex(major)}:${hex(minor)}:${ino}`;
}

function hex(value: bigint): string {
  return value.toString(16).padStart(2, "0");
}

function pids(files: MachineFiles): string[] {
  return files.names("/proc").filter((name) => /^\d+$/.test(name));
}
