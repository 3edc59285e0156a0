/** One thing that a guest's driver told an FTDI adapter; times are milliseconds of this machine's wall clock. */
export type FtdiEvent = { readonly atMs: number } & (
  | { readonly kind: "baud"; readonly rate: number }
  | { readonly kind: "framing"; readonly dataBits: number; readonly parity: Parity; readonly stopBits: number }
  | { readonly kind: "break"; readonly on: boolean }
  | { readonly kind: "lines"; readonly dtr?: boolean; readonly rts?: boolean }
  | { readonly kind: "out"; readonly bytes: Buffer }
);

type Parity = "none" | "odd" | "even" | "mark" | "space";

const PARITIES: readonly Parity[] = ["none", "odd", "even", "mark", "space"];
const STOP_BITS = [1, 1.5, 2] as const;
/** The chip's code for eighths of the divisor, in FTDI's own order (AN232B-05). */
const EIGHTHS = [0, 4, 2, 1, 3, 5, 6, 7] as const;

const FILE_HEADER = 24;
const PACKET_HEADER = 16;
/** The header that Linux's usbmon puts before each transfer, which qemu writes too. */
const USBMON_HEADER = 64;
const CONTROL = 2;
const BULK = 3;

function rateOf(value: number, index: number): number {
  const whole = value & 0x3fff;
  const code = (value >> 14) | ((index & 1) << 2);
  if (whole === 0) return 3_000_000;
  if (whole === 1 && code === 0) return 2_000_000;
  return Math.round(24_000_000 / (whole * 8 + (EIGHTHS[code] ?? 0)));
}

/** FTDI's vendor requests, as its application notes name them; those that change nothing on the cable give nothing. */
function control(atMs: number, setup: Buffer): FtdiEvent[] {
  if (((setup[0] ?? 0) & 0x60) !== 0x40) return [];
  const value = setup.readUInt16LE(2);
  switch (setup[1]) {
    case 1:
      return [
        {
          atMs,
          kind: "lines",
          ...(value & 0x100 ? { dtr: (value & 1) !== 0 } : {}),
          ...(value & 0x200 ? { rts: (value & 2) !== 0 } : {}),
        },
      ];
    case 3:
      return [{ atMs, kind: "baud", rate: rateOf(value, setup.readUInt16LE(4)) }];
    case 4:
      return [
        {
          atMs,
          kind: "framing",
          dataBits: value & 0xff,
          parity: PARITIES[(value >> 8) & 7] ?? "none",
          stopBits: STOP_BITS[(value >> 11) & 3] ?? 1,
        },
        { atMs, kind: "break", on: (value & 0x4000) !== 0 },
      ];
    default:
      return [];
  }
}

function transfer(atMs: number, packet: Buffer): FtdiEvent[] {
  const submitted = packet[8] === "S".charCodeAt(0);
  if (!submitted) return [];
  if (packet[9] === CONTROL && packet[14] === 0) return control(atMs, packet.subarray(40, 48));
  const outward = ((packet[10] ?? 0x80) & 0x80) === 0;
  if (packet[9] !== BULK || !outward || packet.length <= USBMON_HEADER) return [];
  return [{ atMs, kind: "out", bytes: Buffer.from(packet.subarray(USBMON_HEADER)) }];
}

/**
 * Reads a packet capture of an emulated FTDI adapter. A BREAK comes with each framing request, so it is told only when
 * it changes. A last packet that is not whole yet is left for the next time.
 */
export function readFtdiPcap(file: Buffer): readonly FtdiEvent[] {
  const found: FtdiEvent[] = [];
  let inBreak = false;
  let at = FILE_HEADER;
  while (at + PACKET_HEADER <= file.length) {
    const atMs = file.readUInt32LE(at) * 1000 + file.readUInt32LE(at + 4) / 1000;
    const length = file.readUInt32LE(at + 8);
    const packet = file.subarray(at + PACKET_HEADER, at + PACKET_HEADER + length);
    if (packet.length < length) break;
    at += PACKET_HEADER + length;
    for (const event of transfer(atMs, packet)) {
      if (event.kind === "break" && event.on === inBreak) continue;
      if (event.kind === "break") inBreak = event.on;
      found.push(event);
    }
  }
  return found;
}
