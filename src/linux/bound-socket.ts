import { constants } from "node:os";
import koffi from "koffi";

/**
 * A socket that leaves by one network device, whatever the routes say (SO_BINDTODEVICE; since Linux 5.7 for everybody).
 * Node has no option for it, but takes a descriptor.
 */

const AF = { 4: 2, 6: 10 } as const;
const TYPE = { tcp: 1, udp: 2 } as const;
const CLOEXEC_NONBLOCK = 0o2004000;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;

interface Calls {
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number;
  readonly close: (fd: number) => number;
}

let calls: Calls | null = null;

function loaded(): Calls {
  if (calls !== null) return calls;
  const libc = koffi.load("libc.so.6");
  calls = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)"),
    close: libc.func("int close(int fd)"),
  };
  return calls;
}

function failure(what: string): Error {
  const number = koffi.errno();
  const name = Object.entries(constants.errno).find(([, one]) => one === number)?.[0];
  return new Error(`${what}: ${name ?? number}`);
}

/** The descriptor is the caller's, who hands it to `net.Socket` or `dgram`. */
export function boundSocket(kind: keyof typeof TYPE, family: keyof typeof AF, device: string): number {
  const { socket, setsockopt, close } = loaded();
  const fd = socket(AF[family], TYPE[kind] | CLOEXEC_NONBLOCK, 0);
  if (fd < 0) throw failure("socket");
  const name = Buffer.from(`${device}\0`);
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length) === 0) return fd;
  const error = failure(device);
  close(fd);
  throw error;
}
