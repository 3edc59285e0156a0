import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { type MachineFiles, machineFiles } from "../src/linux/machine-files.ts";

/** A machine's sys, proc, dev, run and etc as a folder: laid out and linked as the kernel and udev do it. */
export interface FakeMachine {
  readonly root: string;
  readonly files: MachineFiles;
  file(path: string, text: string, mode?: number): void;
  /** Relative, as sysfs and udev make them. */
  link(path: string, target: string): void;
  /** A USB serial adapter; returns the folder of its tty. */
  adapter(options: FakeAdapter): string;
  /** Takes away a tty and what udev made of it, as a pulled cable does. */
  unplug(tty: string): void;
  /** A UART of the board; type 0 is one that never answered. */
  uart(tty: string, type: number): void;
  /** A process with files open. */
  process(pid: number, name: string, open?: readonly string[]): void;
  end(): void;
}

export interface FakeAdapter {
  readonly tty: string;
  readonly id: string;
  /** As the kernel names the device: `1-1.2`. */
  readonly port: string;
  readonly serial?: string;
  readonly product?: string;
  readonly interface?: number;
  readonly channel?: number;
  readonly driver?: string;
  readonly controller?: string;
  readonly latencyMs?: number;
  readonly powerControl?: string;
  readonly byId?: string;
  readonly byPath?: string;
}

export function fakeMachine(): FakeMachine {
  const root = mkdtempSync(join(tmpdir(), "towpath-machine-"));
  const at = (path: string) => join(root, path);
  const file: FakeMachine["file"] = (path, text, mode = 0o644) => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
    chmodSync(at(path), mode);
  };
  const link: FakeMachine["link"] = (path, target) => {
    mkdirSync(dirname(at(path)), { recursive: true });
    rmSync(at(path), { force: true });
    symlinkSync(relative(dirname(at(path)), at(target)), at(path));
  };
  return {
    root,
    files: machineFiles(root),
    file,
    link,
    adapter: (options) => makeAdapter(options, file, link),
    unplug(tty) {
      for (const path of [`sys/class/tty/${tty}`, `dev/${tty}`]) rmSync(at(path), { force: true });
    },
    uart(tty, type) {
      const device = `sys/devices/platform/soc/fe201000.serial`;
      file(`${device}/tty/${tty}/type`, `${type}\n`);
      file(`${device}/tty/${tty}/dev`, "204:64\n");
      link(`${device}/tty/${tty}/device`, device);
      link(`${device}/driver`, "sys/bus/amba/drivers/uart-pl011");
      link(`sys/class/tty/${tty}`, `${device}/tty/${tty}`);
      file(`dev/${tty}`, "");
    },
    process(pid, name, open = []) {
      file(`proc/${pid}/comm`, `${name.slice(0, 15)}\n`);
      file(`proc/${pid}/cmdline`, `/usr/bin/${name}\0-D\0`);
      mkdirSync(at(`proc/${pid}/fd`), { recursive: true });
      // The kernel tells whole paths there.
      for (const [index, path] of open.entries()) symlinkSync(path, at(`proc/${pid}/fd/${index + 3}`));
    },
    end: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** `usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0`; a ttyACM hangs on its interface without the port's own folder. */
function makeAdapter(options: FakeAdapter, file: FakeMachine["file"], link: FakeMachine["link"]): string {
  const { tty, port, interface: number = 0, controller = "0000:01:00.0" } = options;
  const [bus = "1", chain = ""] = port.split("-");
  const steps = chain.split(".");
  const hubs = steps.slice(0, -1).map((_, index) => `${bus}-${steps.slice(0, index + 1).join(".")}`);
  const rootHub = `sys/devices/platform/scb/fd500000.pcie/${controller}/usb${bus}`;
  const usb = [rootHub, ...hubs, port].join("/");
  const onInterface = `${usb}/${port}:1.${number}`;
  const modem = tty.startsWith("ttyACM");
  const device = modem ? onInterface : `${onInterface}/${tty}`;
  const folder = `${device}/tty/${tty}`;
  const [vendor, product] = options.id.split(":");
  file(`${rootHub}/idVendor`, "1d6b\n");
  file(`${usb}/idVendor`, `${vendor}\n`);
  file(`${usb}/idProduct`, `${product}\n`);
  file(`${usb}/manufacturer`, "FTDI\n");
  file(`${usb}/product`, `${options.product ?? "FT232R USB UART"}\n`);
  file(`${usb}/power/control`, `${options.powerControl ?? "on"}\n`);
  if (options.serial !== undefined) file(`${usb}/serial`, `${options.serial}\n`);
  file(`${onInterface}/bInterfaceNumber`, `${number.toString(16).padStart(2, "0")}\n`);
  if (!modem) file(`${device}/port_number`, `${options.channel ?? 0}\n`);
  if (options.latencyMs !== undefined) file(`${device}/latency_timer`, `${options.latencyMs}\n`);
  const driver = options.driver ?? (modem ? "cdc_acm" : "ftdi_sio");
  link(`${device}/driver`, `sys/bus/${modem ? "usb" : "usb-serial"}/drivers/${driver}`);
  file(`${folder}/dev`, `${modem ? 166 : 188}:${/\d+$/.exec(tty)?.[0]}\n`);
  link(`${folder}/device`, device);
  link(`sys/class/tty/${tty}`, folder);
  link(`sys/bus/usb/devices/usb${bus}`, rootHub);
  file(`dev/${tty}`, "");
  if (options.byId !== undefined) link(`dev/serial/by-id/${options.byId}`, `dev/${tty}`);
  if (options.byPath !== undefined) link(`dev/serial/by-path/${options.byPath}`, `dev/${tty}`);
  return folder;
}
