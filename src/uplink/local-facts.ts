import { readFileSync } from "node:fs";
import { addressesOf } from "./addresses.ts";

/** What the kernel says of a device by itself: no packet is sent for it. */
export interface LocalFacts {
  readonly carrier: boolean;
  readonly addresses: readonly string[];
  readonly gateway: { readonly address: string; readonly alive: boolean } | null;
}

export function localFacts(device: string): LocalFacts {
  // A device that is down refuses the question; one that is not there has no file.
  const carrier = text(`/sys/class/net/${device}/carrier`).trim() === "1";
  return { carrier, addresses: addressesOf(device), gateway: gatewayOf(device) };
}

function gatewayOf(device: string): LocalFacts["gateway"] {
  const address = gatewayIn(text("/proc/net/route"), device);
  if (address !== null) return { address, alive: isAlive(text("/proc/net/arp"), address, device) };
  const over6 = gateway6In(text("/proc/net/ipv6_route"), device);
  // The kernel's table of IPv6 neighbours is in no file: what is behind the gateway must tell.
  return over6 === null ? null : { address: over6, alive: true };
}

/** Lines of /proc/net/route: device, destination, gateway, flags, …, metric, mask; numbers in the CPU's order. */
export function gatewayIn(table: string, device: string): string | null {
  const found = table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([name, to, , flags, , , , mask]) => {
      const isDefault = to === "00000000" && mask === "00000000";
      return name === device && isDefault && (Number.parseInt(flags ?? "", 16) & 2) !== 0;
    })
    .sort((a, b) => Number(a[6]) - Number(b[6]))[0]?.[2];
  if (found === undefined) return null;
  return [6, 4, 2, 0].map((at) => Number.parseInt(found.slice(at, at + 2), 16)).join(".");
}

/** Lines of /proc/net/ipv6_route: destination, its length, source, its length, next hop, …, device. */
export function gateway6In(table: string, device: string): string | null {
  const hop = table
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .find(([, length, , , next, , , , , name]) => length === "00" && name === device && !/^0+$/.test(next ?? ""))?.[4];
  return hop === undefined ? null : (hop.match(/.{4}/g) ?? []).join(":");
}

/** Flag 0 in /proc/net/arp: asked, and nobody answered. */
export function isAlive(table: string, address: string, device: string): boolean {
  const line = table
    .split("\n")
    .map((one) => one.trim().split(/\s+/))
    .find(([ip, , , , , name]) => ip === address && name === device);
  return line !== undefined && Number(line[2]) !== 0;
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
