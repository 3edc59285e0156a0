import { z } from "zod";
import { name } from "./units.ts";

/** `access:` as it is written: what may be reached through a site, and which of its consoles over the network. */

/** Where a listener stands: never on a name, that somebody's DNS would decide. */
const place = z.string().regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):[1-9]\d{0,4}$/, {
  message: 'write an address and a port: "127.0.0.1:4001", "[::1]:4001"',
});

const target = z.string().regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):[1-9]\d{0,4}$/, {
  message: 'write a host and a port: "10.0.0.2:443"',
});

const listener = z.strictObject({
  console: name,
  rfc2217: place.optional(),
  telnet: place.optional(),
  raw: place.optional(),
  mode: z.enum(["watch", "type"]).default("watch"),
  keepLine: z.boolean().default(false),
});

export const accessSchema = z.strictObject({
  forwards: z.array(target).default([]),
  listeners: z.array(listener).default([]),
});

export interface ListenerConfig {
  readonly console: string;
  readonly kind: "rfc2217" | "telnet" | "raw";
  /** `address:port`, IPv6 in brackets. */
  readonly at: string;
  readonly mode: "watch" | "type";
  /** A speed that a client set stays when it leaves. */
  readonly keepLine: boolean;
}

export interface Access {
  /** `host:port` that may be reached through the site. */
  readonly forwards: readonly string[];
  readonly listeners: readonly ListenerConfig[];
}

const KINDS = ["rfc2217", "telnet", "raw"] as const;

export function accessOf(raw: z.infer<typeof accessSchema> | undefined): Access {
  const listeners = (raw?.listeners ?? []).flatMap(({ console, mode, keepLine, ...places }) =>
    KINDS.flatMap((kind): ListenerConfig[] => {
      const at = places[kind];
      return at === undefined ? [] : [{ console, kind, at, mode, keepLine }];
    }),
  );
  return { forwards: raw?.forwards ?? [], listeners };
}
