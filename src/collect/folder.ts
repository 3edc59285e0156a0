import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../disk/make-folder.ts";

/** What the receiving side needs of a disk. Paths are relative to one folder, with `/`. Only `sync` takes its time. */
export interface Folder {
  /** Names in a folder, sorted; none where there is no such folder. */
  list(path: string): readonly string[];
  /** 0 where there is no such file. */
  size(path: string): number;
  read(path: string, from: number, length: number): Uint8Array;
  /** Writes all of it at this position or throws; makes the file and its folders. */
  write(path: string, at: number, bytes: Uint8Array): void;
  truncate(path: string, sizeBytes: number): void;
  /** Contents, and the names that were made for it, are on the medium after this. */
  sync(path: string): Promise<void>;
  /** Whole or not at all for who reads it; not synced. */
  replace(path: string, content: string): void;
  freeBytes(): number;
}

/** What the disk said. Its own errors carry a code; anything else is a mistake of this program. */
export function diskProblem(error: unknown): string {
  if (!(error instanceof Error) || !("code" in error)) throw error;
  return error.message;
}

export function openFolder(root: string): Folder {
  /** Files made since, whose names are not known to be on the medium. */
  const fresh = new Set<string>();
  const at = (path: string) => join(root, path);
  return {
    list(path) {
      try {
        return readdirSync(at(path)).sort();
      } catch (error) {
        if (isMissing(error)) return [];
        throw error;
      }
    },
    size: (path) => statSync(at(path), { throwIfNoEntry: false })?.size ?? 0,
    read(path, from, length) {
      const bytes = Buffer.alloc(length);
      return withFile(at(path), "r", (fd) => bytes.subarray(0, readSync(fd, bytes, 0, length, from)));
    },
    write(path, position, bytes) {
      let fd = openOrNull(at(path));
      if (fd === null) {
        makeFolder(dirname(at(path)), 0o750);
        fd = openSync(at(path), "w", 0o640);
        fresh.add(path);
      }
      try {
        writeFully(fd, bytes, position);
      } finally {
        closeSync(fd);
      }
    },
    truncate: (path, sizeBytes) => withFile(at(path), "r+", (fd) => ftruncateSync(fd, sizeBytes)),
    async sync(path) {
      const file = await open(at(path), "r+");
      try {
        await file.datasync();
      } finally {
        await file.close();
      }
      if (!fresh.has(path)) return;
      for (let folder = dirname(at(path)); folder.length >= root.length; folder = dirname(folder)) syncFolder(folder);
      fresh.delete(path);
    },
    replace(path, content) {
      const temporary = at(`${path}.new`);
      try {
        withFile(temporary, "w", (fd) => writeFully(fd, Buffer.from(content), 0));
        renameSync(temporary, at(path));
      } catch (error) {
        rmSync(temporary, { force: true });
        throw error;
      }
    },
    freeBytes() {
      const { bavail, bsize } = statfsSync(root);
      return bavail * bsize;
    },
  };
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, "r+");
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function withFile<T>(path: string, flags: string, work: (fd: number) => T): T {
  const fd = openSync(path, flags, 0o640);
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/** A full disk takes a part and says nothing: the count tells. */
function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const wrote = writeSync(fd, bytes, done, bytes.length - done, position + done);
    if (wrote === 0) throw Object.assign(new Error("the disk took no more bytes"), { code: "ENOSPC" });
    done += wrote;
  }
}

function syncFolder(path: string): void {
  withFile(path, "r", fsyncSync);
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
