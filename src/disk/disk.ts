import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { makeFolder } from "./make-folder.ts";
import { fillSlowly, keepReserve, shrinkReserve, syncFolder, writeFully, ZEROS } from "./room.ts";

/** The few things that a ring of segments needs of a disk. Paths are names inside one folder. All but `later` block. */
export interface Disk {
  list(): string[];
  size(name: string): number;
  /** Makes a file of zeros of this size, whole or not at all. */
  create(name: string, sizeBytes: number): void;
  /** The same a piece at a time: each piece is put off while `mayGo` says no; null gives it up. */
  createLater(name: string, sizeBytes: number, mayGo: () => boolean | null, done: (error: Error | null) => void): void;
  remove(name: string): void;
  read(name: string, offset: number, length: number): Uint8Array;
  /** Writes all of it or throws. */
  write(name: string, offset: number, bytes: Uint8Array): void;
  sync(name: string): void;
  syncLater(name: string, done: (error: Error | null) => void): void;
  /** Holds room for so many bytes of files that are yet to be made; tells how many it got. */
  reserve(sizeBytes: number, done: (reservedBytes: number) => void): void;
  close(): void;
}

export function openDisk(folder: string, mode: "read" | "write"): Disk {
  if (mode === "write") prepareFolder(folder);
  const open = new Map<string, number>();
  /** Why a file was opened for reading only. */
  const refused = new Map<string, unknown>();
  const fd = (name: string): number => {
    const held = open.get(name);
    if (held !== undefined) return held;
    refused.delete(name);
    const made = openAsAllowed(join(folder, name), mode, (why) => void refused.set(name, why));
    open.set(name, made);
    return made;
  };
  /** A handle that failed is not used again: the card may have been mounted anew since. */
  const orForget = <T>(name: string, work: (fd: number) => T): T => {
    const held = fd(name);
    try {
      return work(held);
    } catch (error) {
      open.delete(name);
      closeSync(held);
      throw error;
    }
  };
  const giveRoom = (sizeBytes: number): void => shrinkReserve(join(folder, RESERVE), sizeBytes);
  return {
    list: () => readdirSync(folder).sort(),
    size: (name) => fstatSync(fd(name)).size,
    create(name, sizeBytes) {
      giveRoom(sizeBytes);
      const temporary = join(folder, `${name}${UNFINISHED}`);
      writeFresh(temporary, (made) => {
        for (let at = 0; at < sizeBytes; at += ZEROS.length) {
          writeFully(made, ZEROS.subarray(0, Math.min(ZEROS.length, sizeBytes - at)), at);
        }
      });
      renameSync(temporary, join(folder, name));
      syncFolder(folder);
    },
    createLater(name, sizeBytes, mayGo, done) {
      const path = join(folder, name);
      fillSlowly(`${path}.later${UNFINISHED}`, path, sizeBytes, mayGo, giveRoom, done);
    },
    remove(name) {
      const held = open.get(name);
      open.delete(name);
      if (held !== undefined) closeSync(held);
      rmSync(join(folder, name), { force: true });
    },
    read: (name, offset, length) =>
      orForget(name, (held) => {
        const bytes = Buffer.allocUnsafe(length);
        return bytes.subarray(0, readSync(held, bytes, 0, length, offset));
      }),
    write: (name, offset, bytes) =>
      orForget(name, (held) => {
        if (refused.has(name)) throw refused.get(name);
        writeFully(held, bytes, offset);
      }),
    sync: (name) => orForget(name, fdatasyncSync),
    syncLater(name, done) {
      try {
        fdatasync(fd(name), done);
      } catch (error) {
        setImmediate(() => done(error instanceof Error ? error : new Error(String(error))));
      }
    },
    reserve: (sizeBytes, done) => keepReserve(join(folder, RESERVE), sizeBytes, done),
    close() {
      for (const held of open.values()) closeSync(held);
      open.clear();
    },
  };
}

/** Beside the segments: room that nobody else can take. */
const RESERVE = "room.reserve";
const UNFINISHED = ".new";

/** What an earlier life left half made goes. A card that cannot be written now is still read. */
function prepareFolder(folder: string): void {
  makeFolder(folder);
  try {
    for (const name of readdirSync(folder).filter((one) => one.endsWith(UNFINISHED))) rmSync(join(folder, name));
  } catch {
    // The first write will say why.
  }
}

/** On a card that has become read-only everything can still be read. */
function openAsAllowed(path: string, mode: "read" | "write", onRefused: (why: unknown) => void): number {
  if (mode === "read") return openSync(path, "r");
  try {
    return openSync(path, "r+");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== "EROFS" && code !== "EACCES") throw error;
    onRefused(error);
    return openSync(path, "r");
  }
}

function writeFresh(path: string, fill: (fd: number) => void, mode = 0o644): void {
  const fd = openSync(path, "w", mode);
  try {
    fill(fd);
    fsyncSync(fd);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** Replaces a file whole or leaves the old one: temporary, sync, rename, sync of the folder. */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): void {
  const temporary = `${path}.new`;
  writeFresh(temporary, (fd) => writeFully(fd, Buffer.from(content), 0), mode);
  renameSync(temporary, path);
  syncFolder(dirname(path));
}
