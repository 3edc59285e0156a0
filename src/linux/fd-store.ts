import koffi from "koffi";
import { notify, sendWithFd } from "./notify.ts";

/**
 * systemd's file-descriptor store (systemd.service(5), sd_notify(3), sd_listen_fds(3)): descriptors that outlive the
 * program. While the store has a line or a terminal open, a crash of ours lets nothing go.
 */
export interface FdStore {
  /** False where nobody keeps descriptors: without systemd, or where it did not take it. */
  readonly available: boolean;
  /** The descriptor that was kept under this name; each is given out once. */
  take(name: string): number | null;
  /** Names that nobody took: what the config no longer has. */
  left(): string[];
  /** False when it could not be handed over. */
  put(name: string, fd: number): boolean;
  remove(name: string): void;
}

const FIRST_FD = 3;
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Reads what systemd handed over, and clears its variables so that no child believes they are its own. */
export function openFdStore(env: NodeJS.ProcessEnv = process.env, pid: number = process.pid): FdStore {
  const kept = inherited(env, pid);
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete env[name];
  const { NOTIFY_SOCKET } = env;
  // systemd tells since version 254 whether a unit has a store; an older one that has none ignores what it is sent.
  const available = NOTIFY_SOCKET !== undefined && env.FDSTORE !== "0";
  return {
    available,
    take(name) {
      const fd = kept.get(name)?.shift() ?? null;
      if (kept.get(name)?.length === 0) kept.delete(name);
      return fd;
    },
    left: () => [...kept.keys()],
    put: (name, fd) => available && sendWithFd(`FDSTORE=1\nFDNAME=${name}`, fd, env),
    remove: (name) => void notify(`FDSTOREREMOVE=1\nFDNAME=${name}`, env),
  };
}

function inherited(env: NodeJS.ProcessEnv, pid: number): Map<string, number[]> {
  const kept = new Map<string, number[]>();
  const count = Number(env.LISTEN_FDS ?? "0");
  if (Number(env.LISTEN_PID) !== pid || !Number.isInteger(count) || count < 1) return kept;
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  const fcntl = koffi.load("libc.so.6").func("int fcntl(int fd, int command, int argument)");
  for (let index = 0; index < count; index++) {
    const fd = FIRST_FD + index;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) continue;
    const name = names[index] ?? "unknown";
    kept.set(name, [...(kept.get(name) ?? []), fd]);
  }
  return kept;
}
