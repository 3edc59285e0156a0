import { closeSync, constants, openSync } from "node:fs";
import koffi from "koffi";

/** Advisory locks that the kernel gives back when their holder dies, however it dies (flock(2)). */

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** False when somebody else holds it. The lock lives as long as the descriptor. */
export function tryLock(fd: number): boolean {
  const flock = koffi.load("libc.so.6").func("int flock(int fd, int operation)");
  return flock(fd, LOCK_EX | LOCK_NB) === 0;
}

/** Gives the lock back for every copy of the descriptor. */
export function unlock(fd: number): void {
  koffi.load("libc.so.6").func("int flock(int fd, int operation)")(fd, LOCK_UN);
}

/** Locks a file; `make` makes it where it is missing. Null when somebody else holds it. */
export function lockFile(path: string, make: "make" | "existing" = "make"): { release(): void } | null {
  const fd = openSync(path, constants.O_RDWR | (make === "make" ? constants.O_CREAT : 0), 0o600);
  if (tryLock(fd)) return { release: () => closeSync(fd) };
  closeSync(fd);
  return null;
}
