import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { Socket } from "node:net";

/**
 * The terminal in front of a person, raw while a session runs: every key goes through, and whatever ends this program,
 * the terminal is as it was. We put it back ourselves where we can; where we are killed, a small process does that waits
 * for our end. It does so only if the terminal still stands as we left it: a shell that was quicker has its own settings.
 */
export interface Terminal {
  /** Keys from now on; bytes to show are the caller's. */
  raw(keys: (bytes: Buffer) => void): void;
  /** While a person answers questions in whole lines. */
  cooked<T>(work: () => Promise<T>): Promise<T>;
  /** Stops reading keys: what was typed waits in the kernel. */
  hold(on: boolean): void;
  /** Puts it back, once and for all. */
  restore(): void;
}

const GUARD = `
const { spawnSync } = require("node:child_process");
let said = "";
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(signal, () => undefined);
const stty = (...args) => String(spawnSync("stty", args, { stdio: [3, "pipe", "ignore"] }).stdout).trim();
process.stdin.on("data", (bytes) => (said += bytes)).on("end", () => {
  if (said.includes("done")) return;
  const raw = /raw (\\S+)/.exec(said);
  if (raw === null || stty("-g") === raw[1]) stty(process.argv[1]);
});
`;
const SIGNALS = ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"] as const;
const NUMBERS = { SIGTERM: 15, SIGHUP: 1, SIGINT: 2, SIGQUIT: 3 } as const;

export function openTerminal(): Terminal {
  const { stdin } = process;
  const saved = settings();
  const guard = saved === null ? null : startGuard(saved);
  let keys: ((bytes: Buffer) => void) | null = null;
  let over = false;

  const heard = (bytes: Buffer): void => keys?.(bytes);

  const makeRaw = (): void => {
    stdin.setRawMode(true);
    const now = settings();
    if (now !== null) guard?.stdin?.write(`raw ${now}\n`);
    stdin.on("data", heard);
    stdin.resume();
  };

  const makeCooked = (): void => {
    stdin.off("data", heard);
    stdin.pause();
    setCooked();
  };

  const setCooked = (): void => {
    try {
      stdin.setRawMode(false);
    } catch {
      // The terminal has gone: there is nothing to put back.
    }
  };

  const restore = (): void => {
    if (over) return;
    over = true;
    makeCooked();
    for (const signal of SIGNALS) process.off(signal, onSignal);
    process.off("exit", restore);
    guard?.stdin?.end("done\n");
  };

  const onSignal = (signal: NodeJS.Signals): void => {
    restore();
    process.exit(128 + (NUMBERS[signal as keyof typeof NUMBERS] ?? 15));
  };

  process.on("exit", restore);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  return {
    raw(listener) {
      keys = listener;
      makeRaw();
    },
    async cooked(work) {
      makeCooked();
      process.off("SIGINT", onSignal);
      try {
        return await work();
      } finally {
        process.on("SIGINT", onSignal);
        if (!over) makeRaw();
      }
    },
    hold: (on) => void (on ? stdin.pause() : stdin.resume()),
    restore,
  };
}

/** As `stty` reads and writes them; null where there is no stty. */
function settings(): string | null {
  try {
    return execFileSync("stty", ["-g"], { stdio: ["inherit", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return null;
  }
}

/** In a session of its own: what is sent to our process group does not reach it. */
function startGuard(saved: string): ChildProcess {
  // Not as one of the first three: those Node puts back at its end to what they were at its start, which may be raw.
  const stdio = ["pipe", "ignore", "ignore", 0] as const;
  const guard = spawn(process.execPath, ["-e", GUARD, saved], { stdio: [...stdio], detached: true });
  guard.on("error", () => undefined);
  guard.stdin?.on("error", () => undefined);
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  return guard;
}
