import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Unavailable } from "../requirements.ts";
import { cachedImage } from "./cache.ts";
import { addGpioSim, buildInitrd, indexModules, installModules, type Kernel } from "./kernel.ts";
import { EARLY, MODULES, PACKAGES, SUITE } from "./packages.ts";
import { buildDisk, fillRoot, finishRoot } from "./root-folder.ts";
import { tool, toolLines } from "./tool.ts";

/** The kernel that this machine's own Debian would install: its headers can be had here, which gpio-sim needs. */
function hostKernelVersion(): string {
  for (const line of toolLines("apt-cache", ["depends", "linux-image-amd64"])) {
    const version = /Depends: linux-image-(\S+)/.exec(line)?.[1];
    if (version !== undefined) return version;
  }
  throw new Unavailable("apt on this machine knows no linux-image-amd64; run apt-get update");
}

function unpackKernel(version: string, work: string): { kernel: Kernel; source: string } {
  const downloads = join(work, "deb");
  mkdirSync(downloads, { recursive: true });
  const series = /^\d+\.\d+/.exec(version)?.[0] ?? version;
  tool(
    "apt-get",
    ["download", "-q", "-o", "APT::Sandbox::User=root", `linux-image-${version}`, `linux-source-${series}`],
    {
      cwd: downloads,
    },
  );
  const debs = toolLines("ls", [downloads]);
  const find = (prefix: string) => join(downloads, debs.find((name) => name.startsWith(prefix)) ?? prefix);
  const folder = join(work, "kernel");
  tool("dpkg-deb", ["-x", find(`linux-image-${version}_`), folder]);
  return { kernel: { folder, version }, source: find(`linux-source-${series}_`) };
}

function build(version: string, folder: string): void {
  const work = join(folder, "work");
  const root = join(work, "root");
  mkdirSync(work);
  const { kernel, source } = unpackKernel(version, work);
  addGpioSim(kernel, source, work);
  indexModules(kernel);
  fillRoot(root, PACKAGES.vm, null);
  installModules(kernel, MODULES.vm, root);
  finishRoot(root, "vm");
  writeFileSync(join(folder, "initrd"), buildInitrd(kernel, EARLY.vm, join(root, "usr/bin/busybox"), work));
  cpSync(join(kernel.folder, `boot/vmlinuz-${version}`), join(folder, "vmlinuz"));
  buildDisk(root, join(folder, "disk.img"), "2G");
  rmSync(work, { recursive: true });
}

/** The folder with the vm's `vmlinuz`, `initrd` and `disk.img`; about a minute when it has to be built. */
export function vmImage(): string {
  const version = hostKernelVersion();
  if (!existsSync(`/usr/src/linux-headers-${version}`))
    throw new Unavailable(`gpio-sim needs the kernel's headers: apt-get install linux-headers-${version}`);
  return cachedImage("vm", [SUITE, version, JSON.stringify([PACKAGES.vm, MODULES.vm, EARLY.vm])], (folder) =>
    build(version, folder),
  );
}
