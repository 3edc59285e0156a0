import { isIP } from "node:net";
import type { Path } from "../link/path.ts";
import { askThrough } from "./bound-dns.ts";
import { type Ask, Names } from "./names.ts";
import { type Family, reachThrough } from "./reach.ts";

/** The way over the site's own network: bound to its device, so that it never strays onto LTE or into a VPN. */

export interface PrimaryPathOptions {
  readonly interface: string;
  readonly resolvers: () => readonly string[];
  readonly namesFile: string;
}

const ADDRESS_MS = 5_000;
const ASK_MS = 2_000;
const FAMILIES: readonly Family[] = [4, 6];

export function createPrimaryPath(options: PrimaryPathOptions): Path {
  const ask: Ask = async (host, family) => {
    const servers = options.resolvers();
    for (const server of servers) {
      const answer = await askThrough(options.interface, server, host, family, ASK_MS).catch(() => null);
      if (answer !== null) return answer;
    }
    throw new Error(`${host}: no answer from ${servers.join(", ") || "any resolver: none is known"}`);
  };
  const names = new Names(options.namesFile, ask);
  return {
    uplink: "primary",
    async connect(host, port, signal) {
      const { addresses, failed } =
        isIP(host) === 0 ? await names.find(host, FAMILIES, signal) : { addresses: [host], failed: null };
      const said: string[] = failed === null ? [] : [`names: ${failed}`];
      for (const address of addresses) {
        try {
          const socket = await reachThrough(options.interface, address, port, signal, ADDRESS_MS);
          if (isIP(host) === 0) names.worked(host, address);
          return socket;
        } catch (error) {
          said.push(`${address} port ${port}: ${error instanceof Error ? error.message : String(error)}`);
          if (signal.aborted) break;
        }
      }
      throw new Error(`primary: ${said.join("; ") || `${host} has no address`}`);
    },
  };
}
