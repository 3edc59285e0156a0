import type { BusCall } from "../linux/dbus.ts";

/** NetworkManager owns the connection over a modem: it is asked to make it anew, nobody else does. */

const NM = "org.freedesktop.NetworkManager";
const ROOT = { destination: NM, path: "/org/freedesktop/NetworkManager" } as const;
const PROPERTIES = "org.freedesktop.DBus.Properties";
const ACTIVATE_TIMEOUT_MS = 60_000;

type Ask = (call: BusCall) => Promise<readonly unknown[]>;

interface Wanted {
  /** ModemManager's object: NetworkManager knows the device by it. */
  readonly modem: string;
  readonly interface: string;
  /** Name of the connection; null: the one that was in use, or whichever it takes. */
  readonly name: string | null;
}

/** Returns what was activated. Rejects where NetworkManager does not run or does not have the device. */
export async function activate(ask: Ask, wanted: Wanted): Promise<string> {
  const device = await deviceOf(ask, wanted);
  const connection = wanted.name === null ? await inUse(ask, device) : await named(ask, device, wanted.name);
  const body = [connection, device.path, "/"];
  await ask({
    ...{ ...ROOT, interface: NM, member: "ActivateConnection", signature: "ooo", body },
    timeoutMs: ACTIVATE_TIMEOUT_MS,
  });
  return wanted.name ?? (connection === "/" ? "a connection of its own choice" : connection);
}

interface Device {
  readonly path: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

async function deviceOf(ask: Ask, wanted: Wanted): Promise<Device> {
  const [paths] = await ask({ ...ROOT, interface: NM, member: "GetDevices" });
  for (const path of paths as string[]) {
    const properties = await propertiesOf(ask, path, `${NM}.Device`);
    const { Udi, Interface, IpInterface } = properties;
    if (Udi === wanted.modem || Interface === wanted.interface || IpInterface === wanted.interface)
      return { path, properties };
  }
  throw new Error(`NetworkManager has no device for the modem, nor ${wanted.interface}`);
}

async function inUse(ask: Ask, { properties }: Device): Promise<string> {
  const active = String(properties.ActiveConnection ?? "/");
  if (active === "/") return "/";
  const { Connection } = await propertiesOf(ask, active, `${NM}.Connection.Active`);
  return String(Connection ?? "/");
}

async function named(ask: Ask, { properties }: Device, name: string): Promise<string> {
  const available = Array.isArray(properties.AvailableConnections) ? properties.AvailableConnections.map(String) : [];
  for (const path of available) {
    const [settings] = await ask({
      ...{ destination: NM, path, interface: `${NM}.Settings.Connection`, member: "GetSettings" },
    });
    const all = settings as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    if (all.connection?.id === name) return path;
  }
  throw new Error(`NetworkManager has no connection "${name}" that fits the modem`);
}

async function propertiesOf(ask: Ask, path: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  const call = { destination: NM, path, interface: PROPERTIES, member: "GetAll", signature: "s", body: [name] };
  const [found] = await ask(call);
  return found as Readonly<Record<string, unknown>>;
}
