import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { SiteConfig } from "../../src/config/config.ts";
import type { MachineFiles } from "../../src/linux/machine-files.ts";
import type { Facts } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** The card that the journal lives on. */
export function cardFindings(facts: Facts, config: SiteConfig): Finding[] {
  return [...mountFindings(facts.files, config.data), ...spaceFindings(facts, config), ...wearFindings(facts.files)];
}

function mountFindings(files: MachineFiles, data: string): Finding[] {
  const mounts = mountsOf(files);
  const of = (path: string) =>
    mounts.filter(({ folder }) => within(path, folder)).reduce(longer, { folder: "", options: [] as string[] });
  const found: Finding[] = [];
  if (of(data).options.includes("ro")) {
    const what = `${data} is read-only (mounted at ${of(data).folder}): nothing is recorded`;
    found.push(finding("bad", "card.write", what, "After errors the kernel does this: see dmesg, replace the card."));
  }
  if (mounts.length > 0 && !of("/").options.includes("ro") && of("/").folder === of(data).folder) {
    const what = "system and data share one writable file system: a power cut can damage both";
    const todo = "Put the data on a partition of its own and the root read-only: raspi-config, overlay file system.";
    found.push(finding("note", "card.root", what, todo));
  }
  return found;
}

interface Mount {
  readonly folder: string;
  readonly options: readonly string[];
}

/** Later lines hide earlier ones of the same folder. */
function mountsOf(files: MachineFiles): Mount[] {
  return (files.read("/proc/self/mounts") ?? "").split("\n").flatMap((line) => {
    const [, folder, , options] = line.split(" ");
    return folder === undefined || options === undefined ? [] : [{ folder, options: options.split(",") }];
  });
}

function within(path: string, folder: string): boolean {
  return folder === "/" || path === folder || path.startsWith(`${folder}/`);
}

function longer(a: Mount, b: Mount): Mount {
  return b.folder.length >= a.folder.length ? b : a;
}

/** What else is written beside the journal: trust, config, other programs. */
const RESERVE_BYTES = 64e6;

function spaceFindings(facts: Facts, { data, journal }: SiteConfig): Finding[] {
  const space = facts.space(data);
  if (space === null) return [finding("note", "card.space", `${data}: its space cannot be told`, "Is the path right?")];
  const { files } = facts;
  const folder = `${data}/journal`;
  const sizes = files.names(folder).map((name) => Number(files.stat(`${folder}/${name}`)?.size ?? 0n));
  const growth = Math.max(0, journal.captureBytes + journal.ledgerBytes - sizes.reduce((sum, size) => sum + size, 0));
  const missing = growth + RESERVE_BYTES - space.freeBytes;
  if (missing <= 0)
    return [ok("card.space", `${megabytes(space.freeBytes)} free; the journal may grow by ${megabytes(growth)}`)];
  const what = `${megabytes(space.freeBytes)} free, but the journal may grow by ${megabytes(growth)}`;
  return [finding("bad", "card.space", what, `Free ${megabytes(missing)}, or make journal: smaller in site.yaml.`)];
}

function megabytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}

function wearFindings(files: MachineFiles): Finding[] {
  const found: Finding[] = [];
  for (const name of files.names("/sys/fs/ext4")) {
    const errors = Number(files.read(`/sys/fs/ext4/${name}/errors_count`) ?? 0);
    if (errors === 0) continue;
    const todo = "Have a new card ready; check it at the next start: fsck.mode=force in cmdline.txt, or replace it.";
    found.push(finding("bad", "card.errors", `the file system on ${name} has counted ${errors} errors`, todo));
  }
  for (const name of files.names("/sys/block").filter((one) => /^mmcblk\d+$/.test(one)))
    found.push(...lifeFindings(files, name));
  return found;
}

/** JEDEC eMMC: tenths of the life used, for two kinds of cells; pre-EOL 2 is warning, 3 urgent. SD cards tell neither. */
function lifeFindings(files: MachineFiles, name: string): Finding[] {
  const device = `/sys/block/${name}/device`;
  const used = (files.read(`${device}/life_time`) ?? "").split(/\s+/).filter(Boolean).map(Number);
  const endOfLife = Number(files.read(`${device}/pre_eol_info`) ?? 0);
  if (used.length === 0) return [];
  const tenths = Math.max(...used);
  const what = `${name} has used about ${Math.min(tenths, 10) * 10} % of its life`;
  if (tenths >= 10 || endOfLife >= 3) return [finding("bad", "card.life", what, "Replace it now.")];
  if (tenths >= 8 || endOfLife === 2) return [finding("warn", "card.life", what, "Plan its replacement.")];
  return [ok("card.life", what)];
}

const PROBES = 20;
/** Above it a decision no longer waits for the card (`settleRecording`). */
const TOO_SLOW_MS = 2_000;
const SLOW_MS = 200;

/** Writes and syncs a small file as a decision does, and takes it away again. Blocks for as long as that takes. */
export function syncFindings({ data }: SiteConfig): Finding[] {
  const check = "card.sync";
  const file = join(data, `doctor-${process.pid}`);
  let times: number[];
  try {
    times = probe(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const denied = code === "EACCES" || code === "ENOENT";
    const todo = denied ? "Ask as root, after the first start made it." : "The card fails: see dmesg, replace it.";
    return [finding(denied ? "note" : "bad", check, `${data} cannot be written: ${code}`, todo)];
  } finally {
    rmSync(file, { force: true });
  }
  const sorted = times.sort((a, b) => a - b);
  const p50 = sorted[Math.floor(PROBES / 2)] ?? 0;
  const max = sorted.at(-1) ?? 0;
  const what = `a synced write takes ${p50.toFixed(1)} ms, at worst ${max.toFixed(1)} ms of ${PROBES}`;
  if (max > TOO_SLOW_MS) return [finding("bad", check, what, "Decisions do not wait so long: replace the card.")];
  if (p50 > SLOW_MS) return [finding("warn", check, what, "A worn or cheap card: have a high-endurance one ready.")];
  return [ok(check, what)];
}

function probe(file: string): number[] {
  const fd = openSync(file, "w", 0o600);
  try {
    return Array.from({ length: PROBES }, (_, index) => {
      const begun = performance.now();
      writeSync(fd, Buffer.alloc(512, index), 0, 512, index * 512);
      fdatasyncSync(fd);
      return performance.now() - begun;
    });
  } finally {
    closeSync(fd);
  }
}
