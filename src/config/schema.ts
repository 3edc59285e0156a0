import { z } from "zod";
import { accessSchema } from "./access.ts";
import { pasteSchema, sequencesSchema } from "./typed.ts";
import { duration, framing, name, rate, ringSize } from "./units.ts";
import { uplinksSchema } from "./uplinks.ts";

/** `site.yaml` as it is written (design, section 8). What the references mean is checked in `config.ts`. */

const path = z.string().min(1);
const names = z.array(name);

/** `outlets:` with nothing behind it is an empty map, not an error. */
const orEmpty = <T extends z.ZodType>(schema: T) => z.preprocess((value) => value ?? {}, schema);

/** No name: nothing at a site may wait for somebody's DNS. A port that refuses is an answer too. */
const address = z.string().regex(/^(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])(:[1-9]\d{0,4})?$/, {
  message: "write an IP address, with a port behind it where 22 is not the one: 10.0.0.2:443, [fd00::2]:443",
});

const observe = z.union([
  z.strictObject({ input: name, within: duration.default(20_000) }),
  z.strictObject({ console: name, within: duration.default(180_000) }),
  z.strictObject({ address, within: duration.default(180_000) }),
]);

const outlet = z.strictObject({
  relay: z.int().min(1),
  contact: z.enum(["no", "nc"]),
  offTime: duration.default(5_000),
  onDelay: duration.default(0),
  offDelay: duration.default(0),
  minOff: duration.default(2_000),
  minOn: duration.default(10_000),
  rate: rate.default({ max: 6, perMs: 3_600_000 }),
  powerRestore: z.enum(["as-wired", "always-on", "always-off", "last-state"]).default("as-wired"),
  observe: observe.optional(),
});

const device = z.strictObject({
  outlets: names.default([]),
  consoles: names.default([]),
  after: names.default([]),
  kind: z.string().max(40).optional(),
  address: address.optional(),
});

/** Vendor and product of an adapter. */
const usb = z
  .string()
  .regex(/^[0-9a-f]{4}:[0-9a-f]{4}$/, { message: 'write it as `towpath ports` does: "0403:6001", small letters' });

/** The socket: `1.2`, with the USB controller before it where the machine has several. */
const hub = z
  .string()
  .regex(/^([\w:.-]+\/)?[1-9]\d*(\.[1-9]\d*)*$/, { message: 'write the socket as `towpath ports` does: "1.2"' });

/** Which port of an adapter that has several: by USB interface, and by channel where one interface has several. */
const part = { interface: z.int().min(0).optional(), channel: z.int().min(0).optional() };

const port = z.union([
  // What must sit there: a stranger is not opened.
  z.strictObject({ path, usb: usb.optional(), serial: z.string().min(1).optional() }),
  z.strictObject({ sim: name }),
  z.strictObject({ usb, serial: z.string().min(1).optional(), ...part }),
  z.strictObject({ hub, usb: usb.optional(), ...part }),
]);

const console = z.strictObject({
  port,
  baudRate: z.int().min(50).max(4_000_000).default(9_600),
  framing: framing.default({ dataBits: 8, parity: "none", stopBits: 1 }),
  flow: z.enum(["none", "rtscts", "xonxoff"]).default("none"),
  ship: z.enum(["primary", "always", "on-demand"]).default("primary"),
  capture: z.enum(["rx", "rx+tx"]).default("rx"),
  paste: pasteSchema,
  sequences: sequencesSchema,
});

const broker = z.string().regex(/^mqtts?:\/\/[^/\s]+$/, { message: "write mqtts://host:8883" });

export const siteSchema = z.strictObject({
  site: name,
  fleet: name,
  data: path,
  board: path,
  local: path.optional(),
  trust: path.optional(),
  journal: z
    .strictObject({ capture: ringSize.default(256e6), ledger: ringSize.default(32e6) })
    .default({ capture: 256e6, ledger: 32e6 }),
  controller: z
    .strictObject({ poweredBy: z.union([z.literal("none"), name, names]).default("none"), path: names.default([]) })
    .optional(),
  link: z
    .strictObject({
      brokers: z.array(broker).min(1),
      tls: z.strictObject({ ca: path.optional(), cert: path.optional(), key: path.optional() }).optional(),
    })
    .optional(),
  outlets: orEmpty(z.record(name, outlet)),
  /** Outlets of which never two are on. */
  interlocks: z.array(names.min(2, { message: "an interlock is between at least two outlets" })).default([]),
  devices: orEmpty(z.record(name, orEmpty(device))),
  consoles: orEmpty(z.record(name, console)),
  uplinks: uplinksSchema.optional(),
  access: accessSchema.optional(),
});

export type RawSite = z.infer<typeof siteSchema>;
export type RawConsole = RawSite["consoles"][string];
