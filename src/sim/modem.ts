import type { ModemReport } from "../core/modem.ts";
import { absent, type Modem, type ModemOptions, type ModemStep, type StepAnswer } from "../uplink/modem.ts";

/**
 * A modem without hardware. It registers some time after it got power; `hang` ends with its power, `deny` with another
 * profile, `no-sim` and the others when somebody says `ok`.
 */

export type ModemFault = "hang" | "deny" | "no-sim" | "ok";

export interface SimModem extends Modem {
  setPower(on: boolean): void;
  fault(kind: ModemFault): void;
}

const REGISTERS_MS = 3_000;
const MEASURES_MS = 30_000;
const NAMED = "490154203237518";

export function createSimModem(options: ModemOptions): SimModem {
  let power = true;
  let fault: ModemFault = "ok";
  let running = false;
  let online = false;
  let registering: NodeJS.Timeout | null = null;
  let measuring: NodeJS.Timeout | null = null;

  const report = (): ModemReport => {
    if (!power || fault === "hang") return absent("simulated", "missing", "ModemManager has found no modem");
    const registration = fault === "deny" ? "denied" : online ? "home" : "searching";
    const sim = fault !== "no-sim";
    return {
      driver: "simulated",
      presence: "present",
      state: sim ? (online ? "connected" : "searching") : "failed",
      reason: sim ? null : "sim-missing",
      lock: null,
      imei: options.modem === "auto" ? NAMED : options.modem,
      model: "simulated modem",
      revision: null,
      registration: sim ? registration : null,
      operator: online ? "Towpath Mobile" : null,
      technology: online ? ["lte"] : [],
      iccid: sim ? "8988211000000000001" : null,
      slot: null,
      signal: online ? { rssi: -67, rsrp: -95, rsrq: -10, snr: 12 } : null,
    };
  };

  const tell = (): void => {
    if (running) options.told(report());
  };

  const begin = (): void => {
    online = false;
    if (registering !== null) clearTimeout(registering);
    registering = setTimeout(() => {
      online = power && fault === "ok";
      tell();
    }, REGISTERS_MS);
    tell();
  };

  const take = (step: ModemStep): StepAnswer => {
    if (step === "usb" || step === "reboot") return { result: "refused", detail: "nothing to do it with: simulated" };
    if (!power || fault === "hang") return { result: "refused", detail: "ModemManager has found no modem" };
    if (step === "profile" && fault === "deny") fault = "ok";
    begin();
    return { result: "done", detail: "simulated" };
  };

  return {
    start() {
      running = true;
      measuring = setInterval(tell, MEASURES_MS);
      begin();
    },
    take: (step) => Promise.resolve(take(step)),
    setPower(on) {
      if (on === power) return;
      power = on;
      if (!on && fault === "hang") fault = "ok";
      begin();
    },
    fault(kind) {
      fault = kind;
      begin();
    },
    stop() {
      running = false;
      if (registering !== null) clearTimeout(registering);
      if (measuring !== null) clearInterval(measuring);
    },
  };
}
