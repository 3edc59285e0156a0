import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cachedImage } from "./cache.ts";
import { buildInitrd, indexModules, installModules, type Kernel } from "./kernel.ts";
import { EARLY, MODULES, PACKAGES, SUITE } from "./packages.ts";
import { buildDisk, fillRoot, finishRoot, kernelIn, textOf } from "./root-folder.ts";
import { tool, toolLines } from "./tool.ts";

const CONFIGURE_MS = 1_500_000;

/** Takes the kernel out of the folder: it is started from outside, and too large to copy into every disk. */
function takeKernel(root: string, work: string): Kernel {
  const folder = join(work, "kernel");
  mkdirSync(join(folder, "lib"), { recursive: true });
  tool("mv", [join(root, "boot"), join(folder, "boot")]);
  tool("mv", [join(root, "usr/lib/modules"), join(folder, "lib/modules")]);
  const version = kernelIn(folder);
  tool("mv", [join(root, `usr/lib/linux-image-${version}`), join(folder, "trees")]);
  mkdirSync(join(root, "boot"));
  const archives = join(root, "var/cache/apt/archives");
  for (const name of toolLines("ls", [archives]))
    if (name.startsWith("linux-image-") || !name.endsWith(".deb")) rmSync(join(archives, name), { recursive: true });
  return { folder, version };
}

/** Boots the disk once, on a machine with a fast disk, to let the packages' own scripts run. */
function configure(folder: string): void {
  const log = join(folder, "configure.log");
  const args = [
    ...["-M", "virt", "-cpu", "cortex-a57", "-smp", "3", "-m", "2048", "-accel", "tcg,thread=multi"],
    ...["-nodefaults", "-no-reboot", "-display", "none", "-serial", `file:${log}`],
    ...["-kernel", join(folder, "vmlinuz"), "-initrd", join(folder, "initrd")],
    ...["-append", "console=ttyAMA0 loglevel=3 panic=-1 root=/dev/vda init=/machine/configure"],
    ...["-drive", `file=${join(folder, "disk.img")},format=raw,if=none,id=d0,cache=unsafe`],
    ...["-device", "virtio-blk-device,drive=d0", "-device", "virtio-rng-device"],
  ];
  // It must not outlive this process, however that ends.
  tool("setpriv", ["--pdeathsig", "KILL", "qemu-system-aarch64", ...args], { timeout: CONFIGURE_MS });
  const said = textOf(log);
  if (/^MACHINE configured 0\r?$/m.test(said)) return;
  throw new Error(`the Pi's packages could not be configured:\n${said.split("\n").slice(-25).join("\n")}`);
}

function build(folder: string): void {
  const work = join(folder, "work");
  const root = join(work, "root");
  mkdirSync(work);
  fillRoot(root, [...PACKAGES.pi, "linux-image-arm64"], "arm64");
  const kernel = takeKernel(root, work);
  indexModules(kernel);
  installModules(kernel, MODULES.pi, root);
  finishRoot(root, "pi");
  writeFileSync(join(folder, "initrd"), buildInitrd(kernel, EARLY.pi, join(root, "usr/bin/busybox"), work));
  cpSync(join(kernel.folder, `boot/vmlinuz-${kernel.version}`), join(folder, "vmlinuz"));
  cpSync(join(kernel.folder, "trees/broadcom/bcm2837-rpi-3-b.dtb"), join(folder, "pi.dtb"));
  buildDisk(root, join(folder, "disk.img"), "2G");
  rmSync(work, { recursive: true });
  configure(folder);
}

/** The folder with the Pi's `vmlinuz`, `initrd`, `pi.dtb` and `disk.img`; several minutes when it has to be built. */
export function piImage(): string {
  return cachedImage("pi", [SUITE, JSON.stringify([PACKAGES.pi, MODULES.pi, EARLY.pi])], build);
}
