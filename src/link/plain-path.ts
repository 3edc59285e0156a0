import { Resolver } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { connect, isIP, type Socket } from "node:net";
import type { Path } from "./path.ts";

/**
 * The path of a site without `uplinks:`: TCP by the machine's routes. Names are asked by c-ares, which waits on a
 * socket: the system's resolver waits in a thread that the disk needs, and does so for as long as its servers are silent.
 */

export interface NameFiles {
  /** Text of a file, or nothing. */
  read(path: string): string;
}

/** So long one address of several may take before the next is tried. */
const NEXT_ADDRESS_MS = 5_000;
const ASK = { timeout: 2_000, tries: 2 };

const SYSTEM: NameFiles = {
  read(path) {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  },
};

export function plainPath(files: NameFiles = SYSTEM): Path {
  return {
    uplink: "primary",
    async connect(host, port, signal) {
      const addresses = await addressesOf(host, files, signal);
      let last = new Error(`${host} has no address`);
      for (const [index, address] of addresses.entries()) {
        const limitMs = index === addresses.length - 1 ? null : NEXT_ADDRESS_MS;
        try {
          return await reach(address, port, signal, limitMs);
        } catch (error) {
          last = error instanceof Error ? error : new Error(String(error));
          if (signal.aborted) break;
        }
      }
      throw last;
    },
  };
}

async function addressesOf(host: string, files: NameFiles, signal: AbortSignal): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  const known = hostsEntries(files.read("/etc/hosts"), host);
  if (known.length > 0) return known;
  if (host === "localhost") return ["127.0.0.1", "::1"];
  // A new one each time: it reads /etc/resolv.conf as it is now.
  const resolver = new Resolver(ASK);
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel);
  try {
    return await askAll(resolver, namesToAsk(host, files.read("/etc/resolv.conf")));
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

async function askAll(resolver: Resolver, names: readonly string[]): Promise<string[]> {
  let said = "no answer";
  for (const name of names) {
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    const found = answers.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
    if (found.length > 0) return found;
    const [failed] = answers.flatMap((one) => (one.status === "rejected" ? [one.reason as { code?: string }] : []));
    said = failed?.code ?? said;
  }
  throw new Error(`name ${names[0] ?? ""}: ${said}`);
}

/** Lines of /etc/hosts: `address name alias…`. */
export function hostsEntries(text: string, host: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [address = "", ...names] = (line.split("#")[0] ?? "").trim().split(/\s+/);
    return isIP(address) !== 0 && names.some((name) => name.toLowerCase() === host.toLowerCase()) ? [address] : [];
  });
}

/** A name of one label is looked for in the domains that `search` lists, as everywhere on the machine. */
export function namesToAsk(host: string, resolvConf: string): string[] {
  if (host.includes(".")) return [host];
  const domains = [...resolvConf.matchAll(/^(?:search|domain)\s+(.+)$/gm)].at(-1)?.[1]?.trim().split(/\s+/) ?? [];
  return [...domains.map((domain) => `${host}.${domain}`), host];
}

/** @param limitMs null: as long as `signal` lets it. */
function reach(address: string, port: number, signal: AbortSignal, limitMs: number | null): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new Error("given up"));
    const socket = connect({ host: address, port });
    const timer = limitMs === null ? null : setTimeout(() => fail(`no answer within ${limitMs / 1_000} s`), limitMs);
    const done = (): void => {
      if (timer !== null) clearTimeout(timer);
      signal.removeEventListener("abort", giveUp);
      socket.removeListener("error", onError);
    };
    const fail = (why: string): void => {
      done();
      socket.on("error", () => undefined);
      socket.destroy();
      reject(new Error(why));
    };
    const giveUp = (): void => fail(`${address}: given up`);
    const onError = (error: Error): void => fail(error.message);
    signal.addEventListener("abort", giveUp);
    socket.once("error", onError);
    socket.once("connect", () => {
      done();
      resolve(socket);
    });
  });
}
