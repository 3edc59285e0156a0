import type { SiteConfig } from "../config/config.ts";
import type { Port } from "../console/port.ts";
import { powerOf } from "../core/plan.ts";
import type { Modem, ModemOptions } from "../uplink/modem.ts";
import { openSimBoard, type RelayFault, type SimBoard } from "./board.ts";
import { createSimDevice, type DeviceFault, type SimDevice } from "./device.ts";
import { createSimModem, type ModemFault, type SimModem } from "./modem.ts";

/** The hardware of a site without hardware: the board, and devices that get their power from its contacts. */
export interface SimulatedSite {
  readonly board: SimBoard;
  port(device: string): Port;
  /** The one modem of the site: without its outlet's power it is not there. */
  modem(options: ModemOptions): Modem;
  /** Whether the load behind a relay has power: what its auxiliary contact senses. */
  fed(relay: number): boolean;
  onFed(listener: (relay: number, fed: boolean) => void): void;
  /** `subject` is a device, `relay N` or `modem`. Null when it was done, else why not. */
  fault(subject: string, fault: string): string | null;
}

const DEVICE_FAULTS: readonly string[] = ["hang", "panic", "unplug", "plug"] satisfies DeviceFault[];
const MODEM_FAULTS: readonly string[] = ["hang", "deny", "no-sim", "ok"] satisfies ModemFault[];
const RELAY_FAULTS: readonly string[] = ["stuck", "bounce", "ok"] satisfies RelayFault[];

export function createSimulatedSite(
  config: SiteConfig,
  wallMs: () => number,
  random: () => number,
  troubleEveryMs: number,
): SimulatedSite {
  const { plan } = config;
  const board = openSimBoard(config.data, Object.keys(config.board.relays).length, wallMs);
  const contactOf = new Map(Object.values(plan.outlets).map((outlet) => [outlet.relay, outlet.contact]));
  const fed = (relay: number): boolean => powerOf(contactOf.get(relay) ?? "no", board.contact(relay)) === "on";
  const devices = new Map<string, SimDevice>();
  for (const { port, baudRate } of config.consoles) {
    if (!("sim" in port) || devices.has(port.sim)) continue;
    devices.set(port.sim, createSimDevice({ name: port.sim, baudRate, random, troubleEveryMs }));
  }
  let modem: SimModem | null = null;
  const power = (): void => {
    const { outlet = null } = plan.modem ?? {};
    modem?.setPower(outlet === null || fed(plan.outlets[outlet]?.relay ?? 0));
    for (const [name, device] of devices) {
      const outlets = plan.devices[name]?.outlets ?? [];
      device.setPower(outlets.length === 0 || outlets.some((outlet) => fed(plan.outlets[outlet]?.relay ?? 0)));
    }
  };
  board.onContact(power);
  power();
  return {
    board,
    fed,
    port(name) {
      const device = devices.get(name);
      if (device === undefined) throw new Error(`no simulated device ${name}`);
      return device.port;
    },
    modem(options) {
      modem = createSimModem(options);
      power();
      return modem;
    },
    onFed: (listener) => board.onContact((relay) => listener(relay, fed(relay))),
    fault(subject, fault) {
      const relay = /^relay (\d+)$/.exec(subject)?.[1];
      if (relay !== undefined) {
        if (!RELAY_FAULTS.includes(fault)) return `a relay can be ${RELAY_FAULTS.join(", ")}`;
        if (Number(relay) < 1 || Number(relay) > board.lines.count) return `the board has ${board.lines.count} relays`;
        board.setFault(Number(relay), fault as RelayFault);
        return null;
      }
      if (subject === "modem" && !devices.has(subject)) return modemFault(modem, fault);
      const device = devices.get(subject);
      if (device === undefined)
        return `no simulated device ${subject}: ${[...devices.keys()].join(", ") || "there is none"}`;
      if (!DEVICE_FAULTS.includes(fault)) return `a device can ${DEVICE_FAULTS.join(", ")}`;
      device.fault(fault as DeviceFault);
      return null;
    },
  };
}

function modemFault(modem: SimModem | null, fault: string): string | null {
  if (modem === null) return "the config has no modem: uplinks.lte";
  if (!MODEM_FAULTS.includes(fault)) return `a modem can ${MODEM_FAULTS.join(", ")}`;
  modem.fault(fault as ModemFault);
  return null;
}
