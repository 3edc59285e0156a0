import { spawn } from "node:child_process";
import {
  close,
  closeSync,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  statfs,
  statSync,
  truncateSync,
  write,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/** Room on a card: files filled with zeros ahead of their use, and a reserve that keeps others from taking the rest. */

/** Zeros and not just allocated: each first sync into unwritten extents would cost the file system metadata. */
export const ZEROS = Buffer.alloc(256 * 1024);
const PUT_OFF_MS = 20;
/** What a reserve leaves to others: trust, config, the system. */
const LEFT_FREE = 32 * 1024 * 1024;

/** A full card writes a part and says nothing: the count is what tells (`facts`: 4094 of 8192 bytes, no error). */
export function writeFully(fd: number, bytes: Uint8Array, offset: number): void {
  let done = 0;
  while (done < bytes.length) {
    const wrote = writeSync(fd, bytes, done, bytes.length - done, offset + done);
    if (wrote === 0) throw new Error("the disk took no more bytes");
    done += wrote;
  }
}

export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Fills `temporary` with zeros, a synced piece at a time and only while `mayGo` says so, and gives it its name. Nothing
 * waits for it: who needs the name sooner makes the file at once, and this one goes.
 */
export function fillSlowly(
  temporary: string,
  path: string,
  sizeBytes: number,
  mayGo: () => boolean | null,
  giveRoom: (bytes: number) => void,
  done: (error: Error | null) => void,
): void {
  let fd = -1;
  let at = 0;
  const end = (error: Error | null): void => {
    if (fd >= 0) close(fd, () => undefined);
    if (error !== null) rmSync(temporary, { force: true });
    done(error);
  };
  const guarded =
    (next: () => void) =>
    (error?: Error | null): void => {
      if (error) return end(error);
      try {
        next();
      } catch (thrown) {
        end(thrown instanceof Error ? thrown : new Error(String(thrown)));
      }
    };
  const publish = (): void => {
    if (existsSync(path)) rmSync(temporary, { force: true });
    else renameSync(temporary, path);
    syncFolder(dirname(path));
    end(null);
  };
  const piece = guarded(() => {
    const may = mayGo();
    if (may === null) return end(new Error("given up"));
    if (!may) return void setTimeout(piece, PUT_OFF_MS);
    if (at >= sizeBytes) return publish();
    const length = Math.min(ZEROS.length, sizeBytes - at);
    write(fd, ZEROS, 0, length, at, (error, wrote) => {
      if (error === null && wrote === 0) return end(new Error("the disk took no more bytes"));
      at += wrote;
      guarded(() => fdatasync(fd, (failed) => guarded(() => setTimeout(piece, PUT_OFF_MS))(failed)))(error);
    });
  });
  guarded(() => {
    giveRoom(sizeBytes);
    fd = openSync(temporary, "w", 0o644);
    piece();
  })();
}

/** Lets go of a part of the reserve for a file that is made now. */
export function shrinkReserve(path: string, bytes: number): void {
  if (!existsSync(path)) return;
  const left = statSync(path).size - bytes;
  if (left > 0) truncateSync(path, left);
  else rmSync(path, { force: true });
}

/** Makes the reserve this large, or as large as the card allows, without writing it. Tells what it holds. */
export function keepReserve(path: string, wantBytes: number, done: (reservedBytes: number) => void): void {
  const held = existsSync(path) ? statSync(path).size : 0;
  if (wantBytes <= held) {
    shrinkReserve(path, held - wantBytes);
    return done(Math.max(0, wantBytes));
  }
  statfs(dirname(path), (error, room) => {
    const free = error ? 0 : room.bavail * room.bsize - LEFT_FREE;
    const size = Math.min(wantBytes, held + Math.max(0, free));
    if (size <= held) return done(held);
    // No node:fs call allocates without writing; the program is part of every Debian (util-linux).
    const child = spawn("fallocate", ["-l", String(size), path], { stdio: "ignore" });
    child.once("error", () => done(held));
    child.once("exit", (code) => done(code === 0 ? size : trimmed(path, held)));
  });
}

/** An allocation that failed half way keeps what it had taken. */
function trimmed(path: string, size: number): number {
  if (!existsSync(path)) return 0;
  const fd = openSync(path, "r+");
  try {
    ftruncateSync(fd, Math.min(size, fstatSync(fd).size));
  } finally {
    closeSync(fd);
  }
  return size;
}
