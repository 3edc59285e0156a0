import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { tool, toolLines } from "./tool.ts";

/** An unpacked Debian kernel package. */
export interface Kernel {
  /** Where `boot/` and `lib/modules/<version>` are. */
  readonly folder: string;
  readonly version: string;
}

/** The files of these modules and of all that they need, in the order in which they load. */
function filesOf(kernel: Kernel, modules: readonly string[]): string[] {
  const files = modules.flatMap((module) =>
    toolLines("modprobe", ["-d", kernel.folder, "-S", kernel.version, "--show-depends", module]).flatMap((line) => {
      const file = /^insmod (\S+)/.exec(line)?.[1];
      return file === undefined ? [] : [file];
    }),
  );
  return [...new Set(files)];
}

/** Copies a module as plain `.ko`: busybox cannot unpack, and unpacking takes an emulated machine seconds. */
function copyModule(file: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  if (file.endsWith(".xz")) writeFileSync(to.replace(/\.xz$/, ""), tool("xz", ["-dc", file]));
  else cpSync(file, to);
}

/** Puts these modules into a root file system, with their index. */
export function installModules(kernel: Kernel, modules: readonly string[], root: string): void {
  const from = join(kernel.folder, "lib/modules", kernel.version);
  const to = join(root, "usr/lib/modules", kernel.version);
  rmSync(dirname(to), { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const file of filesOf(kernel, modules))
    copyModule(file, join(to, file.slice(file.indexOf(kernel.version) + kernel.version.length + 1)));
  for (const name of ["modules.builtin", "modules.builtin.modinfo", "modules.order"])
    if (existsSync(join(from, name))) cpSync(join(from, name), join(to, name));
  tool("depmod", ["-b", root, kernel.version]);
}

/** The first file system: busybox, the modules that reach the disk, and a script that goes on to it. */
export function buildInitrd(kernel: Kernel, early: readonly string[], busybox: string, work: string): Buffer {
  const root = join(work, "initrd");
  for (const folder of ["bin", "lib", "proc", "dev", "root"]) mkdirSync(join(root, folder), { recursive: true });
  cpSync(busybox, join(root, "bin/busybox"));
  cpSync(join(import.meta.dirname, "initrd/init"), join(root, "init"));
  chmodSync(join(root, "init"), 0o755);
  for (const [index, file] of filesOf(kernel, early).entries())
    copyModule(file, join(root, "lib", `${String(index).padStart(2, "0")}-${basename(file)}`));
  const names = tool("find", ["."], { cwd: root });
  return gzipSync(tool("cpio", ["-o", "-H", "newc", "--quiet"], { cwd: root, input: names }), { level: 1 });
}

/** Builds Debian's own gpio-sim, which Debian's kernel leaves out, and puts it among the kernel's modules. */
export function addGpioSim(kernel: Kernel, sourceDeb: string, work: string): void {
  const folder = join(work, "gpio-sim");
  mkdirSync(folder, { recursive: true });
  const archive = toolLines("dpkg-deb", ["--contents", sourceDeb]).find((line) =>
    /\/linux-source-[\d.]+\.tar\.xz$/.test(line),
  );
  const name = /linux-source-[\d.]+(?=\.tar\.xz)/.exec(archive ?? "")?.[0];
  if (name === undefined) throw new Error(`${sourceDeb} holds no kernel source: is it Debian's linux-source package?`);
  tool("dpkg-deb", ["-x", sourceDeb, work]);
  const members = ["drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c"];
  tool("tar", [
    ...["-xJf", join(work, `usr/src/${name}.tar.xz`), "-C", folder, "--transform", "s,.*/,,"],
    ...members.map((member) => `${name}/${member}`),
  ]);
  // The kernel keeps irq_to_desc() to itself; modules reach the same descriptor this way.
  const simulated = join(folder, "irq_sim.c");
  const text = readFileSync(simulated, "utf8")
    .replaceAll("irq_to_desc(irqnum)", "irq_data_to_desc(irq_get_irq_data(irqnum))")
    .replace("#include <linux/irq_work.h>", "#include <linux/irq_work.h>\n#include <linux/irqdesc.h>");
  writeFileSync(simulated, text);
  writeFileSync(join(folder, "Kbuild"), "obj-m += gpio_sim_machine.o\ngpio_sim_machine-y := gpio-sim.o irq_sim.o\n");
  tool("make", ["-s", "-C", `/usr/src/linux-headers-${kernel.version}`, `M=${folder}`, "modules"]);
  const module = join(folder, "gpio_sim_machine.ko");
  tool("strip", ["--strip-debug", module]);
  const extra = join(kernel.folder, "lib/modules", kernel.version, "extra");
  mkdirSync(extra, { recursive: true });
  cpSync(module, join(extra, basename(module)));
}

/** Writes the index that finds a module and what it needs. */
export function indexModules(kernel: Kernel): void {
  tool("depmod", ["-b", kernel.folder, kernel.version]);
}
