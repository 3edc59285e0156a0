import { chmodSync, cpSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { tool } from "./image/tool.ts";

/** Files to lay onto a disk before its machine starts: guest path to a file of this machine. */
export type DiskFiles = Readonly<Record<string, string>>;

/** The folders above a path, from the top. */
function foldersOf(path: string): string[] {
  const above = dirname(path);
  return above === "/" ? [] : [...foldersOf(above), above];
}

/**
 * A disk for one run: the image's, with files laid onto it. They go in without a running guest, because the emulated
 * Pi's USB network carries only some 70 kB a second.
 */
export function newDisk(image: string, folder: string, files: DiskFiles): string {
  const base = join(image, "disk.img");
  const overlay = join(folder, "disk.qcow2");
  const own = join(folder, "disk.img");
  const names = Object.entries(files);
  if (names.length > 0) {
    tool("cp", ["--sparse=always", base, own]);
    for (const [path, file] of names) layOnto(own, path, file);
  }
  const below = names.length > 0 ? own : base;
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", below, overlay]);
  return overlay;
}

function layOnto(disk: string, path: string, file: string): void {
  if (/\s/.test(path) || !path.startsWith("/")) throw new Error(`a guest path is absolute and has no spaces: ${path}`);
  if (!existsSync(file)) throw new Error(`${file} is not there to be laid onto the guest's disk`);
  // debugfs takes a file's name and mode from a local one, and its own command line knows no quotes.
  const folder = mkdtempSync(join(tmpdir(), "towpath-lay-"));
  try {
    const local = join(folder, "file");
    cpSync(file, local);
    chmodSync(local, statSync(file).mode & 0o777);
    const made = foldersOf(path).map((one) => `mkdir ${one}\n`);
    tool("debugfs", ["-w", "-f", "-", disk], { input: `${made.join("")}rm ${path}\nwrite ${local} ${path}\n` });
    const size = /Size: (\d+)/.exec(tool("debugfs", ["-R", `stat ${path}`, disk]).toString("utf8"))?.[1];
    if (Number(size) !== statSync(file).size) throw new Error(`${path} could not be laid onto the guest's disk`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
