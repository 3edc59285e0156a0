import { Resolver } from "node:dns/promises";
import { isIP, type Socket } from "node:net";
import type { Path } from "../link/path.ts";
import { type Ask, Names } from "./names.ts";
import { mapped, PREFIX_NAME } from "./nat64.ts";
import { type Family, familyOf, reachFrom } from "./reach.ts";

/**
 * The way over LTE. What pins a connection to it is its source address: a rule of the machine sends what comes from
 * there into a table with one way out, and nowhere else (`firmware/net/`). Names are asked from there too.
 */

/** Our own address on the path, per family; null where the access does not have it. */
export interface Source {
  readonly v4: string | null;
  readonly v6: string | null;
}

export interface LtePathOptions {
  readonly interface: string;
  readonly source: () => Source;
  /** Addresses of resolvers, best first. */
  readonly resolvers: () => readonly string[];
  /** Where names are kept. */
  readonly namesFile: string;
}

/** So long one address may take before the next is tried; the last of them too. */
const ADDRESS_MS = 8_000;
const ASK = { timeout: 1_000, tries: 2 };

export function createLtePath(options: LtePathOptions): Path {
  const ask: Ask = (host, family, signal) => askFrom(options, host, family, signal);
  const names = new Names(options.namesFile, ask);
  return {
    uplink: "lte",
    async connect(host, port, signal) {
      const source = options.source();
      if (source.v4 === null && source.v6 === null)
        throw new Error(`lte: ${options.interface} has no address; is the modem connected?`);
      const { addresses, failed } = await addressesOf(host, source, names, ask, signal);
      const said: string[] = failed === null ? [] : [`names: ${failed}`];
      for (const address of addresses) {
        const from = familyOf(address) === 4 ? source.v4 : source.v6;
        if (from === null) continue;
        try {
          const socket: Socket = await reachFrom(from, address, port, signal, ADDRESS_MS);
          if (isIP(host) === 0) names.worked(host, address);
          return socket;
        } catch (error) {
          said.push(`${address} port ${port}: ${error instanceof Error ? error.message : String(error)}`);
          if (signal.aborted) break;
        }
      }
      throw new Error(`lte: ${said.join("; ") || `${host} has no address that ${familiesText(source)} can reach`}`);
    },
  };
}

const familiesText = ({ v4, v6 }: Source): string => [v4 && "IPv4", v6 && "IPv6"].filter(Boolean).join(" and ");

async function addressesOf(host: string, source: Source, names: Names, ask: Ask, signal: AbortSignal) {
  const literal = isIP(host);
  if (literal === 0) {
    const families: Family[] = [
      ...(source.v4 === null ? [] : [4 as const]),
      ...(source.v6 === null ? [] : [6 as const]),
    ];
    return names.find(host, families, signal);
  }
  if (literal === 6 || source.v4 !== null) return { addresses: [host], failed: null };
  const answers = await ask(PREFIX_NAME, 6, signal).catch(() => []);
  const address = mapped(host, answers);
  if (address !== null) return { addresses: [address], failed: null };
  throw new Error(
    `lte: ${host} is an IPv4 address, this access has only IPv6 and its resolver shows no NAT64; name the broker by a host name that has an IPv6 address`,
  );
}

async function askFrom(options: LtePathOptions, host: string, family: Family, signal: AbortSignal): Promise<string[]> {
  const { v4, v6 } = options.source();
  // A server of a family without a source of our own would be asked over the machine's routes.
  const servers = options.resolvers().filter((one) => (familyOf(one) === 4 ? v4 : v6) !== null);
  if (servers.length === 0) throw new Error(`no resolver for ${familiesText({ v4, v6 })}`);
  const resolver = new Resolver(ASK);
  resolver.setServers(servers.map((one) => (familyOf(one) === 6 ? `[${one}]` : one)));
  resolver.setLocalAddress(v4 ?? "0.0.0.0", v6 ?? "::");
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel);
  try {
    return await (family === 4 ? resolver.resolve4(host) : resolver.resolve6(host));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new Error(`${host}: ${code} from ${servers.join(", ")}`);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
