import { type BigIntStats, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";

/**
 * What the kernel, udev and systemd tell in files: `/sys`, `/proc`, `/dev`, `/run`, `/etc`. Things come and go while
 * they are looked at, so absent, forbidden and gone are the same answer: null.
 */
export interface MachineFiles {
  /** Without its last newline; null also for an empty file. */
  read(path: string): string | null;
  names(folder: string): string[];
  /** What a link says, as it says it. */
  link(path: string): string | null;
  /** The path behind all links. */
  real(path: string): string | null;
  stat(path: string): BigIntStats | null;
  /** Of the link itself. */
  lstat(path: string): BigIntStats | null;
}

/** @param root another tree than this machine's, for tests. */
export function machineFiles(root = "/"): MachineFiles {
  const base = root === "/" ? "" : realpathSync.native(root);
  const at = (path: string) => join(root, path);
  return {
    read: (path) => orNull(() => readFileSync(at(path), "utf8").replace(/\n$/, "") || null),
    names: (folder) => orNull(() => readdirSync(at(folder))) ?? [],
    link: (path) => orNull(() => readlinkSync(at(path))),
    real: (path) => orNull(() => realpathSync.native(at(path)).slice(base.length)),
    stat: (path) => orNull(() => statSync(at(path), { bigint: true })),
    lstat: (path) => orNull(() => lstatSync(at(path), { bigint: true })),
  };
}

function orNull<T>(look: () => T): T | null {
  try {
    return look();
  } catch {
    return null;
  }
}
