import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import type { SiteConfig } from "../../src/config/config.ts";
import { type Adapter, scanAdapters } from "../../src/console/adapters.ts";
import { type MachineFiles, machineFiles } from "../../src/linux/machine-files.ts";
import { controllerPid } from "../bound-ports.ts";

/** Where the checks look, made anew for each time. Everything is a file of the kernel, of udev or of systemd: no program is started. */
export interface Facts {
  readonly files: MachineFiles;
  /** Wall clock. */
  readonly nowMs: number;
  adapters(): readonly Adapter[];
  /** Of the file system of this path. Null where it cannot be told. */
  space(path: string): { readonly freeBytes: number; readonly totalBytes: number } | null;
  /** The gpiochips of this machine; null where they cannot be listed. */
  chips(): readonly Chip[] | null;
  /** Lines that somebody holds; null where that cannot be asked. */
  heldLines(): readonly HeldLine[] | null;
}

export interface Chip {
  readonly label: string;
  readonly lines: number;
}

export interface HeldLine {
  readonly chip: string;
  /** As boards name it: `GPIO17`, or `#3`. */
  readonly line: string;
  /** What the holder calls itself. */
  readonly consumer: string;
}

/**
 * This machine, now. `chips` and `heldLines` are replaced by whoever can ask the gpiochips themselves, `adapters` by
 * who has looked already.
 */
export function machineFacts(more: Partial<Pick<Facts, "adapters" | "chips" | "heldLines">> = {}): Facts {
  const files = machineFiles();
  let found: readonly Adapter[] | null = null;
  const scan = (): readonly Adapter[] => {
    found ??= scanAdapters(files);
    return found;
  };
  return {
    files,
    nowMs: Date.now(),
    adapters: more.adapters ?? scan,
    space,
    chips: more.chips ?? (() => chipsInSysfs(files)),
    heldLines: more.heldLines ?? (() => null),
  };
}

/** Of the nearest folder that is there. */
function space(path: string): ReturnType<Facts["space"]> {
  if (!existsSync(path)) return path === dirname(path) ? null : space(dirname(path));
  try {
    const { bavail, blocks, bsize } = statfsSync(path);
    return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
  } catch {
    return null;
  }
}

/** Kernels with the old GPIO interface list their chips there, under another number but by the same label. */
export function chipsInSysfs(files: MachineFiles): Chip[] | null {
  const listed = files.names("/sys/class/gpio").filter((name) => name.startsWith("gpiochip"));
  // Other kernels have chips all the same, and tell their labels to an ioctl only.
  if (listed.length === 0 && files.names("/dev").some((name) => /^gpiochip\d+$/.test(name))) return null;
  return listed.map((name) => ({
    label: files.read(`/sys/class/gpio/${name}/label`) ?? "",
    lines: Number(files.read(`/sys/class/gpio/${name}/ngpio`) ?? 0),
  }));
}

/** The running controller of a site, as its process shows it. */
export interface Service {
  readonly pid: number;
  /** Null where this user may not read it. */
  readonly env: Readonly<Record<string, string>> | null;
  /** `towpath.service`; null outside systemd, and in a session of a person. */
  readonly unit: string | null;
  /** The unit's file and drop-ins, one after the other. */
  readonly unitText: string;
}

/** Null when no controller runs on that data folder. */
export function findService(files: MachineFiles, config: SiteConfig): Service | null {
  const pid = controllerPid(config, files);
  if (pid === null) return null;
  const env = files.read(`/proc/${pid}/environ`);
  const unit = /\/([^/\n]+\.service)$/m.exec(files.read(`/proc/${pid}/cgroup`) ?? "")?.[1] ?? null;
  return {
    pid,
    unit,
    env: env === null ? null : Object.fromEntries(env.split("\0").flatMap(variable)),
    unitText: unit === null ? "" : unitText(files, unit),
  };
}

function variable(text: string): [string, string][] {
  const at = text.indexOf("=");
  return at <= 0 ? [] : [[text.slice(0, at), text.slice(at + 1)]];
}

const UNIT_FOLDERS = ["/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/system", "/etc/systemd/system"];

function unitText(files: MachineFiles, unit: string): string {
  const own = UNIT_FOLDERS.map((folder) => files.read(`${folder}/${unit}`)).findLast((text) => text !== null);
  const dropIns = UNIT_FOLDERS.flatMap((folder) =>
    files
      .names(`${folder}/${unit}.d`)
      .filter((name) => name.endsWith(".conf"))
      .map((name) => files.read(`${folder}/${unit}.d/${name}`)),
  );
  return [own, ...dropIns].map((text) => text ?? "").join("\n");
}

/** The last value that a unit or a systemd config gives a setting; null where none does. */
export function settingIn(text: string, name: string): string | null {
  const values = [...text.matchAll(new RegExp(`^\\s*${name}\\s*=[ \\t]*(.*?)\\s*$`, "gm"))];
  return values.at(-1)?.[1] || null;
}

/** By the name of its library, which needs no process. Null where systemd is not installed. */
export function systemdVersion(files: MachineFiles): number | null {
  const multiarch = files.names("/usr/lib").map((name) => `/usr/lib/${name}/systemd`);
  const names = ["/usr/lib/systemd", "/lib/systemd", ...multiarch].flatMap((folder) => files.names(folder));
  const versions = names.flatMap((name) => /^libsystemd-shared-(\d+)/.exec(name)?.[1] ?? []).map(Number);
  return versions.length === 0 ? null : Math.max(...versions);
}
