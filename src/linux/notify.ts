import koffi from "koffi";

/**
 * sd_notify without systemd's library: one datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3), unix(7)).
 * Node has no datagrams on Unix sockets, and a helper process would not be the main one that systemd listens to.
 */

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_NOSIGNAL = 0x4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

/** False when nobody asked, or it could not be told: a controller starts all the same. */
export function notify(state: string, env: NodeJS.ProcessEnv = process.env): boolean {
  return send(state, null, env);
}

/** The same with a descriptor beside it (unix(7), `SCM_RIGHTS`): the receiver gets a copy of its own. */
export function sendWithFd(state: string, fd: number, env: NodeJS.ProcessEnv = process.env): boolean {
  return send(state, fd, env);
}

let libc: ReturnType<typeof load> | null = null;

/** `struct msghdr` and `struct iovec` as on 64-bit Linux: koffi lays them out. */
function load() {
  const lib = koffi.load("libc.so.6");
  koffi.struct("towpath_iovec", { base: "const void *", length: "size_t" });
  koffi.struct("towpath_msghdr", {
    name: "const void *",
    nameLength: "uint32_t",
    iov: "towpath_iovec *",
    iovCount: "size_t",
    control: "const void *",
    controlLength: "size_t",
    flags: "int",
  });
  return {
    socket: lib.func("int socket(int domain, int type, int protocol)"),
    sendmsg: lib.func("long sendmsg(int fd, const towpath_msghdr *message, int flags)"),
    close: lib.func("int close(int fd)"),
  };
}

function send(state: string, passed: number | null, env: NodeJS.ProcessEnv): boolean {
  const path = env.NOTIFY_SOCKET;
  if (path === undefined || !/^[/@]/.test(path)) return false;
  libc ??= load();
  const fd: number = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return false;
  const bytes = Buffer.from(state);
  const address = sockaddr(path);
  const control = passed === null ? null : rights(passed);
  const sent: number = libc.sendmsg(
    fd,
    {
      name: address,
      nameLength: address.length,
      iov: [{ base: bytes, length: bytes.length }],
      iovCount: 1,
      control,
      controlLength: control?.length ?? 0,
      flags: 0,
    },
    MSG_NOSIGNAL,
  );
  libc.close(fd);
  return sent === bytes.length;
}

/** `struct sockaddr_un`: the family in the machine's byte order, then the path; `@` stands for an abstract name. */
function sockaddr(path: string): Buffer {
  const name = path.startsWith("@") ? Buffer.from(`\0${path.slice(1)}`) : Buffer.from(`${path}\0`);
  const family = Buffer.from(new Uint16Array([AF_UNIX]).buffer);
  return Buffer.concat([family, name]);
}

/** `struct cmsghdr` of 64-bit Linux with one descriptor, padded to eight bytes (cmsg(3)). */
function rights(fd: number): Buffer {
  const message = Buffer.alloc(24);
  message.writeBigUInt64LE(20n, 0);
  message.writeInt32LE(SOL_SOCKET, 8);
  message.writeInt32LE(SCM_RIGHTS, 12);
  message.writeInt32LE(fd, 16);
  return message;
}
