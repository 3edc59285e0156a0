import { z } from "zod";
import { budget, name } from "./units.ts";

/** `uplinks:` as it is written: the ways out of a site. */

/** What Linux calls a network interface: 1 to 15 characters, no blank, no `/` (net/core/dev.c, dev_valid_name). */
const networkInterface = z
  .string()
  .regex(/^[^\s/:]{1,15}$/, { message: "the name of a network interface, as `ip link` shows it" });

/** IMEI: 15 digits (3GPP TS 23.003, section 6.2.1). */
const modem = z
  .string()
  .regex(/^(auto|none|\d{15})$/, { message: 'write auto, none, or the IMEI in quotes: "490154203237518"' });

const address = z.union([z.ipv4(), z.ipv6()], { error: "an IP address" });
/** Where something listens that is not ours and not the site's: `address:port`. */
const anchor = z
  .string()
  .regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5}$/i, { message: "write 1.1.1.1:443 or [2606:4700::1]:443" });

/** What is asked over the primary to find out what is wrong with it. Operators of these let everybody ask. */
const probe = z.strictObject({
  anchors: z.array(anchor).min(2).default(["1.1.1.1:443", "8.8.8.8:443"]),
  /** A resolver that is not the site's own. */
  resolver: address.default("9.9.9.9"),
  /** Answers 204 and nothing else. */
  page: z
    .string()
    .regex(/^http:\/\/[^/\s]+\/\S*$/, { message: "a page of plain http:// that answers 204" })
    .default("http://connectivitycheck.gstatic.com/generate_204"),
});

const primary = z.strictObject({
  interface: networkInterface,
  resolvers: z.array(address).default([]),
  probe: z.prefault(probe, {}),
});

const lte = z.strictObject({
  interface: networkInterface,
  modem: modem.default("auto"),
  budget: budget.optional(),
  source: z.enum(["fixed", "bearer"]).default("fixed"),
  resolvers: z.array(address).default([]),
  modemOutlet: name.optional(),
  driver: z.enum(["modemmanager", "mmcli"]).default("modemmanager"),
  profiles: z.array(z.string().min(1).max(100)).max(8).default([]),
});

export const uplinksSchema = z.strictObject({ primary: primary.optional(), lte: lte.optional() });

export interface PrimaryUplink {
  readonly interface: string;
  /** Instead of those that DHCP gave. */
  readonly resolvers: readonly string[];
  readonly probe: {
    readonly anchors: readonly string[];
    readonly resolver: string;
    readonly page: string;
  };
}

export interface LteUplink {
  readonly interface: string;
  /** `auto`: the one that ModemManager has; `none`: a stick that is a router by itself; else its IMEI. */
  readonly modem: string;
  /** What may be spent, both ways together; null: nobody counts against a limit. */
  readonly budget: { readonly bytes: number; readonly per: "day" | "month" } | null;
  /**
   * `fixed`: an address of ours that never changes, masqueraded by nftables. `bearer`: the carrier's, with rules that
   * follow it, where nftables may not be touched.
   */
  readonly source: "fixed" | "bearer";
  /** Asked before the public ones. */
  readonly resolvers: readonly string[];
  /** How ModemManager is asked: over its bus, or by running `mmcli`. */
  readonly driver: "modemmanager" | "mmcli";
  /** NetworkManager's connections that may be used, by name, in turn; none: whichever it takes by itself. */
  readonly profiles: readonly string[];
  /** Outlet that feeds the modem. */
  readonly modemOutlet: string | null;
}

/** Neither: one connection by the machine's own routes. */
export interface Uplinks {
  readonly primary: PrimaryUplink | null;
  readonly lte: LteUplink | null;
}

/** What root's part needs of them. */
export interface NetUplinks {
  readonly primary: Pick<PrimaryUplink, "interface"> | null;
  readonly lte: Pick<LteUplink, "interface" | "source"> | null;
}

const netUplinks = z.object({
  primary: z.object({ interface: networkInterface }).nullable(),
  lte: z.object({ interface: networkInterface, source: z.enum(["fixed", "bearer"]) }).nullable(),
});

/** As root's part wrote them down before; null where it is something else: another version's, or a bad card's. */
export function readNetUplinks(value: unknown): NetUplinks | null {
  return netUplinks.safeParse(value).data ?? null;
}

export function uplinksOf(raw: z.infer<typeof uplinksSchema> | undefined): Uplinks {
  const one = raw?.lte;
  return {
    primary: raw?.primary ?? null,
    lte:
      one === undefined
        ? null
        : {
            interface: one.interface,
            modem: one.modem,
            budget: one.budget ?? null,
            source: one.source,
            resolvers: one.resolvers,
            driver: one.driver,
            profiles: one.profiles,
            modemOutlet: one.modemOutlet ?? null,
          },
  };
}
