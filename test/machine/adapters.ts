import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createFarEnd, type FarEnd, type PluggableFarEnd } from "./far-end.ts";
import { type FtdiEvent, readFtdiPcap } from "./ftdi-pcap.ts";
import type { Qemu } from "./qemu.ts";

/** How an FTDI adapter is plugged in. */
export interface AdapterOptions {
  /** Its serial number, as in `/dev/serial/by-id`. Default `CONSOLE<n>`. Two may have the same. */
  readonly serial?: string;
  /** The USB socket that it is put in: 1–5 on either machine. Default: its number. */
  readonly port?: number;
}

/** The guest's USB serial adapters, by number. 1 and 2 are there when the machine boots. */
export interface Adapters {
  /** The device at the other end of adapter `n`'s cable; the same one over all replugs. */
  console(n: number): FarEnd;
  /** Plugs adapter `n` in; resolves when qemu has it (the guest's udev needs a moment more). */
  plug(n: number, options?: AdapterOptions): Promise<FarEnd>;
  /** Pulls adapter `n` out of its socket; what the device says meanwhile is lost, as it would be. */
  unplug(n: number): Promise<void>;
  /** What the guest's driver has told adapter `n`, oldest first, over all the times that it was plugged in. */
  told(n: number): readonly FtdiEvent[];
}

/** Adapters that outlive the machine's boots. */
export interface PluggedAdapters extends Adapters {
  /** Plugs those that are plugged in into a machine that has just been started. */
  replug(): Promise<void>;
}

/** Where adapters are put: which qemu bus, and what its socket number n is called there. */
export interface UsbSockets {
  readonly bus: string;
  portName(port: number): string;
}

interface Adapter {
  readonly farEnd: PluggableFarEnd;
  times: number;
  plugged: boolean;
  options: AdapterOptions;
}

/** Adapters of a running machine, plugged and pulled through its monitor. */
export function createAdapters(monitor: () => Qemu, sockets: UsbSockets, folder: string): PluggedAdapters {
  const known = new Map<number, Adapter>();
  const adapter = (n: number): Adapter => {
    const found = known.get(n);
    if (found === undefined) throw new Error(`adapter ${n} was never plugged in; call plug(${n}) first`);
    return found;
  };
  const pcap = (n: number, time: number) => join(folder, `adapter-${n}-${time}.pcap`);
  const insert = async (n: number, one: Adapter) => {
    const { serial = `CONSOLE${n}`, port = n } = one.options;
    const time = ++one.times;
    const path = join(folder, `adapter-${n}-${time}.sock`);
    const addr = { type: "unix", data: { path } };
    await monitor().qmp("chardev-add", {
      id: `cable${n}`,
      backend: { type: "socket", data: { addr, server: true, wait: false } },
    });
    await monitor().qmp("device_add", {
      ...{ driver: "usb-serial", id: `adapter${n}`, chardev: `cable${n}`, serial, "always-plugged": true },
      ...{ bus: sockets.bus, port: sockets.portName(port), pcap: pcap(n, time) },
    });
    await one.farEnd.plugged(path);
  };

  return {
    console: (n) => adapter(n).farEnd,
    async plug(n, options = {}) {
      const one = known.get(n) ?? { farEnd: createFarEnd(), times: 0, plugged: false, options };
      if (one.plugged) throw new Error(`adapter ${n} is plugged in already`);
      known.set(n, one);
      one.options = options;
      await insert(n, one);
      one.plugged = true;
      return one.farEnd;
    },
    async replug() {
      for (const [n, one] of known) {
        one.farEnd.unplugged();
        if (one.plugged) await insert(n, one);
      }
    },
    async unplug(n) {
      const one = adapter(n);
      if (!one.plugged) throw new Error(`adapter ${n} is not plugged in`);
      one.farEnd.unplugged();
      one.plugged = false;
      const qemu = monitor();
      const deleted = qemu.event("DEVICE_DELETED", 10_000);
      await Promise.all([deleted, qemu.qmp("device_del", { id: `adapter${n}` })]);
      await qemu.qmp("chardev-remove", { id: `cable${n}` });
    },
    told(n) {
      const files = Array.from({ length: adapter(n).times }, (_, index) => pcap(n, index + 1));
      return files.flatMap((file) => (existsSync(file) ? readFtdiPcap(readFileSync(file)) : []));
    },
  };
}
