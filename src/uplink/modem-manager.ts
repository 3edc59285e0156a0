import { BUS, type Bus, type BusCall, BusError, connectBus } from "../linux/dbus.ts";
import type { BusMessage } from "../linux/dbus-message.ts";
import { type Interfaces, MM, MODEM, pickModem, reportOf, SIGNAL, stateOf } from "./managed-modem.ts";
import { absent, attempt, type Modem, type ModemOptions, type ModemStep, refused, type StepAnswer } from "./modem.ts";
import { activate } from "./network-manager.ts";

/**
 * A modem through ModemManager, told by its signals and asked with signatures that are known. The bus, ModemManager and
 * the modem may each come and go; NetworkManager owns the bearer.
 */
export interface ModemManagerOptions extends ModemOptions {
  readonly address: string;
  /** Between two measures of the signal. */
  readonly signalEveryS?: number;
}

const OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES = "org.freedesktop.DBus.Properties";
const ROOT = { destination: MM, path: "/org/freedesktop/ModemManager1" } as const;
const AGAIN_MS = 10_000;
const SIGNAL_EVERY_S = 30;
/** A modem answers late when it is not well: longer than ModemManager itself waits for one AT command. */
const STEP_TIMEOUT_MS = 120_000;
const LOW_POWER = 2;
const FULL_POWER = 3;

const MATCHES = [
  `type='signal',sender='${MM}'`,
  `type='signal',sender='${BUS.destination}',member='NameOwnerChanged',arg0='${MM}'`,
];

export function createModemManager(options: ModemManagerOptions): Modem {
  const { told } = options;
  const objects = new Map<string, Interfaces>();
  let bus: Bus | null = null;
  let again: NodeJS.Timeout | null = null;
  let stopped = false;
  let last = "";
  let device: string | null = null;
  let measured: string | null = null;
  let profile = 0;

  const retry = (): void => {
    if (stopped) return;
    if (again !== null) clearTimeout(again);
    again = setTimeout(begin, AGAIN_MS);
  };

  const say = (report: ReturnType<typeof reportOf>, fresh = false): void => {
    const json = JSON.stringify(report);
    if (stopped || (json === last && !fresh)) return;
    last = json;
    told(report);
  };

  const lost = (why: string): void => {
    bus = null;
    objects.clear();
    say(absent("modemmanager", "unmanaged", why));
    retry();
  };

  const begin = (): void => {
    void connectBus({ address: options.address, signal, closed: (why) => lost(`the system bus: ${why}`) })
      .then(async (made) => {
        if (stopped) return made.close();
        bus = made;
        for (const match of MATCHES) await made.call({ ...BUS, member: "AddMatch", signature: "s", body: [match] });
        await list();
      })
      .catch((error: Error) => lost(`the system bus: ${error.message}`));
  };

  /** Everything anew: what was before may be of an earlier ModemManager. */
  const list = async (): Promise<void> => {
    try {
      const [all] = await ask({ ...ROOT, interface: OBJECT_MANAGER, member: "GetManagedObjects" });
      objects.clear();
      for (const [path, one] of Object.entries(all as Record<string, Interfaces>)) objects.set(path, one);
      changed();
    } catch (error) {
      objects.clear();
      say(absent("modemmanager", "unmanaged", `ModemManager does not answer: ${(error as Error).message}`));
      retryListing();
    }
  };

  const retryListing = (): void => {
    if (stopped || bus === null) return;
    if (again !== null) clearTimeout(again);
    again = setTimeout(() => void list(), AGAIN_MS);
  };

  const ask = (call: BusCall): Promise<readonly unknown[]> =>
    bus === null ? Promise.reject(new Error("there is no system bus")) : bus.call(call);

  const changed = (fresh = false): void => {
    const picked = pickModem(objects, options.modem, options.interface);
    if ("why" in picked) {
      measured = null;
      return say(absent("modemmanager", "missing", picked.why));
    }
    const object = objects.get(picked.path) ?? {};
    device = typeof object[MODEM]?.Device === "string" ? object[MODEM].Device : device;
    measure(picked.path, object);
    void simOf(object).then((sim) => {
      // As it is by now: an answer that was slow must not bring back what was before.
      const now = objects.get(picked.path);
      if (now !== undefined) say(reportOf(now, sim), fresh);
    });
  };

  /** Signal is measured only while a modem is enabled, and the asking ends with that. */
  const measure = (path: string, object: Interfaces): void => {
    const enabled = ["enabled", "searching", "registered", "connecting", "connected"].includes(stateOf(object));
    if (!enabled) measured = null;
    if (!enabled || measured === path || object[SIGNAL] === undefined) return;
    measured = path;
    const body = [options.signalEveryS ?? SIGNAL_EVERY_S];
    void ask({ destination: MM, path, interface: SIGNAL, member: "Setup", signature: "u", body }).catch(() => {
      measured = null;
    });
  };

  const sims = new Map<string, Readonly<Record<string, unknown>>>();
  const simOf = async (object: Interfaces): Promise<Readonly<Record<string, unknown>>> => {
    const path = String(object[MODEM]?.Sim ?? "/");
    if (path === "/") return {};
    const known = sims.get(path);
    if (known !== undefined) return known;
    try {
      const [found] = await ask({
        ...{ destination: MM, path, interface: PROPERTIES, member: "GetAll" },
        ...{ signature: "s", body: [`${MM}.Sim`] },
      });
      sims.set(path, found as Readonly<Record<string, unknown>>);
      return found as Readonly<Record<string, unknown>>;
    } catch {
      return {};
    }
  };

  function signal({ path = "", interface: from, member, body }: BusMessage): void {
    if (member === "NameOwnerChanged" && body[0] === MM) {
      objects.clear();
      sims.clear();
      measured = null;
      if (body[2] !== "") return void list();
      return say(absent("modemmanager", "unmanaged", "ModemManager does not run"));
    }
    if (from === OBJECT_MANAGER && member === "InterfacesAdded") {
      const [added, one] = body as [string, Interfaces];
      objects.set(added, { ...objects.get(added), ...one });
      return changed();
    }
    if (from === OBJECT_MANAGER && member === "InterfacesRemoved") return removed(body as [string, string[]]);
    if (from !== PROPERTIES || member !== "PropertiesChanged") return;
    const [name, values] = body as [string, Readonly<Record<string, unknown>>];
    const object = objects.get(path);
    if (object === undefined) return;
    objects.set(path, { ...object, [name]: { ...object[name], ...values } });
    changed(name === SIGNAL);
  }

  const removed = ([path, names]: [string, string[]]): void => {
    const left = Object.entries(objects.get(path) ?? {}).filter(([name]) => !names.includes(name));
    if (left.length === 0) objects.delete(path);
    else objects.set(path, Object.fromEntries(left));
    changed();
  };

  const toModem = async (
    path: string,
    member: string,
    signature = "",
    body: readonly unknown[] = [],
  ): Promise<void> => {
    await ask({ destination: MM, path, interface: MODEM, member, signature, body, timeoutMs: STEP_TIMEOUT_MS });
  };

  const reconnect = (path: string, name: string | null): Promise<string> =>
    activate(ask, { modem: path, interface: options.interface, name });

  /** Down and up again; the connection comes back by itself, or with the next step. */
  const airplane = async (path: string): Promise<string> => {
    await toModem(path, "Enable", "b", [false]);
    try {
      return (await radioOff(path)) ? "the radio was off and is on again" : "disabled and enabled: its radio stays on";
    } finally {
      await toModem(path, "Enable", "b", [true]);
    }
  };

  /** False where this modem has no state of low power. */
  const radioOff = async (path: string): Promise<boolean> => {
    try {
      await toModem(path, "SetPowerState", "u", [LOW_POWER]);
    } catch (error) {
      if (error instanceof BusError && error.code.endsWith(".Unsupported")) return false;
      throw error;
    }
    await toModem(path, "SetPowerState", "u", [FULL_POWER]);
    return true;
  };

  const otherProfile = async (path: string): Promise<string> => {
    const { profiles } = options;
    if (profiles.length > 1) {
      profile = (profile + 1) % profiles.length;
      return reconnect(path, profiles[profile] ?? null);
    }
    const object = objects.get(path) ?? {};
    const { slot } = reportOf(object, {});
    if (slot === null) throw new Error("there is one SIM slot and one profile");
    const other = (slot.active % slot.count) + 1;
    await toModem(path, "SetPrimarySimSlot", "u", [other]);
    return `SIM slot ${other}`;
  };

  const take = async (step: ModemStep): Promise<StepAnswer> => {
    if (step === "reboot") return attempt(() => options.privileged.reboot().then(() => "the Pi restarts"));
    if (step === "usb") {
      const at = device;
      if (at === null || !at.includes("/usb")) return refused(`not known as a USB device: ${at ?? "never seen"}`);
      return attempt(() => options.privileged.reauthoriseUsb(at).then(() => at));
    }
    const picked = pickModem(objects, options.modem, options.interface);
    if ("why" in picked) return refused(picked.why);
    if (step === "reconnect") return attempt(() => reconnect(picked.path, options.profiles[profile] ?? null));
    if (step === "airplane") return attempt(() => airplane(picked.path));
    if (step === "reset") return attempt(() => toModem(picked.path, "Reset").then(() => "reset"));
    return attempt(() => otherProfile(picked.path));
  };

  return {
    start: begin,
    take,
    stop() {
      stopped = true;
      if (again !== null) clearTimeout(again);
      bus?.close();
      bus = null;
    },
  };
}
