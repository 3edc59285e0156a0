import type { ModemReport } from "../core/modem.ts";
import type { SignalSample } from "../core/signal.ts";

/** What ModemManager's objects say, in words. Properties that a version does not have are nothing. */

export const MM = "org.freedesktop.ModemManager1";
export const MODEM = `${MM}.Modem`;
export const SIGNAL = `${MODEM}.Signal`;
const THREE_GPP = `${MODEM}.Modem3gpp`;

type Properties = Readonly<Record<string, unknown>>;
/** One object: its interfaces and their properties. */
export type Interfaces = Readonly<Record<string, Properties>>;

/** MMModemState, from -1. */
const STATES =
  "failed unknown initializing locked disabled disabling enabling enabled searching registered disconnecting connecting connected".split(
    " ",
  );
/** MMModemStateFailedReason. */
const REASONS = [null, "unknown", "sim-missing", "sim-error", "unknown-capabilities", "esim-without-profiles"];
/** MMModemLock, as far as a SIM is concerned. */
const LOCKS: Readonly<Record<number, string>> = { 2: "sim-pin", 3: "sim-pin2", 4: "sim-puk", 5: "sim-puk2" };
/** MMModem3gppRegistrationState; 6 and above are forms of home and roaming. */
const REGISTRATIONS: readonly string[] =
  "idle home searching denied unknown roaming home roaming emergency-only home roaming attached-rlos".split(" ");
/** MMModemAccessTechnology: bits. */
const TECHNOLOGIES: readonly (readonly [bit: number, name: string])[] = [
  [1, "gsm"],
  [3, "gprs"],
  [4, "edge"],
  [5, "umts"],
  [6, "hsdpa"],
  [7, "hsupa"],
  [8, "hspa"],
  [9, "hspa+"],
  [14, "lte"],
  [15, "5gnr"],
  [16, "lte-cat-m"],
  [17, "lte-nb-iot"],
];

export function reportOf(object: Interfaces, sim: Properties): ModemReport {
  const modem = object[MODEM] ?? {};
  const network = object[THREE_GPP] ?? {};
  const reason = REASONS[Number(modem.StateFailedReason ?? 0)] ?? null;
  const slots = Array.isArray(modem.SimSlots) ? modem.SimSlots.length : 0;
  const registered = "RegistrationState" in network ? REGISTRATIONS[Number(network.RegistrationState)] : undefined;
  const technology = Number(modem.AccessTechnologies ?? 0);
  return {
    driver: "modemmanager",
    presence: "present",
    state: stateOf(object),
    reason,
    lock: LOCKS[Number(modem.UnlockRequired ?? 0)] ?? null,
    imei: text(modem.EquipmentIdentifier),
    model: text([modem.Manufacturer, modem.Model].filter(Boolean).join(" ")),
    revision: text(modem.Revision),
    registration: registered ?? null,
    // Modems whose carrier names cannot be asked for leave the name empty.
    operator: text(network.OperatorName) ?? text(network.OperatorCode),
    technology: TECHNOLOGIES.flatMap(([bit, name]) => ((technology >>> bit) & 1 ? [name] : [])),
    iccid: text(sim.SimIdentifier),
    slot: slots > 1 ? { active: Number(modem.PrimarySimSlot ?? 0), count: slots } : null,
    signal: signalOf(object),
  };
}

export function stateOf(object: Interfaces): string {
  return STATES[Number(object[MODEM]?.State ?? 0) + 1] ?? "unknown";
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value !== "/" ? value : null;
}

function signalOf(object: Interfaces): SignalSample | null {
  const radio = ["Nr5g", "Lte", "Umts", "Gsm"].map((name) => object[SIGNAL]?.[name]);
  for (const values of radio) {
    if (typeof values !== "object" || values === null || Object.keys(values).length === 0) continue;
    const { rssi, rsrp, rsrq, snr } = values as Properties;
    return { rssi: level(rssi), rsrp: level(rsrp), rsrq: level(rsrq), snr: level(snr) };
  }
  return null;
}

/** ModemManager says -32768 for what it does not know. */
function level(value: unknown): number | null {
  return typeof value === "number" && value > -32_000 ? Math.round(value * 10) / 10 : null;
}

/** Which of the modems is meant: by its IMEI, else the one with the interface, else the only one. Never by its index. */
export function pickModem(
  objects: ReadonlyMap<string, Interfaces>,
  wanted: string,
  netInterface: string,
): { path: string } | { why: string } {
  const modems = [...objects].filter(([, object]) => object[MODEM] !== undefined);
  if (modems.length === 0) return { why: "ModemManager has found no modem" };
  if (wanted !== "auto") {
    const found = modems.find(([, object]) => object[MODEM]?.EquipmentIdentifier === wanted);
    const others = modems.map(([, object]) => text(object[MODEM]?.EquipmentIdentifier) ?? "one without IMEI");
    return found ? { path: found[0] } : { why: `no modem has IMEI ${wanted}; there is ${others.join(", ")}` };
  }
  const withPort = modems.find(([, object]) => portsOf(object).includes(netInterface));
  if (withPort !== undefined) return { path: withPort[0] };
  const [only] = modems;
  return only !== undefined && modems.length === 1
    ? { path: only[0] }
    : { why: `${modems.length} modems and none has ${netInterface}: name one by its IMEI` };
}

function portsOf(object: Interfaces): unknown[] {
  const ports = object[MODEM]?.Ports;
  return Array.isArray(ports) ? ports.map((port) => (Array.isArray(port) ? port[0] : null)) : [];
}
