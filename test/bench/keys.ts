import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { onReadable } from "../../src/console/readiness.ts";
import { openPty } from "../pty.ts";
import { until } from "./scratch.ts";

/** Ways on which a key goes to a console and its echo comes back. */
export interface Keyboard {
  /** Resolves with the time from the key to its echo, ms; NaN where none came. */
  press(): Promise<number>;
  close(): void;
}

const ECHO_MS = 2_000;
const IAC = 255;

/** @param send what goes out for one key; echoes come in by `heard`. */
function keyboard(send: (key: string) => void, close: () => void): Keyboard & { heard: (bytes: Uint8Array) => void } {
  let waiting: { key: number; begun: number; done: (ms: number) => void } | null = null;
  let next = 0;
  return {
    heard(bytes) {
      if (waiting === null || !bytes.includes(waiting.key)) return;
      const { begun, done } = waiting;
      waiting = null;
      done(performance.now() - begun);
    },
    press() {
      // Letters in turn: a late echo is not taken for the next one.
      const key = String.fromCharCode(97 + (next++ % 26));
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          waiting = null;
          resolve(Number.NaN);
        }, ECHO_MS);
        waiting = {
          key: key.charCodeAt(0),
          begun: performance.now(),
          done(ms) {
            clearTimeout(timer);
            resolve(ms);
          },
        };
        send(key);
      });
    },
    close,
  };
}

/** Over TCP; telnet's negotiation is left unanswered, and no letter of ours is in it. */
export async function overTcp(port: number, hello: readonly number[] = []): Promise<Keyboard> {
  const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  const keys = keyboard(
    (key) => void socket.write(key),
    () => socket.destroy(),
  );
  socket.on("data", (bytes: Buffer) => keys.heard(withoutCommands(bytes)));
  if (hello.length > 0) socket.write(Uint8Array.from(hello));
  await new Promise((resolve) => setTimeout(resolve, 300));
  return keys;
}

/** WILL COM-PORT-OPTION, as an RFC 2217 client begins. */
export const RFC2217_HELLO = [IAC, 251, 44];

function withoutCommands(bytes: Buffer): Uint8Array {
  return bytes.includes(IAC) ? new Uint8Array() : bytes;
}

/** Through a client program on a terminal of its own. */
export async function overProgram(program: string, args: readonly string[], ready: RegExp): Promise<Keyboard> {
  const pty = openPty();
  const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
  const child: ChildProcess = spawn("setsid", ["-c", "-w", program, ...args], {
    stdio: [fd, fd, fd],
    env: { ...process.env, TERM: "xterm" },
  });
  closeSync(fd);
  const buffer = Buffer.alloc(4_096);
  let screen = "";
  const keys = keyboard(
    (key) => void writeSync(pty.masterFd, key),
    () => {
      stop();
      child.kill("SIGKILL");
      pty.close();
    },
  );
  const stop = onReadable(pty.masterFd, () => {
    try {
      const bytes = buffer.subarray(0, readSync(pty.masterFd, buffer));
      screen += bytes.toString("latin1");
      keys.heard(bytes);
    } catch {
      // The program has not opened it, or has ended.
    }
  });
  await until(`${program}: ${ready}`, () => ready.test(screen), null).catch((error: Error) => {
    keys.close();
    throw new Error(`${error.message} ${screen}`);
  });
  return keys;
}
