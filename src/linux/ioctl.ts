import { constants } from "node:os";
import koffi from "koffi";

/** ioctl(2) through libc, with the kernel's own error names. */

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

export class IoctlError extends Error {
  /** `EBUSY`, `EPERM` and so on. */
  readonly code: string;

  constructor(what: string, code: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

type CallNumber = (fd: number, request: number, argument: number) => number;
type Call = (fd: number, request: number, argument: Uint8Array) => number;
let call: Call | null = null;
let callNumber: CallNumber | null = null;

/**
 * @param argument the struct that the request reads and writes, in place.
 * @param what names the request in the error.
 */
export function ioctl(fd: number, request: number, argument: Uint8Array, what: string): number {
  call ??= koffi.load("libc.so.6").func("int ioctl(int fd, unsigned long request, void *argument)");
  return checked(call(fd, request, argument), what);
}

/** For requests whose argument is the number itself. */
export function ioctlNumber(fd: number, request: number, argument: number, what: string): number {
  callNumber ??= koffi.load("libc.so.6").func("int ioctl(int fd, unsigned long request, long argument)");
  return checked(callNumber(fd, request, argument), what);
}

function checked(result: number, what: string): number {
  if (result < 0) throw new IoctlError(what, ERRNO_NAMES.get(koffi.errno()) ?? String(koffi.errno()));
  return result;
}
