import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A running qemu and its monitor. */
export interface Qemu {
  qmp(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** A command of the human monitor, for what QMP lacks. */
  monitor(line: string): Promise<string>;
  /** Resolves with the next monitor event of this name; ask before what causes it. */
  event(name: string, timeoutMs: number): Promise<void>;
  /** Why it is not running any more; null while it is. */
  ended(): string | null;
  /** Resolves when it has ended by itself. */
  untilEnded(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(problem: Error): void;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** One conversation with the monitor: answers come in the order of the questions, events in between. */
class Monitor extends EventEmitter {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #text = "";

  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
    socket.on("close", () => this.#fail("qemu has ended"));
    socket.on("error", (problem) => this.#fail(problem.message));
  }

  ask(command: string, args: Readonly<Record<string, unknown>>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject: (problem) => reject(new Error(`qemu ${command}: ${problem.message}`)) });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  #take(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines.filter((one) => one.trim() !== "")) this.#answer(JSON.parse(line));
  }

  #answer(message: { event?: string; return?: unknown; error?: { desc: string }; QMP?: unknown }): void {
    if (message.event !== undefined) this.emit("event", message.event);
    else if (message.error !== undefined) this.#waiting.shift()?.reject(new Error(message.error.desc));
    else if (message.QMP === undefined) this.#waiting.shift()?.resolve(message.return);
  }

  #fail(problem: string): void {
    for (const one of this.#waiting.splice(0)) one.reject(new Error(problem));
  }
}

async function connect(path: string, child: ChildProcess): Promise<Socket> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) break;
    const socket = createConnection(path);
    try {
      await once(socket, "connect");
      return socket;
    } catch {
      // Not there yet: qemu makes the socket a moment after it starts.
      socket.destroy();
      await sleep(50);
    }
  }
  throw new Error("qemu does not answer on its monitor");
}

/** Starts qemu, halted (`cont` lets it run), in a way that it cannot outlive this process, however that ends. */
export async function startQemu(program: string, args: readonly string[], folder: string): Promise<Qemu> {
  const path = join(folder, "qmp.sock");
  const own = ["-S", "-display", "none", "-qmp", `unix:${path},server=on,wait=off`];
  const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args, ...own], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.add(child);
  let said = "";
  let end: string | null = null;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4000);
  });
  const exited = once(child, "exit").then(([code, signal]) => {
    running.delete(child);
    end = `${program} ended with ${code ?? signal}: ${said.trim()}`;
  });
  const monitor = await connect(path, child).then(
    (socket) => new Monitor(socket),
    (problem: Error) => {
      child.kill("SIGKILL");
      throw new Error(`${problem.message}; it said: ${said.trim()}`);
    },
  );
  await monitor.ask("qmp_capabilities", {});
  return {
    qmp: (command, args = {}) => monitor.ask(command, args),
    monitor: async (line) => `${await monitor.ask("human-monitor-command", { "command-line": line })}`,
    event: (name, timeoutMs) => nextEvent(monitor, name, timeoutMs),
    ended: () => end,
    async untilEnded(timeoutMs) {
      const late = sleep(timeoutMs, "late", { ref: false });
      if ((await Promise.race([exited, late])) === "late") throw new Error(`qemu still runs after ${timeoutMs} ms`);
    },
    async stop() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function nextEvent(monitor: Monitor, wanted: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      monitor.off("event", seen);
    };
    const seen = (name: string) => {
      if (name !== wanted) return;
      done();
      resolve();
    };
    const timer = setTimeout(() => {
      done();
      reject(new Error(`no ${wanted} from qemu in ${timeoutMs} ms`));
    }, timeoutMs);
    monitor.on("event", seen);
  });
}
