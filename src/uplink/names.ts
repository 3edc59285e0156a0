import { readFileSync } from "node:fs";
import { writeWhole } from "../disk/disk.ts";
import type { Family } from "./reach.ts";

/**
 * What brokers were called last, kept on the card: when the resolvers of a path are silent the addresses that once
 * answered are still good for a try.
 */

/** Asks the resolvers of one path. Rejects where none of them answered. */
export type Ask = (host: string, family: Family, signal: AbortSignal) => Promise<readonly string[]>;

export interface Found {
  readonly addresses: readonly string[];
  /** Why only kept addresses are there; null when they are fresh. */
  readonly failed: string | null;
}

interface Kept {
  readonly addresses: readonly string[];
  /** The one that last took a connection. */
  readonly good?: string;
}

const HOSTS_KEPT = 16;

export class Names {
  private readonly file: string;
  private readonly ask: Ask;
  private kept: Readonly<Record<string, Kept>>;

  constructor(file: string, ask: Ask) {
    this.file = file;
    this.ask = ask;
    this.kept = read(file);
  }

  async find(host: string, families: readonly Family[], signal: AbortSignal): Promise<Found> {
    const answers = await Promise.allSettled(families.map((family) => this.ask(host, family, signal)));
    const fresh = answers.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
    const before = this.kept[host];
    if (fresh.length > 0) {
      if (JSON.stringify(before?.addresses) !== JSON.stringify(fresh)) this.keep(host, { ...before, addresses: fresh });
      // What took the last connection is tried after what is said now: an answer may be wrong as well.
      const good = before?.good;
      const also = good === undefined || fresh.includes(good) ? [] : [good];
      return { addresses: [...fresh, ...also], failed: null };
    }
    const [reason] = answers.flatMap((one) => (one.status === "rejected" ? [one.reason as Error] : []));
    const failed = reason?.message ?? "it has no address";
    const old = [before?.good, ...(before?.addresses ?? [])].filter((one) => one !== undefined);
    return { addresses: [...new Set(old)], failed };
  }

  worked(host: string, address: string): void {
    const before = this.kept[host];
    if (before?.good !== address) this.keep(host, { addresses: before?.addresses ?? [address], good: address });
  }

  private keep(host: string, kept: Kept): void {
    const { [host]: _, ...others } = this.kept;
    this.kept = Object.fromEntries([...Object.entries(others), [host, kept]].slice(-HOSTS_KEPT));
    try {
      writeWhole(this.file, JSON.stringify(this.kept));
    } catch {
      // A card that takes nothing costs the memory of names, not the connection.
    }
  }
}

function read(file: string): Readonly<Record<string, Kept>> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof value !== "object" || value === null) return {};
    return Object.fromEntries(
      Object.entries(value).filter(([, one]) => Array.isArray(one?.addresses) && one.addresses.every(isText)),
    );
  } catch {
    return {};
  }
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
