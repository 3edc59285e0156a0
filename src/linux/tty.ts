import { fstatSync } from "node:fs";
import { ioctl, ioctlNumber } from "./ioctl.ts";

/** Terminal settings and lines that serialport does not reach (ioctl_tty(2); asm-generic/termbits.h, linux/serial.h). */

const TCGETS = 0x5401;
const TCSETS = 0x5402;
/** With both speeds as numbers, in `struct termios2`. */
const TCGETS2 = 0x802c542a;
const TCSETS2 = 0x402c542b;
const TCFLSH = 0x540b;
const TCOFLUSH = 1;
const TIOCMBIS = 0x5416;
const TIOCMBIC = 0x5417;
const TIOCMGET = 0x5415;
const TIOCSBRK = 0x5427;
const TIOCCBRK = 0x5428;
const TIOCGICOUNT = 0x545d;

const TERMIOS_BYTES = 60;
const IGNPAR = 0o4;
const IXON = 0o2000;
const IXOFF = 0o10000;
/** The speed is the number behind the struct, not a code; for input in the bits above. */
const BOTHER = 0o10000;
const CBAUD = 0o10017;
const IBSHIFT = 16;
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
  readonly framing: {
    readonly dataBits: 5 | 6 | 7 | 8;
    readonly parity: "none" | "even" | "odd";
    readonly stopBits: 1 | 2;
  };
  readonly flow: "none" | "rtscts" | "xonxoff";
}

/** Null where they cannot be read, or the two directions have different speeds. */
export function terminalSettings(fd: number): TerminalSettings | null {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  if (!tells(fd, TCGETS2, termios)) return null;
  const control = termios.readUInt32LE(8);
  const baudRate = termios.readUInt32LE(40);
  if (termios.readUInt32LE(36) !== baudRate) return null;
  return {
    baudRate,
    framing: {
      dataBits: DATA_BITS[(control & CSIZE) >> 4] ?? 8,
      parity: (control & PARENB) === 0 ? "none" : (control & PARODD) === 0 ? "even" : "odd",
      stopBits: (control & CSTOPB) === 0 ? 1 : 2,
    },
    flow: (control & CRTSCTS) !== 0 ? "rtscts" : (termios.readUInt32LE(0) & (IXON | IXOFF)) === 0 ? "none" : "xonxoff",
  };
}

const DATA_BITS = [5, 6, 7, 8] as const;

/** Codes of the usual speeds: who looks with an old `stty` sees a number only for these. */
const SPEED_CODES: Readonly<Record<number, number>> = {
  ...{ 50: 1, 75: 2, 110: 3, 134: 4, 150: 5, 200: 6, 300: 7, 600: 8, 1200: 9, 1800: 10, 2400: 11, 4800: 12 },
  ...{ 9600: 13, 19200: 14, 38400: 15, 57600: 0o10001, 115200: 0o10002, 230400: 0o10003, 460800: 0o10004 },
  ...{ 500000: 0o10005, 576000: 0o10006, 921600: 0o10007, 1000000: 0o10010 },
};

/** Without a flush: what the device says meanwhile stays. The driver may take less than was asked; read it back. */
export function setTerminal(fd: number, { baudRate, framing, flow }: TerminalSettings): void {
  const termios = Buffer.alloc(TERMIOS_BYTES);
  ioctl(fd, TCGETS2, termios, "reading the terminal's settings");
  const input = termios.readUInt32LE(0) & ~(IXON | IXOFF);
  termios.writeUInt32LE((flow === "xonxoff" ? input | IXON | IXOFF : input) >>> 0, 0);
  let control = termios.readUInt32LE(8) & ~(CSIZE | CSTOPB | PARENB | PARODD | CRTSCTS | CBAUD | (CBAUD << IBSHIFT));
  const speed = SPEED_CODES[baudRate] ?? BOTHER;
  control |= ((framing.dataBits - 5) << 4) | speed | (speed << IBSHIFT);
  if (framing.stopBits === 2) control |= CSTOPB;
  if (framing.parity !== "none") control |= PARENB;
  if (framing.parity === "odd") control |= PARODD;
  if (flow === "rtscts") control |= CRTSCTS;
  termios.writeUInt32LE(control >>> 0, 8);
  termios.writeUInt32LE(baudRate, 36);
  termios.writeUInt32LE(baudRate, 40);
  ioctl(fd, TCSETS2, termios, "setting the terminal");
}

/** Whether a terminal still has these settings: they are the terminal's, and whoever had it open could change them. */
export function hasSettings(fd: number, wanted: TerminalSettings): boolean {
  const has = terminalSettings(fd);
  if (has === null || wanted.flow === "xonxoff") return false;
  const { framing } = wanted;
  return (
    has.baudRate === wanted.baudRate &&
    has.framing.dataBits === framing.dataBits &&
    has.framing.parity === framing.parity &&
    has.framing.stopBits === framing.stopBits &&
    (has.flow === "rtscts") === (wanted.flow === "rtscts")
  );
}

/** Outgoing lines that are named; the others stay as they are. */
export function setModemLines(fd: number, lines: { readonly dtr?: boolean; readonly rts?: boolean }): void {
  for (const name of ["dtr", "rts"] as const) {
    const level = lines[name];
    if (level === undefined) continue;
    const bits = Buffer.alloc(4);
    bits.writeInt32LE(MODEM[name]);
    ioctl(fd, level ? TIOCMBIS : TIOCMBIC, bits, name);
  }
}

/** Drops what was written and has not gone out. */
export function flushOutput(fd: number): void {
  ioctlNumber(fd, TCFLSH, TCOFLUSH, "dropping output");
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
