import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";

/**
 * A stand-in for systemd: starts the controller, hears its READY=1, and keeps the descriptors that it is sent for the
 * next start. In Python, because Node takes no descriptors from a Unix socket.
 */
export interface ServiceManager {
  /** Resolves when the controller is ready. */
  start(): Promise<void>;
  signal(name: "SIGKILL" | "SIGTERM" | "SIGSTOP" | "SIGCONT"): void;
  ended(): Promise<void>;
  pid(): number;
  close(): void;
}

const PROGRAM = `
import array, fcntl, json, os, select, signal, socket, sys
path, keep, log, command = sys.argv[1], sys.argv[2] == "keep", sys.argv[3], sys.argv[4:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); notify.bind(path)
kept, child = [], 0
def tell(**what): print(json.dumps(what), flush=True)
def start():
    global child
    child = os.fork()
    if child: return
    mine = [fcntl.fcntl(fd, fcntl.F_DUPFD, 500) for _, fd in kept]
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0); os.dup2(out, 1); os.dup2(out, 2)
    for index, fd in enumerate(mine): os.dup2(fd, 3 + index, inheritable=True)
    os.closerange(3 + len(mine), 2000)
    env = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}
    env["NOTIFY_SOCKET"] = path
    if not keep: env["FDSTORE"] = "0"
    if mine: env.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(mine)), LISTEN_FDNAMES=":".join(n for n, _ in kept))
    os.execvpe(command[0], command, env)
def hear():
    global kept
    data, fds, _, _ = socket.recv_fds(notify, 8192, 16)
    words = dict(line.split("=", 1) for line in data.decode().split("\\n") if "=" in line)
    name = words.get("FDNAME", "")
    if "FDSTORE" in words and keep: kept += [(name, fd) for fd in fds]
    else: [os.close(fd) for fd in fds]
    if "FDSTOREREMOVE" in words:
        [os.close(fd) for n, fd in kept if n == name]; kept = [one for one in kept if one[0] != name]
    if words.get("READY") == "1": tell(ready=child)
while True:
    readable, _, _ = select.select([notify, sys.stdin], [], [], 0.01)
    if notify in readable: hear()
    if sys.stdin in readable:
        line = sys.stdin.readline()
        if not line: break
        if line.strip() == "start": start()
        elif child: os.kill(child, getattr(signal, line.strip()))
    if child and os.waitpid(child, os.WNOHANG)[0]:
        while select.select([notify], [], [], 0)[0]: hear()
        child = 0; tell(ended=True)
if child: os.kill(child, signal.SIGKILL)
`;

export function openServiceManager(
  socket: string,
  keep: boolean,
  log: string,
  command: readonly string[],
): ServiceManager {
  const child: ChildProcess = spawn("python3", ["-c", PROGRAM, socket, keep ? "keep" : "let-go", log, ...command], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stderr?.pipe(createWriteStream(`${log}.manager`));
  let pid = 0;
  let waiting: { wants: "ready" | "ended"; resolve: () => void; reject: (error: Error) => void } | null = null;
  if (child.stdout === null) throw new Error("no output");
  createInterface({ input: child.stdout }).on("line", (line) => {
    const said = JSON.parse(line) as { ready?: number; ended?: boolean };
    if (said.ready !== undefined) pid = said.ready;
    if (waiting === null) return;
    const { wants, resolve, reject } = waiting;
    waiting = null;
    if ((wants === "ready") === (said.ready !== undefined)) resolve();
    else reject(new Error(`the controller ended instead of starting; its words are in ${log}`));
  });
  const wait = (wants: "ready" | "ended") =>
    new Promise<void>((resolve, reject) => {
      waiting = { wants, resolve, reject };
    });
  return {
    start() {
      const ready = wait("ready");
      child.stdin?.write("start\n");
      return ready;
    },
    signal: (name) => void child.stdin?.write(`${name}\n`),
    ended: () => wait("ended"),
    pid: () => pid,
    close: () => void child.stdin?.end(),
  };
}
