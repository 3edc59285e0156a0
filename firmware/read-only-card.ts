import { accessSync, closeSync, constants, mkdtempSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { makeFolder } from "../src/disk/make-folder.ts";
import { lockFile, tryLock } from "../src/linux/flock.ts";
import type { LogLine } from "../src/site/edges.ts";
import { StartRefused } from "./start-refused.ts";

/**
 * A card that takes nothing any more: the kernel mounts it read-only after errors, and the site starts all the same. It
 * records to memory and keeps power; what a start wants to write it says instead.
 */

interface Lock {
  release(): void;
}

/** One controller to a data folder. Null when another one has it. */
export function lockData(data: string): Lock | null {
  try {
    return lockFile(join(data, "lock"));
  } catch (error) {
    if (codeOf(error) === "EROFS") return lockUnwritten(data);
    throw new StartRefused(
      `${data} cannot be written (${codeOf(error)}); give it to the controller's user: chown -R towpath ${data}`,
    );
  }
}

export function makeData(data: string): void {
  try {
    makeFolder(data);
  } catch (error) {
    throw new StartRefused(`data: ${data} cannot be made (${codeOf(error)}); choose another folder`);
  }
}

/** The file that an earlier start made, or the folder: a lock needs no right to write. */
function lockUnwritten(data: string): Lock | null {
  const fd = openEither(join(data, "lock"), data);
  if (tryLock(fd)) return { release: () => closeSync(fd) };
  closeSync(fd);
  return null;
}

function openEither(file: string, folder: string): number {
  try {
    return openSync(file, constants.O_RDONLY);
  } catch {
    return openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  }
}

/** Without its key a site is nobody: a first start writes it, or is refused. */
export function unlessFirst<T>(data: string, loadKey: () => T): T {
  try {
    return loadKey();
  } catch (error) {
    if (codeOf(error) !== "EROFS") throw error;
    throw new StartRefused(`${data} has no key of the site and is read-only; is its partition mounted?`);
  }
}

/** Where a socket can be made: beside the data, or in memory while the card takes none. */
export function socketOn(socket: string, log: (line: LogLine) => void): string {
  if (!isReadOnly(dirname(socket))) return socket;
  const folder = folderInMemory();
  if (folder === null) throw new StartRefused(`${socket}: the card is read-only, and there is no other place for it`);
  const path = join(folder, "towpath.sock");
  log({ level: "error", code: "storage.degraded", detail: `${dirname(socket)} is read-only; --local ${path}` });
  return path;
}

function folderInMemory(): string | null {
  const own = process.env.RUNTIME_DIRECTORY?.split(":")[0];
  if (own !== undefined && own !== "") return own;
  for (const folder of ["/run", "/dev/shm", tmpdir()]) {
    try {
      return mkdtempSync(join(folder, "towpath-"));
    } catch {
      // The next one.
    }
  }
  return null;
}

/** access(2) tells it to root too. */
function isReadOnly(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return false;
  } catch (error) {
    return codeOf(error) === "EROFS";
  }
}

/** What is not needed to run: on a card that takes nothing it is said and left out. */
export function unlessReadOnly(what: string, log: (line: LogLine) => void, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (codeOf(error) !== "EROFS") throw error;
    log({ level: "error", code: "storage.degraded", detail: `${what} cannot be stored: the card is read-only` });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
