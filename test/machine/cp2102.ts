import { createServer, type Socket } from "node:net";
import type { Guest } from "./guest.ts";
import { type ControlRequest, createUsbipPipe, type UsbipPipe } from "./usbip.ts";

/** What the guest's cp210x driver has told the chip; times are milliseconds of this machine's wall clock. */
export type Cp2102Event = { readonly atMs: number } & (
  | { readonly kind: "enabled"; readonly on: boolean }
  | { readonly kind: "baud"; readonly rate: number }
  | { readonly kind: "framing"; readonly dataBits: number; readonly parity: string; readonly stopBits: number }
  | { readonly kind: "break"; readonly on: boolean }
  | { readonly kind: "lines"; readonly dtr: boolean; readonly rts: boolean }
  | { readonly kind: "out"; readonly bytes: Buffer }
);

/** A CP2102 adapter, of which every register is ours. */
export interface Cp2102 {
  /** Says bytes to the guest; what it says while no program has the port open is lost, as with the chip. */
  say(text: string): void;
  told(): readonly Cp2102Event[];
  /** What the driver reads next as modem lines. Default: CTS and DSR on, no carrier, no ring. */
  lines(state: { cts?: boolean; dsr?: boolean; ri?: boolean; dcd?: boolean }): void;
  /** Pulls it out. */
  unplug(): void;
}

const le16 = (value: number) => [value & 255, value >> 8];
/** USB descriptors of the real chip (Silicon Labs CP2102, 10c4:ea60): one interface, two bulk endpoints. */
const DEVICE = Buffer.from([
  18,
  1,
  ...le16(0x110),
  0,
  0,
  0,
  64,
  ...le16(0x10c4),
  ...le16(0xea60),
  ...le16(0x100),
  1,
  2,
  3,
  1,
]);
const INTERFACE = [9, 4, 0, 0, 2, 0xff, 0, 0, 2];
const ENDPOINTS = [7, 5, 0x81, 2, 64, 0, 0, 7, 5, 0x01, 2, 64, 0, 0];
const CONFIGURATION = Buffer.from([9, 2, 32, 0, 1, 1, 0, 0x80, 50, ...INTERFACE, ...ENDPOINTS]);
const PARITIES = ["none", "odd", "even", "mark", "space"];
const STOP_BITS = [1, 1.5, 2];
const EMPTY = Buffer.alloc(0);

function text(value: string): Buffer {
  const letters = Buffer.from(value, "utf16le");
  return Buffer.concat([Buffer.from([letters.length + 2, 3]), letters]);
}

class Chip {
  readonly events: Cp2102Event[] = [];
  readonly #strings: readonly Buffer[];
  enabled = false;
  #modemControl = 0;
  modemStatus = 0x30;

  constructor(serial: string) {
    const names = ["Silicon Labs", "CP2102 USB to UART Bridge Controller", serial];
    this.#strings = [Buffer.from([4, 3, 9, 4]), ...names.map(text)];
  }

  /** The answer to a control request; null is a stall: the chip does not know it. */
  control(request: ControlRequest): Buffer | null {
    if ((request.type & 0x60) === 0) return this.#standard(request);
    return (request.type & 0x80) !== 0 ? this.#read(request) : this.#write(request);
  }

  #standard({ request, value, type }: ControlRequest): Buffer | null {
    const kind = value >> 8;
    if (request === 6) return { 1: DEVICE, 2: CONFIGURATION, 3: this.#strings[value & 255] }[kind] ?? null;
    if (request === 0) return Buffer.alloc(2);
    return (type & 0x80) !== 0 ? Buffer.from([request === 8 ? 1 : 0]) : EMPTY;
  }

  #read({ request, length }: ControlRequest): Buffer {
    if (request === 0x08) return Buffer.from([this.#modemControl | this.modemStatus]);
    if (request === 0x04) return Buffer.from(le16(0x800));
    // The part number: 2 is a CP2102.
    if (request === 0xff) return Buffer.from([2]);
    return Buffer.alloc(length);
  }

  /** Silicon Labs AN571 names these requests. */
  #write({ request, value, data }: ControlRequest): Buffer {
    const at = { atMs: Date.now() };
    if (request === 0x00) {
      this.enabled = value === 1;
      this.events.push({ ...at, kind: "enabled", on: this.enabled });
    } else if (request === 0x1e) this.events.push({ ...at, kind: "baud", rate: data.readUInt32LE(0) });
    else if (request === 0x03) this.events.push({ ...at, kind: "framing", ...framingOf(value) });
    else if (request === 0x05) this.events.push({ ...at, kind: "break", on: value === 1 });
    else if (request === 0x07) {
      const mask = value >> 8;
      this.#modemControl = (this.#modemControl & ~mask) | (value & mask & 3);
      this.events.push({
        ...at,
        kind: "lines",
        dtr: (this.#modemControl & 1) !== 0,
        rts: (this.#modemControl & 2) !== 0,
      });
    }
    return EMPTY;
  }
}

function framingOf(value: number) {
  return { dataBits: value >> 8, parity: PARITIES[(value >> 4) & 15] ?? "?", stopBits: STOP_BITS[value & 15] ?? 1 };
}

/** Hands a connection to the guest's virtual USB host: the socket itself becomes the cable. */
const attachScript = (address: string) => `modprobe vhci-hcd && node -e '
  const [host, port] = "${address}".split(":");
  const socket = require("net").connect({ host, port: Number(port) }, () => {
    socket.pause(); socket._handle.readStop(); socket.setNoDelay(true);
    const hub = "/sys/devices/platform/vhci_hcd.0";
    const free = require("fs").readFileSync(hub + "/status", "utf8").split("\\n").map((line) => line.trim().split(/\\s+/))
      .find((words) => words[0] === "hs" && words[2] === "004");
    require("fs").writeFileSync(hub + "/attach", [Number(free[1]), socket._handle.fd, 65538, 2].join(" "));
    process.exit(0);
  });'`;

/** Plugs a CP2102 into the guest; its driver is Debian's own cp210x. */
export async function plugCp2102(guest: Guest, { serial = "0001" } = {}): Promise<Cp2102> {
  const chip = new Chip(serial);
  let pipe: UsbipPipe | null = null;
  let cable: Socket | null = null;
  const server = createServer((socket) => {
    cable = socket;
    pipe = createUsbipPipe(socket, {
      control: (request) => chip.control(request),
      out: (bytes) => chip.events.push({ atMs: Date.now(), kind: "out", bytes }),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no loopback port for the CP2102");
  guest.usbip.reach(address.port);
  await guest.expect(attachScript(guest.usbip.address));
  server.close();
  const modem = { cts: 0x10, dsr: 0x20, ri: 0x40, dcd: 0x80 };
  return {
    say(words) {
      if (chip.enabled) pipe?.send(Buffer.from(words, "latin1"));
    },
    told: () => chip.events,
    lines(state) {
      for (const [name, bit] of Object.entries(modem)) {
        const on = state[name as keyof typeof modem];
        if (on !== undefined) chip.modemStatus = on ? chip.modemStatus | bit : chip.modemStatus & ~bit;
      }
    },
    unplug: () => void cable?.destroy(),
  };
}
