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

const primary = z.strictObject({ interface: networkInterface });

const lte = z.strictObject({
  interface: networkInterface,
  modem: modem.default("auto"),
  budget: budget.optional(),
  modemOutlet: name.optional(),
  driver: z.enum(["modemmanager", "mmcli"]).default("modemmanager"),
  profiles: z.array(z.string().min(1).max(100)).max(8).default([]),
});

export const uplinksSchema = z.strictObject({ primary: primary.optional(), lte: lte.optional() });

export interface PrimaryUplink {
  readonly interface: string;
}

export interface LteUplink {
  readonly interface: string;
  /** `auto`: the one that ModemManager has; `none`: a stick that is a router by itself; else its IMEI. */
  readonly modem: string;
  /** What may be spent, both ways together; null: nobody counts against a limit. */
  readonly budget: { readonly bytes: number; readonly per: "day" | "month" } | null;
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
            driver: one.driver,
            profiles: one.profiles,
            modemOutlet: one.modemOutlet ?? null,
          },
  };
}
