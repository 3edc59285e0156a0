import koffi from "koffi";

/**
 * sd_notify without systemd's library: one datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3), unix(7)).
 * Node has no datagrams on Unix sockets, and a helper process would not be the main one that systemd listens to.
 */

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_NOSIGNAL = 0x4000;

/** False when nobody asked, or it could not be told: a controller starts all the same. */
export function notify(state: string, env: NodeJS.ProcessEnv = process.env): boolean {
  const path = env.NOTIFY_SOCKET;
  if (path === undefined || !/^[/@]/.test(path)) return false;
  const libc = koffi.load("libc.so.6");
  const socket = libc.func("int socket(int domain, int type, int protocol)");
  const sendto = libc.func(
    "long sendto(int fd, const void *bytes, size_t length, int flags, const void *address, uint32_t size)",
  );
  const close = libc.func("int close(int fd)");
  const fd: number = socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return false;
  const message = Buffer.from(state);
  const address = sockaddr(path);
  const sent: number = sendto(fd, message, message.length, MSG_NOSIGNAL, address, address.length);
  close(fd);
  return sent === message.length;
}

/** `struct sockaddr_un`: the family in the machine's byte order, then the path; `@` stands for an abstract name. */
function sockaddr(path: string): Buffer {
  const name = path.startsWith("@") ? Buffer.from(`\0${path.slice(1)}`) : Buffer.from(`${path}\0`);
  const family = Buffer.from(new Uint16Array([AF_UNIX]).buffer);
  return Buffer.concat([family, name]);
}
