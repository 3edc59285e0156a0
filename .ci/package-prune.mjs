// What a package carries for other systems, for browsers, for compilers and for readers does not go to a site's card.
import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

/** Whole packages that nothing loads at run time: typings, headers, johnny-five's way into a browser. */
const PACKAGES = ["@types", "undici-types", "node-addon-api", "browser-serialport", ".bin", ".package-lock.json"];

/** Folders at the top of any package. (`doc` is not among them: yaml keeps program text in a folder of that name.) */
const FOLDERS = ["test", "tests", "example", "examples", "docs", "benchmarks"];

/** Folders and files of one package. */
const PARTS = {
  koffi: ["doc", "vendor", "lib", "cnoke.cjs"],
  zod: ["src"],
  mqtt: ["dist", "help", "build/bin"],
  yaml: ["browser", "bin.mjs"],
  "@serialport/bindings-cpp": ["src"],
};

const READING = /\.([cm]?ts|map|md|markdown|ya?ml|c|cc|cpp|h|hh|S|asm|inc|def|gypi?|png|html|tsbuildinfo)$/;
const LICENCE = /^(licen[cs]e|copying|notice)/i;

/** Every package below a `node_modules`, also those inside another package. */
export function packagesIn(modules) {
  if (!existsSync(modules)) return [];
  return readdirSync(modules, { withFileTypes: true })
    .filter((one) => one.isDirectory() && !one.name.startsWith("."))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name }) => {
      const folder = join(modules, name);
      return name.startsWith("@") ? packagesIn(folder) : [folder, ...packagesIn(join(folder, "node_modules"))];
    });
}

const drop = (path) => rmSync(path, { recursive: true, force: true });

export function prune(library, cpu) {
  const modules = join(library, "node_modules");
  for (const name of PACKAGES) drop(join(modules, name));
  for (const [name, parts] of Object.entries(PARTS)) for (const part of parts) drop(join(modules, name, part));
  for (const folder of packagesIn(modules)) prunePackage(folder);
  for (const file of filesIn(modules)) if (isForeign(file, cpu)) drop(file);
  dropEmpty(modules);
}

function prunePackage(folder) {
  for (const name of readdirSync(folder)) if (FOLDERS.includes(name) || name.startsWith(".")) drop(join(folder, name));
  // Where the licence stands in the README only, the README is the licence.
  const hasLicence = readdirSync(folder).some((name) => LICENCE.test(name));
  for (const file of filesIn(folder)) {
    const name = basename(file);
    if (LICENCE.test(name) || (!hasLicence && /^readme/i.test(name))) continue;
    if (READING.test(name) || /^\.|^tsconfig/.test(name)) drop(file);
  }
}

/** A library that the target cannot load: another system, another processor, another C library. */
function isForeign(file, cpu) {
  if (!file.endsWith(".node")) return false;
  const forTarget = file.includes(`/linux-${cpu}/`) || file.includes(`/linux_${cpu}/`);
  return !forTarget || file.includes("musl");
}

export function filesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => !one.isDirectory())
    .map((one) => join(one.parentPath, one.name))
    .sort();
}

function dropEmpty(folder) {
  for (const one of readdirSync(folder, { withFileTypes: true })) {
    if (one.isDirectory()) dropEmpty(join(folder, one.name));
  }
  if (readdirSync(folder).length === 0) drop(folder);
}

/** Native libraries of the tree, and those whose ELF header names another machine. */
export function checkNative(library, machine) {
  const found = filesIn(library).filter((file) => file.endsWith(".node"));
  return { found, wrong: found.filter((file) => elfMachine(file) !== machine) };
}

function elfMachine(file) {
  const head = Buffer.alloc(20);
  const fd = openSync(file, "r");
  readSync(fd, head, 0, head.length, 0);
  closeSync(fd);
  return head.readUInt32BE(0) === 0x7f454c46 ? head.readUInt16LE(18) : -1;
}
