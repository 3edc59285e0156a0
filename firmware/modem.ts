import type { SiteConfig } from "../src/config/config.ts";
import type { Event } from "../src/core/events.ts";
import type { SiteState } from "../src/core/state.ts";
import { systemBusAddress } from "../src/linux/dbus.ts";
import type { SimulatedSite } from "../src/sim/simulated-site.ts";
import type { Edges } from "../src/site/edges.ts";
import { createMmcli } from "../src/uplink/mmcli.ts";
import type { Modem, ModemOptions, Privileged } from "../src/uplink/modem.ts";
import { createModemManager } from "../src/uplink/modem-manager.ts";

/** The modem of a site, where its config has one that can be asked. */
export interface SiteModem {
  readonly edge: Edges["modem"];
  start(): void;
  stop(): void;
}

const NONE: SiteModem = { edge: null, start: () => undefined, stop: () => undefined };

/** For telemetry: raw, as it was last measured. The state tells it with a deadband. */
export function modemMeasures({ modem }: SiteState): Readonly<Record<string, unknown>> {
  if (modem === null) return {};
  const { signal, technology, operator } = modem.report;
  return { modem: { trouble: modem.trouble, signal, technology, operator } };
}

/** Until something at the site has the rights: said, and the ladder goes on to what needs none. */
export const NO_HELPER: Privileged = {
  reauthoriseUsb: () => Promise.reject(new Error("nothing here has the rights to take a USB device off the bus")),
  reboot: () => Promise.reject(new Error("nothing here has the rights to restart the Pi")),
};

interface Parts {
  readonly config: SiteConfig;
  readonly simulated: SimulatedSite | null;
  readonly privileged: Privileged;
  readonly emit: (event: Event) => void;
}

export function openModem({ config, simulated, privileged, emit }: Parts): SiteModem {
  const { lte } = config.uplinks;
  if (lte === null || config.plan.modem == null) return NONE;
  const options: ModemOptions = {
    modem: lte.modem,
    interface: lte.interface,
    profiles: lte.profiles,
    told: (report) => emit({ type: "modem-told", report }),
    privileged,
  };
  const modem: Modem = simulated?.modem(options) ?? realModem(lte.driver, options);
  return {
    edge: {
      perform({ token, step }) {
        // An order to an outlet, never an effect.
        if (step === "power") return;
        void modem.take(step).then((answer) => emit({ type: "modem-stepped", token, step, ...answer }));
      },
    },
    start: () => modem.start(),
    stop: () => modem.stop(),
  };
}

function realModem(driver: "modemmanager" | "mmcli", options: ModemOptions): Modem {
  if (driver === "mmcli") return createMmcli(options);
  return createModemManager({ ...options, address: systemBusAddress() });
}
