import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import { onTestFinished } from "vitest";
import { openPty } from "../pty.ts";

/** A program on a terminal, with somebody in front of it. */
export interface OnTerminal {
  readonly child: ChildProcess;
  readonly path: string;
  /** What the terminal has shown so far. */
  screen(): string;
  type(text: string): void;
}

export function onTerminal(program: string, args: readonly string[], env: Record<string, string> = {}): OnTerminal {
  const pty = openPty();
  const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
  // `setsid -c` makes it the controlling terminal, as a login does.
  const child = spawn("setsid", ["-c", "-w", program, ...args], {
    stdio: [fd, fd, fd],
    env: { ...process.env, TERM: "xterm", ...env },
  });
  // Our own descriptor stays open: what the program leaves of the terminal's settings can be looked at.
  const timer = setInterval(() => pty.heard(), 10);
  onTestFinished(() => {
    clearInterval(timer);
    child.kill("SIGKILL");
    closeSync(fd);
    pty.close();
  });
  return { child, path: pty.path, screen: () => pty.heard(), type: (text) => void pty.say(text) };
}
