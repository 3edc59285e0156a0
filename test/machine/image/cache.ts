import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { Unavailable } from "../requirements.ts";

const DAY_MS = 86_400_000;
const UNUSED_MS = 14 * DAY_MS;
const KILLED_BUILD_MS = DAY_MS;

/** Where built machines are kept: outside the checkout, because they outlive it and are large. */
function machinesFolder(): string {
  return process.env.TOWPATH_MACHINES ?? join(homedir(), ".cache/towpath/machines");
}

/** This file says where an image lies, not what it holds; what is in the other comes with the ingredients. */
const APART = ["/cache.ts", "/packages.ts"];

/** Every file that decides what an image holds: changing one makes a new image. The other machine's are left out. */
function recipe(kind: "vm" | "pi"): string {
  const hash = createHash("sha256");
  const others = kind === "vm" ? /\/pi(\/|-image)/ : /\/vm(\/|-image)/;
  const files = readdirSync(import.meta.dirname, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(import.meta.dirname.length));
  for (const file of files.sort())
    if (!others.test(file) && !APART.includes(file))
      hash.update(`${file}\0`).update(readFileSync(join(import.meta.dirname, file)));
  return hash.digest("hex");
}

/** Takes away images that nobody has used for long, and what builds that were killed have left. */
function sweep(): void {
  for (const name of readdirSync(machinesFolder())) {
    const folder = join(machinesFolder(), name);
    const idleMs = Date.now() - statSync(folder).mtimeMs;
    if (idleMs > (name.startsWith(".") ? KILLED_BUILD_MS : UNUSED_MS)) rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * The folder of a built image; builds it when there is none for these ingredients. A build happens in a folder of its
 * own and is renamed when it is whole, so that an interrupted one is never used.
 */
export function cachedImage(
  kind: "vm" | "pi",
  ingredients: readonly string[],
  build: (folder: string) => void,
): string {
  const key = createHash("sha256").update(recipe(kind)).update(ingredients.join("\0")).digest("hex").slice(0, 16);
  const folder = join(machinesFolder(), `${kind}-${key}`);
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  if (process.getuid?.() !== 0) throw new Unavailable("the image is not built yet, and building it needs root");
  mkdirSync(machinesFolder(), { recursive: true });
  sweep();
  const half = mkdtempSync(join(machinesFolder(), `.${kind}-`));
  const clean = () => rmSync(half, { recursive: true, force: true });
  process.once("exit", clean);
  try {
    build(half);
    // Somebody else may have been faster: theirs is as good.
    if (!existsSync(folder)) renameSync(half, folder);
  } finally {
    process.off("exit", clean);
    clean();
  }
  return folder;
}
