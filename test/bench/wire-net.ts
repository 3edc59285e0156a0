import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** A wire of its own: a pair of virtual Ethernet cards, the site's end in a network namespace, its bytes counted. */

export const BROKER_ADDRESS = "10.213.7.1";
export const SITE_ADDRESS = "10.213.7.2";
const MTU = 1_400;

export interface WireCount {
  readonly packets: number;
  /** As Ethernet carries them, both ways. */
  readonly frameBytes: number;
  /** Without the 14 bytes of each Ethernet header, which no LTE link has. */
  readonly ipBytes: number;
}

export interface Wire {
  /** What a program is begun with to run at the site's end. */
  readonly atSite: readonly string[];
  count(): WireCount;
  end(): void;
}

/** Null where this may not be made (it takes root). */
export function makeWire(): Wire | null {
  const name = `tpw${process.pid}`;
  const [near, far] = [`${name}a`, `${name}b`];
  const ip = (...words: string[]) => execFileSync("ip", words, { stdio: ["ignore", "ignore", "ignore"] });
  const end = (): void => {
    for (const words of [
      ["link", "del", near],
      ["netns", "del", name],
    ]) {
      try {
        ip(...words);
      } catch {
        // It was not made, or went with the other.
      }
    }
  };
  try {
    ip("netns", "add", name);
    ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", name);
    // One packet a segment, as on a real wire: else the kernel passes whole bundles and counts them as one.
    const card = ["mtu", String(MTU), "gso_max_segs", "1"];
    ip("addr", "add", `${BROKER_ADDRESS}/24`, "dev", near);
    ip("link", "set", "dev", near, ...card, "up");
    ip("-n", name, "addr", "add", `${SITE_ADDRESS}/24`, "dev", far);
    ip("-n", name, "link", "set", "dev", far, ...card, "up");
    ip("-n", name, "link", "set", "dev", "lo", "up");
  } catch {
    end();
    return null;
  }
  process.once("exit", end);
  return { atSite: ["ip", "netns", "exec", name], count: () => countOf(near), end };
}

function countOf(card: string): WireCount {
  const read = (what: string) => Number(readFileSync(`/sys/class/net/${card}/statistics/${what}`, "utf8"));
  const packets = read("rx_packets") + read("tx_packets");
  const frameBytes = read("rx_bytes") + read("tx_bytes");
  return { packets, frameBytes, ipBytes: frameBytes - 14 * packets };
}

export function since(before: WireCount, after: WireCount): WireCount {
  return {
    packets: after.packets - before.packets,
    frameBytes: after.frameBytes - before.frameBytes,
    ipBytes: after.ipBytes - before.ipBytes,
  };
}
