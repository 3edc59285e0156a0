import { networkInterfaces } from "node:os";
import type { Source } from "./lte-path.ts";

/** Addresses and numbers that the controller and the helper that sets up the machine must agree on. */

/** Ours on LTE, whatever the carrier gives: of the block for benchmarks (RFC 2544), which nobody routes; a ULA. */
export const FIXED: { readonly v4: string; readonly v6: string } = {
  v4: "198.18.0.77",
  v6: "fd54:6f77:7061:7468::77",
};
export const LTE_TABLE = 100;
/** Before the rules of VPN clients: what comes from our address goes by our table, or nowhere. */
export const RULE_PREF = 90;

/** What a device has of its own; link-local addresses lead nowhere. */
export function addressesOf(device: string): string[] {
  return (networkInterfaces()[device] ?? [])
    .map(({ address }) => address)
    .filter((address) => !/^(169\.254\.|fe80:)/i.test(address));
}

/** From where connections over LTE are made now. */
export function lteSource(device: string, kind: "fixed" | "bearer"): Source {
  const own = addressesOf(device);
  const v4 = own.find((one) => !one.includes(":")) ?? null;
  const v6 = own.find((one) => one.includes(":")) ?? null;
  if (kind === "bearer") return { v4, v6 };
  return { v4: v4 && FIXED.v4, v6: v6 && FIXED.v6 };
}
