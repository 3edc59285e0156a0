import { basename, dirname } from "node:path";
import type { MachineFiles } from "../linux/machine-files.ts";

/** Serial adapters as the kernel lists them, read from sysfs: no udevadm, which a small image may not have. */

export interface Adapter {
  /** `/dev/ttyUSB0`: the number depends on who was plugged in first. */
  readonly node: string;
  readonly driver: string | null;
  /** Null for a UART of the board itself. */
  readonly usb: UsbIdentity | null;
  /** Links that udev made to it. */
  readonly byId: readonly string[];
  readonly byPath: readonly string[];
  /** `188:0`, as udev's database names it. */
  readonly number: string;
  /** ms that an FTDI chip collects bytes for; null where the driver has no such setting. */
  readonly latencyMs: number | null;
}

export interface UsbIdentity {
  /** `0403:6001`: vendor and product. */
  readonly id: string;
  readonly manufacturer: string | null;
  readonly product: string | null;
  readonly serial: string | null;
  /** An FT4232H shows each of its four ports as an interface of its own. */
  readonly interface: number;
  /** Chips of other makers show several ports on one interface, told apart by this; else null. */
  readonly channel: number | null;
  /**
   * Socket numbers from the root hub outwards, `1.2`: what stands behind the dash in the kernel's `1-1.2`. The bus
   * number before the dash is left out because it depends on the order in which drivers start.
   */
  readonly hub: string;
  /** The USB controller by its hardware address: a Pi 5 has two, each with a socket 1. */
  readonly controller: string;
  /** `on`, or `auto` where the kernel may put it to sleep. */
  readonly powerControl: string | null;
}

/** Everything in `/sys/class/tty` that has hardware behind it, in the order of its names. */
export function scanAdapters(files: MachineFiles): Adapter[] {
  const byId = linksIn(files, "by-id");
  const byPath = linksIn(files, "by-path");
  return candidates(files).flatMap((name) => {
    const folder = `/sys/class/tty/${name}`;
    const device = files.real(`${folder}/device`);
    // The kernel shows UARTs that a PC could have had; type 0 says that none answered.
    if (device === null || files.read(`${folder}/type`) === "0") return [];
    return [
      {
        node: `/dev/${name}`,
        driver: linkName(files, `${device}/driver`),
        usb: usbOf(files, device),
        byId: byId.get(name) ?? [],
        byPath: byPath.get(name) ?? [],
        number: files.read(`${folder}/dev`) ?? "",
        latencyMs: numberIn(files, `${device}/latency_timer`),
      },
    ];
  });
}

/** Changes when an adapter comes, goes or is replaced; much cheaper than a scan. */
export function adaptersMark(files: MachineFiles): string {
  const mark = (path: string): string => {
    const stat = files.lstat(path);
    return stat === null ? "-" : `${stat.ino} ${stat.mtimeNs}`;
  };
  const names = candidates(files).map((name) => `${name} ${mark(`/sys/class/tty/${name}`)}`);
  return [...names, mark("/dev/serial/by-id"), mark("/dev/serial/by-path")].join("\n");
}

/** USB controllers of this machine: with more than one, a hub position alone does not name a socket. */
export function usbControllers(files: MachineFiles): string[] {
  const folder = "/sys/bus/usb/devices";
  const roots = files.names(folder).filter((name) => /^usb\d+$/.test(name));
  const found = roots.flatMap((name) => {
    const path = files.real(`${folder}/${name}`);
    return path === null ? [] : [basename(dirname(path))];
  });
  return [...new Set(found)].sort();
}

/** Virtual terminals and pseudo terminals have no hardware: they are not asked. */
const VIRTUAL = /^(tty\d*|console|ptmx|[pt]ty[a-ep-z][0-9a-f])$/;

function candidates(files: MachineFiles): string[] {
  return files
    .names("/sys/class/tty")
    .filter((name) => !VIRTUAL.test(name))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** Upwards from the port: its interface `1-1.2:1.0`, then the device `1-1.2`. Null where the way up meets none. */
function usbOf(files: MachineFiles, device: string): UsbIdentity | null {
  const steps = device.split("/");
  const at = steps.findLastIndex((step) => /^\d+-[\d.]+$/.test(step));
  if (at < 0) return null;
  const folder = steps.slice(0, at + 1).join("/");
  const interfaceNumber = files.read(`${folder}/${steps[at + 1]}/bInterfaceNumber`);
  return {
    id: `${files.read(`${folder}/idVendor`) ?? ""}:${files.read(`${folder}/idProduct`) ?? ""}`,
    manufacturer: files.read(`${folder}/manufacturer`),
    product: files.read(`${folder}/product`),
    serial: files.read(`${folder}/serial`),
    interface: Number.parseInt(interfaceNumber ?? "0", 16),
    channel: numberIn(files, `${device}/port_number`),
    hub: basename(folder).replace(/^\d+-/, ""),
    controller: controllerOf(folder),
    powerControl: files.read(`${folder}/power/control`),
  };
}

/** What the root hub `usbN` hangs on. */
function controllerOf(folder: string): string {
  const steps = folder.split("/");
  const rootHub = steps.findIndex((step) => /^usb\d+$/.test(step));
  return rootHub > 0 ? (steps[rootHub - 1] ?? "") : "";
}

function linksIn(files: MachineFiles, kind: "by-id" | "by-path"): Map<string, string[]> {
  const links = new Map<string, string[]>();
  for (const name of files.names(`/dev/serial/${kind}`).sort()) {
    const to = linkName(files, `/dev/serial/${kind}/${name}`);
    if (to !== null) links.set(to, [...(links.get(to) ?? []), `/dev/serial/${kind}/${name}`]);
  }
  return links;
}

function linkName(files: MachineFiles, path: string): string | null {
  const target = files.link(path);
  return target === null ? null : basename(target);
}

function numberIn(files: MachineFiles, path: string): number | null {
  const text = files.read(path) ?? "";
  return /^\d+$/.test(text) ? Number(text) : null;
}
