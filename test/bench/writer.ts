import { constants, openSync } from "node:fs";
import koffi from "koffi";
import { openPty, type Pty } from "../pty.ts";
import type { FromWriter, ToWriter } from "./devices.ts";

/** A process of its own that plays the devices: its CPU time must not count for what is measured. */

const CHUNK_BYTES = 62;
/** 115200 baud, 10 bits to a byte. */
const BYTES_PER_MS = 11.52;
const PERIOD_MS = CHUNK_BYTES / BYTES_PER_MS;
const RAW_LIMIT_MS = 15_000;
/** What an opener still does to a port after it made it raw: a flush, mostly. */
const SETTLE_MS = 500;

// termios(3) of glibc: four flag words, of which the last is c_lflag.
const LFLAG_AT = 12;
const ICANON = 0o2;
const TERMIOS_BYTES = 64;
const libc = koffi.load("libc.so.6");
const tcgetattr = libc.func("int tcgetattr(int fd, void *termios)");
const tcsetattr = libc.func("int tcsetattr(int fd, int when, void *termios)");
const cfmakeraw = libc.func("void cfmakeraw(void *termios)");

interface Device {
  readonly pty: Pty;
  readonly chunk: Buffer;
  /** ms after the start at which the first chunk is due: ports do not talk in step. */
  readonly phaseMs: number;
  chunks: number;
  sent: number;
  refused: number;
}

let devices: Device[] = [];
let timer: NodeJS.Timeout | null = null;

function open(ports: number, hold: boolean): string[] {
  devices = Array.from({ length: ports }, (_, index) => {
    const pty = openPty();
    if (hold) holdRaw(pty);
    const chunk = Buffer.from(`[    4.${index}] eth0: link is up, 1000 Mbps, full duplex`.padEnd(CHUNK_BYTES - 2));
    return {
      pty,
      chunk: Buffer.concat([chunk, Buffer.from("\r\n")]),
      phaseMs: (index / ports) * PERIOD_MS,
      chunks: 0,
      sent: 0,
      refused: 0,
    };
  });
  return devices.map(({ pty }) => pty.path);
}

/** The far end stays open between two lives of what is measured, as a device does. */
function holdRaw(pty: Pty): void {
  const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
  const termios = Buffer.alloc(TERMIOS_BYTES);
  tcgetattr(fd, termios);
  cfmakeraw(termios);
  tcsetattr(fd, 0, termios);
}

function isRaw({ masterFd }: Pty): boolean {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  return tcgetattr(masterFd, termios) === 0 && (termios.readUInt32LE(LFLAG_AT) & ICANON) === 0;
}

/** A port that is cooked has not been opened by anybody: what it were told would be echoed, or flushed. */
async function waitRaw(): Promise<boolean> {
  const deadline = Date.now() + RAW_LIMIT_MS;
  while (!devices.every(({ pty }) => isRaw(pty))) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return true;
}

function talk(): void {
  const begun = performance.now();
  timer = setInterval(() => {
    const now = performance.now() - begun;
    for (const device of devices) {
      for (; device.phaseMs + device.chunks * PERIOD_MS <= now; device.chunks++) {
        const taken = device.pty.say(device.chunk);
        device.sent += taken;
        device.refused += device.chunk.length - taken;
      }
    }
  }, 1);
}

const FLOOD_BYTES = 4_096;

async function flood(bytesPerPort: number): Promise<void> {
  const until = devices.map(({ sent }) => sent + bytesPerPort);
  const block = Buffer.concat(Array.from({ length: FLOOD_BYTES / 64 }, () => Buffer.alloc(64, "0123456789abcde\n")));
  while (devices.some(({ sent }, index) => sent < (until[index] ?? 0))) {
    for (const [index, device] of devices.entries()) {
      const left = (until[index] ?? 0) - device.sent;
      if (left > 0) device.sent += device.pty.say(block.subarray(0, Math.min(left, FLOOD_BYTES)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function answer(message: ToWriter): Promise<FromWriter> {
  switch (message.type) {
    case "open":
      return { type: "opened", paths: open(message.ports, message.hold) };
    case "wait-raw":
      return { type: "raw", ok: await waitRaw() };
    case "talk":
      talk();
      return { type: "talking" };
    case "flood":
      await flood(message.bytesPerPort);
      return { type: "hushed", sent: devices.map((one) => one.sent), refused: devices.map((one) => one.refused) };
    case "hush":
      if (timer !== null) clearInterval(timer);
      return { type: "hushed", sent: devices.map((one) => one.sent), refused: devices.map((one) => one.refused) };
  }
}

process.on("message", (message: ToWriter) => {
  void answer(message).then((reply) => process.send?.(reply));
});
process.on("disconnect", () => process.exit(0));
