import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Unavailable } from "../requirements.ts";
import { SUITE } from "./packages.ts";
import { tool, toolLines } from "./tool.ts";

/** Would take time, or a port, from what is tried. A scenario starts what it wants. */
const MASKED = [
  ...["apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer"],
  ...[
    "e2scrub_reap.service",
    "getty@tty1.service",
    "systemd-networkd-wait-online.service",
    "systemd-firstboot.service",
  ],
  ...["ldconfig.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service"],
  ...["systemd-update-done.service", "systemd-logind.service"],
];

/** Installed but not started by themselves: `systemctl start` brings them. */
const NOT_STARTED = ["mosquitto", "ModemManager", "ssh", "nftables", "pppd-dns"];

/** Where this machine's own apt finds Debian: another place may not be reachable from here. */
function mirror(): string {
  const found = toolLines("apt-get", ["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]);
  const own = found.find((line) => line.endsWith(" Debian"))?.split(" ")[0];
  if (own === undefined)
    throw new Unavailable(
      "apt on this machine knows no Debian mirror; add one to /etc/apt/sources.list.d, run apt-get update",
    );
  return own;
}

/** Fills a folder with Debian; for another processor the packages are only unpacked, not configured. */
export function fillRoot(root: string, packages: readonly string[], foreign: string | null): void {
  const whole = ["--variant=minbase", `--include=${packages.join(",")}`];
  const unpacked = [
    ...[`--arch=${foreign}`, "--variant=extract", "--skip=check/qemu,cleanup/apt,cleanup/apt/cache"],
    ...["--include=?essential", "--include=?priority(required)", `--include=${packages.join(",")}`],
  ];
  const sources = `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} ${SUITE} main`;
  const args = [
    ...(foreign === null ? whole : unpacked),
    ...["man", "locale", "doc", "info"].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    "--aptopt=APT::Install-Recommends false",
  ];
  try {
    tool("mmdebstrap", [...args, SUITE, root, sources]);
  } catch (problem) {
    // Only a mirror that cannot be reached is this machine's lack; all else is a broken recipe.
    const text = String(problem);
    const offline = /Could not (resolve|connect)|Temporary failure|Network is unreachable|Failed to fetch/.test(text);
    throw offline ? new Unavailable(`Debian's packages could not be fetched: ${text}`) : problem;
  }
}

function link(root: string, unit: string, target: string): void {
  const folder = join(root, "etc/systemd/system", `${target}.wants`);
  mkdirSync(folder, { recursive: true });
  symlinkSync(`/etc/systemd/system/${unit}`, join(folder, unit));
}

/** Makes a filled folder our machine: its units, its names, nothing that starts by itself and is in the way. */
export function finishRoot(root: string, kind: "vm" | "pi"): void {
  for (const part of ["both", kind]) cpSync(join(import.meta.dirname, "root", part), root, { recursive: true });
  const system = join(root, "etc/systemd/system");
  for (const unit of MASKED) symlinkSync("/dev/null", join(system, unit));
  mkdirSync(join(root, "etc/systemd/system-preset"), { recursive: true });
  writeFileSync(
    join(root, "etc/systemd/system-preset/00-machine.preset"),
    NOT_STARTED.map((name) => `disable ${name}.service\n`).join(""),
  );
  for (const name of NOT_STARTED) {
    rmSync(join(system, `multi-user.target.wants/${name}.service`), { force: true });
    rmSync(join(system, `graphical.target.wants/${name}.service`), { force: true });
  }
  link(root, "machine-control.service", "multi-user.target");
  if (kind === "vm") link(root, "machine-gpio.service", "sysinit.target");
  const networkd = "lib/systemd/system/systemd-networkd.service";
  mkdirSync(join(system, "multi-user.target.wants"), { recursive: true });
  symlinkSync(`/${networkd}`, join(system, "multi-user.target.wants/systemd-networkd.service"));
  writeFileSync(join(root, "etc/hostname"), `towpath-${kind}\n`);
  writeFileSync(join(root, "etc/hosts"), `127.0.0.1 localhost towpath-${kind}\n`);
  writeFileSync(join(root, "etc/fstab"), "");
  writeFileSync(join(root, "etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
  rmSync(join(root, "etc/resolv.conf"), { force: true });
}

/** Makes a disk of a folder: sparse, ext4 with a journal, as a card has. */
export function buildDisk(root: string, disk: string, size: string): void {
  tool("truncate", ["-s", size, disk]);
  tool("mke2fs", ["-q", "-t", "ext4", "-L", "root", "-d", root, disk]);
}

/** The version of the only kernel that is unpacked in a folder. */
export function kernelIn(folder: string): string {
  const versions = existsSync(join(folder, "boot"))
    ? toolLines("ls", [join(folder, "boot")]).flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.[1] ?? [])
    : [];
  const [only, ...more] = versions;
  if (only === undefined || more.length > 0)
    throw new Error(`${folder} should hold one kernel, holds ${versions.length}`);
  return only;
}

/** The text of a file, empty when there is none. */
export function textOf(file: string): string {
  return existsSync(file) ? readFileSync(file, "utf8") : "";
}
