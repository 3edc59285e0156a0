import { fstatSync } from "node:fs";
import { ioctl } from "./ioctl.ts";

/** Terminal settings and lines that serialport does not reach (ioctl_tty(2); asm-generic/termbits.h, linux/serial.h). */

const TCGETS = 0x5401;
const TCSETS = 0x5402;
/** With both speeds as numbers, in `struct termios2`. */
const TCGETS2 = 0x802c542a;
const TIOCMGET = 0x5415;
const TIOCSBRK = 0x5427;
const TIOCCBRK = 0x5428;
const TIOCGICOUNT = 0x545d;

const TERMIOS_BYTES = 60;
const IGNPAR = 0o4;
const CC_AT = 17;
const VTIME = 5;
const VMIN = 6;
const HUPCL = 0o2000;
const CSIZE = 0o60;
const CSTOPB = 0o100;
const PARENB = 0o400;
const PARODD = 0o1000;
const CRTSCTS = 0o20000000000;
const CLOCAL = 0o4000;
/** UNIX98_PTY_SLAVE_MAJOR and the seven after it (linux/major.h). */
const PTY_MAJOR = 136;
const MODEM = { rts: 0x004, dtr: 0x002, cts: 0x020, dcd: 0x040, ring: 0x080, dsr: 0x100 } as const;

/**
 * No echo, no line editing, no translation, from one call. A terminal that the kernel has just made echoes what the
 * device says back into the device until this is done; speed and framing can wait.
 */
export function makeRaw(fd: number): void {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  ioctl(fd, TCGETS, termios, "reading the terminal's settings");
  // As serialport sets it: what came with a framing error is no byte; the driver counts it.
  termios.writeUInt32LE(IGNPAR, 0);
  termios.writeUInt32LE(0, 4);
  // Closing must not drop DTR (some devices reset by it), and no modem lines are waited for.
  termios.writeUInt32LE(((termios.readUInt32LE(8) & ~HUPCL) | CLOCAL) >>> 0, 8);
  termios.writeUInt32LE(0, 12);
  // Without bytes a read must say EAGAIN: with VMIN=0, which some programs leave behind, it looks like a hang-up.
  termios.writeUInt8(0, CC_AT + VTIME);
  termios.writeUInt8(1, CC_AT + VMIN);
  ioctl(fd, TCSETS, termios, "raw mode");
}

/** True when it was only another program's setting that made a read come back empty. */
export function mendEmptyReads(fd: number): boolean {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  if (!tells(fd, TCGETS, termios) || termios.readUInt8(CC_AT + VMIN) !== 0) return false;
  makeRaw(fd);
  return true;
}

/** Its other end is a program and no wire. */
export function isPseudoTerminal(fd: number): boolean {
  const major = (fstatSync(fd).rdev >> 8) & 0xfff;
  return major >= PTY_MAJOR && major < PTY_MAJOR + 8;
}

export interface TerminalSettings {
  readonly baudRate: number;
  readonly framing: { readonly dataBits: number; readonly parity: "none" | "even" | "odd"; readonly stopBits: number };
  readonly flow: "none" | "rtscts" | "xonxoff";
}

/** Whether a terminal still has these settings: they are the terminal's, and whoever had it open could change them. */
export function hasSettings(fd: number, { baudRate, framing, flow }: TerminalSettings): boolean {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  if (!tells(fd, TCGETS2, termios)) return false;
  const control = termios.readUInt32LE(8);
  const parity = (control & PARENB) === 0 ? "none" : (control & PARODD) === 0 ? "even" : "odd";
  return (
    termios.readUInt32LE(36) === baudRate &&
    termios.readUInt32LE(40) === baudRate &&
    ((control & CSIZE) >> 4) + 5 === framing.dataBits &&
    ((control & CSTOPB) === 0 ? 1 : 2) === framing.stopBits &&
    parity === framing.parity &&
    ((control & CRTSCTS) !== 0) === (flow === "rtscts") &&
    flow !== "xonxoff"
  );
}

export function setBreak(fd: number, on: boolean): void {
  ioctl(fd, on ? TIOCSBRK : TIOCCBRK, Buffer.alloc(8), "break");
}

export interface ModemLines {
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly dcd: boolean;
  readonly ring: boolean;
  readonly dtr: boolean;
  readonly rts: boolean;
}

/** Null where the driver does not tell. */
export function modemLines(fd: number): ModemLines | null {
  const bits = Buffer.alloc(4);
  if (!tells(fd, TIOCMGET, bits)) return null;
  const value = bits.readUInt32LE(0);
  const is = (mask: number) => (value & mask) !== 0;
  return {
    ...{ cts: is(MODEM.cts), dsr: is(MODEM.dsr), dcd: is(MODEM.dcd), ring: is(MODEM.ring) },
    ...{ dtr: is(MODEM.dtr), rts: is(MODEM.rts) },
  };
}

/** Counted by the driver since the adapter came; `overrun` are bytes that chip or kernel lost. */
export interface LineCounts {
  readonly framing: number;
  readonly parity: number;
  readonly breaks: number;
  readonly overrun: number;
}

/** Null where the driver does not count. */
export function lineCounts(fd: number): LineCounts | null {
  const counts = Buffer.alloc(80);
  if (!tells(fd, TIOCGICOUNT, counts)) return null;
  const at = (index: number) => counts.readInt32LE(index * 4);
  return { framing: at(6), overrun: at(7) + at(10), parity: at(8), breaks: at(9) };
}

function tells(fd: number, request: number, into: Buffer): boolean {
  try {
    ioctl(fd, request, into, "");
    return true;
  } catch {
    return false;
  }
}
