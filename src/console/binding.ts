import type { Code } from "../core/codes.ts";
import type { Adapter, UsbIdentity } from "./adapters.ts";

/** Which adapter a console's `port:` means. Where that is not certain, none is: it must not be opened, nor written to. */

interface Part {
  readonly interface?: number | undefined;
  readonly channel?: number | undefined;
}

/** A port as the config names it. */
export type PortBinding =
  | { readonly path: string; readonly usb?: string | undefined; readonly serial?: string | undefined }
  | ({ readonly usb: string; readonly serial?: string | undefined } & Part)
  | ({ readonly hub: string; readonly usb?: string | undefined } & Part);

/** The node to open, or why there is none. */
export type Located = { readonly ok: true; readonly node: string } | ({ readonly ok: false } & NotLocated);

export interface NotLocated {
  readonly code: Extract<Code, "console.missing" | "console.quarantined">;
  /** What is wrong and what to write or do instead. */
  readonly detail: string;
}

type UsbAdapter = Adapter & { readonly usb: UsbIdentity };

export function resolvePort(port: PortBinding, adapters: readonly Adapter[]): Located {
  if ("path" in port) return byPath(port, adapters);
  const onUsb = adapters.filter(isUsb);
  return "hub" in port ? byHub(port, onUsb) : bySerial(port, onUsb);
}

/** Adapters that say exactly the same of themselves; with no serial number, all of a kind do. */
export function twinsOf(adapter: Adapter, adapters: readonly Adapter[]): Adapter[] {
  const { usb } = adapter;
  if (usb === null) return [];
  const same = (other: UsbIdentity) =>
    other.id === usb.id &&
    other.serial === usb.serial &&
    other.interface === usb.interface &&
    other.channel === usb.channel;
  return adapters.filter((other) => other.node !== adapter.node && other.usb !== null && same(other.usb));
}

/** The safest way to name this adapter among those that are there: by serial number if that is its own, else by socket. */
export function suggestPort(adapter: Adapter, adapters: readonly Adapter[], controllers: number): PortBinding {
  const { usb } = adapter;
  if (usb === null) return { path: adapter.node };
  const onDevice = adapters.filter(isUsb).filter((other) => sameDevice(other.usb, usb));
  const part: Part = {
    ...(onDevice.some((other) => other.usb.interface !== usb.interface) && { interface: usb.interface }),
    ...(usb.channel !== null &&
      onDevice.some((other) => other.usb.channel !== usb.channel) && { channel: usb.channel }),
  };
  if (usb.serial !== null && twinsOf(adapter, adapters).length === 0)
    return { usb: usb.id, serial: usb.serial, ...part };
  return { hub: controllers > 1 ? `${usb.controller}/${usb.hub}` : usb.hub, usb: usb.id, ...part };
}

/** `{ usb: "0403:6001", serial: "A50285BI" }`, to paste into site.yaml. */
export function portYaml(port: PortBinding): string {
  const parts = Object.entries(port).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  return `{ ${parts.join(", ")} }`;
}

/** A path is taken as it is, but for udev's links by identity: of two twins they name whichever came last. */
function byPath(port: Extract<PortBinding, { path: string }>, adapters: readonly Adapter[]): Located {
  const { path } = port;
  if (port.usb !== undefined || port.serial !== undefined) {
    const there = adapters.find((one) => one.node === path || one.byId.includes(path) || one.byPath.includes(path));
    if (there === undefined) return missing(`no adapter is plugged in at ${path}`);
    const wanted = [port.usb, port.serial].filter(Boolean).join(" ");
    const fits =
      (port.usb ?? there.usb?.id) === there.usb?.id && (port.serial ?? there.usb?.serial) === there.usb?.serial;
    if (!fits) return quarantined(strangerText(path, there.usb, wanted));
  }
  const adapter = adapters.find((one) => one.byId.includes(path));
  const twins = adapter === undefined ? [] : twinsOf(adapter, adapters);
  return adapter === undefined || twins.length === 0
    ? { ok: true, node: path }
    : twinTrouble(path, [adapter, ...twins].filter(isUsb));
}

function bySerial(port: Extract<PortBinding, { usb: string; serial?: unknown }>, adapters: UsbAdapter[]): Located {
  const said = port.serial === undefined ? port.usb : `${port.usb} with the serial number ${port.serial}`;
  const sameKind = adapters.filter(({ usb }) => usb.id === port.usb);
  const devices = sameKind.filter(({ usb }) => port.serial === undefined || usb.serial === port.serial);
  if (devices.length === 0) {
    const others = [...new Set(sameKind.map(({ usb }) => usb.serial ?? "none"))];
    const instead =
      others.length === 0 ? "" : `; there are ${port.usb} with other serial numbers: ${others.join(", ")}`;
    return missing(`no adapter ${said} is plugged in${instead}`);
  }
  return pick(port, devices, said);
}

function byHub(port: Extract<PortBinding, { hub: string }>, adapters: UsbAdapter[]): Located {
  const place = `hub ${port.hub}`;
  const there = adapters.filter(({ usb }) => port.hub === usb.hub || port.hub === `${usb.controller}/${usb.hub}`);
  if (there.length === 0) return missing(`no adapter is plugged in at ${place}`);
  const expected = there.filter(({ usb }) => port.usb === undefined || usb.id === port.usb);
  if (expected.length > 0) return pick(port, expected, `adapter at ${place}`);
  const [{ usb: stranger }] = there as [UsbAdapter];
  return quarantined(strangerText(place, stranger, port.usb ?? ""));
}

function strangerText(place: string, stranger: UsbIdentity | null, wanted: string): string {
  const serial = wanted.includes(" ") ? stranger?.serial : null;
  const known = [stranger?.id, serial, stranger?.product && `(${stranger.product})`].filter(Boolean);
  const name = known.length === 0 ? "a UART of the board" : known.join(" ");
  return `at ${place} sits ${name}, not ${wanted}: put the right adapter there, or correct usb: if the exchange was meant`;
}

/** One of those that fit by name: its interface must decide, and nothing else may fit. */
function pick(port: Part, found: readonly UsbAdapter[], said: string): Located {
  const fits = found.filter(
    ({ usb }) =>
      (port.interface === undefined || usb.interface === port.interface) &&
      (port.channel === undefined || usb.channel === port.channel),
  );
  const [first, second] = fits;
  const parts = [...new Set(found.map(({ usb }) => partText(usb)))].join(", ");
  if (first === undefined) return missing(`the ${said} has no such part; it has: ${parts}`);
  if (second === undefined) return { ok: true, node: first.node };
  if (fits.every(({ usb }) => sameDevice(usb, first.usb)))
    return quarantined(`the ${said} has several ports; add one of: ${parts}`);
  return twinTrouble(said, fits);
}

function twinTrouble(said: string, twins: readonly UsbAdapter[]): Located {
  const several = new Set(twins.map(({ usb }) => usb.controller)).size > 1;
  const places = twins.map(({ usb }) => `${several ? `${usb.controller}/` : ""}${usb.hub}`);
  const [first] = twins;
  const remedy = `hub: "${[...new Set(places)].join('" or "')}", usb: "${first?.usb.id}"`;
  return quarantined(
    `${twins.length} adapters fit ${said} and cannot be told apart; bind by the socket instead: ${remedy} (the command towpath ports prints the whole line)`,
  );
}

function partText(usb: UsbIdentity): string {
  return usb.channel === null ? `interface: ${usb.interface}` : `interface: ${usb.interface}, channel: ${usb.channel}`;
}

function sameDevice(a: UsbIdentity, b: UsbIdentity): boolean {
  return a.hub === b.hub && a.controller === b.controller;
}

function isUsb(adapter: Adapter): adapter is UsbAdapter {
  return adapter.usb !== null;
}

function missing(detail: string): Located {
  return { ok: false, code: "console.missing", detail };
}

function quarantined(detail: string): Located {
  return { ok: false, code: "console.quarantined", detail };
}
