import { readFileSync } from "node:fs";
import { isIP } from "node:net";

/** The resolvers that DHCP gave: from what keeps them, since /etc/resolv.conf may only say "ask me". */

const FILES = ["/run/NetworkManager/no-stub-resolv.conf", "/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/** Two firms that answer everybody, in both families. */
export const PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "2001:4860:4860::8888"];

export function machineResolvers(files: readonly string[] = FILES): string[] {
  for (const file of files) {
    const found = serversIn(read(file));
    if (found.length > 0) return found;
  }
  return [];
}

/** What listens on this machine cannot be asked through a device. */
export function serversIn(text: string): string[] {
  return [...text.matchAll(/^nameserver\s+(\S+)/gm)]
    .map(([, address = ""]) => address)
    .filter((address) => isIP(address) !== 0 && !/^(127\.|::1$)/.test(address));
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
