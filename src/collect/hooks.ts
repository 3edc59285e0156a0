import { spawn } from "node:child_process";

/** Runs a program for what people want to know at once, and never waits for it. */

export interface HookEvent {
  readonly type: "offline" | "online" | "gap" | "pattern" | "storage" | "renumbered" | "dropped";
  /** Unix ms, by the collector's clock. */
  readonly at: number;
  readonly fleet?: string;
  readonly site?: string;
  readonly console?: string;
  readonly [detail: string]: unknown;
}

export interface Hooks {
  tell(event: HookEvent): void;
  readonly counts: HookCounts;
  /** Lets what runs end, and starts nothing more. */
  stop(): Promise<void>;
}

export interface HookCounts {
  ran: number;
  failed: number;
  dropped: number;
}

export interface HookOptions {
  /** Null: nobody is told. */
  readonly program: string | null;
  readonly log: (line: string) => void;
  readonly now: () => number;
  readonly timeoutMs?: number;
  /** How many may wait. */
  readonly queueLimit?: number;
}

const AT_ONCE = 4;
const QUEUE_LIMIT = 256;
const TIMEOUT_MS = 30_000;

export function createHooks({
  program,
  log,
  now,
  timeoutMs = TIMEOUT_MS,
  queueLimit = QUEUE_LIMIT,
}: HookOptions): Hooks {
  const queue: HookEvent[] = [];
  const counts: HookCounts = { ran: 0, failed: 0, dropped: 0 };
  let undeclared = 0;
  let stopped = false;
  const running = new Set<Promise<void>>();

  const next = (): HookEvent | undefined => {
    if (undeclared === 0 || queue.length > 0) return queue.shift();
    const count = undeclared;
    undeclared = 0;
    return { type: "dropped", at: now(), count };
  };

  const pump = (): void => {
    while (program !== null && !stopped && running.size < AT_ONCE) {
      const event = next();
      if (event === undefined) return;
      const work = runOnce(program, { v: 1, ...event }, timeoutMs).then((problem) => {
        counts.ran++;
        if (problem !== null) {
          counts.failed++;
          log(`hook ${program} for ${event.type} ${event.site ?? ""}: ${problem}`);
        }
        running.delete(work);
        pump();
      });
      running.add(work);
    }
  };

  return {
    counts,
    tell(event) {
      if (program === null) return;
      if (queue.length >= queueLimit) {
        counts.dropped++;
        undeclared++;
        return;
      }
      queue.push(event);
      pump();
    },
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
  };
}

/** Null when the program ended well, else what was wrong. */
function runOnce(program: string, event: object, timeoutMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    // A group of its own: what it started goes with it when its time is over.
    const child = spawn(program, [], { stdio: ["pipe", "ignore", "pipe"], detached: true });
    let said = "";
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid);
    }, timeoutMs);
    child.stderr.on("data", (bytes: Buffer) => {
      said = (said + bytes.toString("utf8")).slice(-500);
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve(error.message);
    });
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      // What it left behind must not keep its pipe, and with it this place, for ever.
      child.stderr.destroy();
      const how = late ? `not done after ${timeoutMs / 1000} s, ended` : `exit ${code ?? signal}`;
      resolve(code === 0 ? null : `${how}${said === "" ? "" : `: ${said.trim()}`}`);
    });
    // A program that does not read its input is no error.
    child.stdin.on("error", () => undefined);
    child.stdin.end(`${JSON.stringify(event)}\n`);
  });
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
