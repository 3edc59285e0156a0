import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** The few things that a ring of segments needs of a disk. Paths are names inside one folder. All calls block. */
export interface Disk {
  list(): string[];
  size(name: string): number;
  /** Makes a file of zeros of this size, whole or not at all. */
  create(name: string, sizeBytes: number): void;
  read(name: string, offset: number, length: number): Uint8Array;
  /** Writes all of it or throws. */
  write(name: string, offset: number, bytes: Uint8Array): void;
  sync(name: string): void;
  close(): void;
}

const ZEROS = Buffer.alloc(256 * 1024);

export function openDisk(folder: string, mode: "read" | "write"): Disk {
  if (mode === "write") mkdirSync(folder, { recursive: true });
  const open = new Map<string, number>();
  const fd = (name: string): number => {
    const held = open.get(name);
    if (held !== undefined) return held;
    const made = openSync(join(folder, name), mode === "write" ? "r+" : "r");
    open.set(name, made);
    return made;
  };
  return {
    list: () => readdirSync(folder).sort(),
    size: (name) => fstatSync(fd(name)).size,
    create(name, sizeBytes) {
      const temporary = join(folder, `${name}.new`);
      writeFresh(temporary, (made) => {
        for (let at = 0; at < sizeBytes; at += ZEROS.length) {
          writeFully(made, ZEROS.subarray(0, Math.min(ZEROS.length, sizeBytes - at)), at);
        }
      });
      renameSync(temporary, join(folder, name));
      syncFolder(folder);
    },
    read(name, offset, length) {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(fd(name), bytes, 0, length, offset));
    },
    write: (name, offset, bytes) => writeFully(fd(name), bytes, offset),
    sync: (name) => fdatasyncSync(fd(name)),
    close() {
      for (const held of open.values()) closeSync(held);
      open.clear();
    },
  };
}

/** A full card writes a part and says nothing: the count is what tells (`facts`: 4094 of 8192 bytes, no error). */
function writeFully(fd: number, bytes: Uint8Array, offset: number): void {
  let done = 0;
  while (done < bytes.length) {
    const wrote = writeSync(fd, bytes, done, bytes.length - done, offset + done);
    if (wrote === 0) throw new Error("the disk took no more bytes");
    done += wrote;
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

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
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
