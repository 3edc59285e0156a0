import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { onTestFinished } from "vitest";
import { openPty, type Pty } from "../pty.ts";

/** A device on a pseudo terminal that says again what it hears, for programs that reach it through a site. */
export interface EchoDevice {
  readonly path: string;
  heard(): string;
  say(text: string): void;
  /** As its terminal is set now: `9600`. */
  speed(): string;
}

export function echoDevice(): EchoDevice {
  const pty: Pty = openPty();
  let echoed = 0;
  const timer = setInterval(() => {
    const heard = pty.heard();
    const news = heard.slice(echoed);
    if (news.length > 0) echoed += pty.say(Buffer.from(news, "latin1"));
  }, 2);
  onTestFinished(() => {
    clearInterval(timer);
    pty.close();
  });
  return {
    path: pty.path,
    heard: () => pty.heard(),
    say: (text) => void pty.say(text),
    speed: () => execFileSync("stty", ["-F", pty.path, "speed"]).toString().trim(),
  };
}

/** Where a program is, or null and a loud word: what needs it is skipped then. */
export function program(name: string): string | null {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/bin", "/usr/sbin", "/sbin"];
  const found = folders.map((folder) => `${folder}/${name}`).find((file) => existsSync(file));
  if (found === undefined) process.stderr.write(`SKIPPED: ${name} is not installed; .ci/setup.mjs brings it\n`);
  return found ?? null;
}

/** A Python that has pyserial; Debian's own where another one comes first in the path. */
export function pythonWithSerial(): string | null {
  for (const python of ["/usr/bin/python3", "python3"]) {
    try {
      execFileSync(python, ["-c", "import serial"], { stdio: "ignore" });
      return python;
    } catch {
      // The next one may have it.
    }
  }
  process.stderr.write("SKIPPED: no python3 has pyserial (Debian: python3-serial); .ci/setup.mjs brings it\n");
  return null;
}
