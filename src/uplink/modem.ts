import type { LadderStep } from "../core/ladder.ts";
import type { ModemReport } from "../core/modem.ts";

/** A modem as its driver sees it. `power` is not a driver's: an outlet does that. */
export interface Modem {
  /** Looks for the modem until it is stopped, and tells each change. Nothing that is missing makes it fail. */
  start(): void;
  /** Never rejects: what went wrong is in the answer. */
  take(step: ModemStep): Promise<StepAnswer>;
  stop(): void;
}

export type ModemStep = Exclude<LadderStep, "power">;

export interface StepAnswer {
  /** `refused`: nothing was begun. */
  readonly result: "done" | "failed" | "refused";
  readonly detail: string;
}

export interface ModemOptions {
  /** `auto`, or the IMEI of the one that is meant. */
  readonly modem: string;
  /** Its network interface, as the config has it. */
  readonly interface: string;
  /** NetworkManager's connections by name, in the order in which they are tried. */
  readonly profiles: readonly string[];
  readonly told: (report: ModemReport) => void;
  readonly privileged: Privileged;
}

/** What takes more rights than the controller has. Rejects with an Error that says why it was not done. */
export interface Privileged {
  /** Takes a USB device off the bus and puts it back, by its folder in sysfs. */
  reauthoriseUsb(device: string): Promise<void>;
  reboot(): Promise<void>;
}

export function refused(detail: string): StepAnswer {
  return { result: "refused", detail };
}

/** A step that was begun and may have failed on its way. */
export async function attempt(work: () => Promise<string>): Promise<StepAnswer> {
  try {
    return { result: "done", detail: await work() };
  } catch (error) {
    return { result: "failed", detail: (error as Error).message };
  }
}

/** Nothing to be said of a modem but whether it is there. */
export function absent(driver: string, presence: "missing" | "unmanaged", reason: string): ModemReport {
  const nothing = { state: null, lock: null, imei: null, model: null, revision: null, registration: null };
  return {
    driver,
    presence,
    reason,
    ...nothing,
    operator: null,
    technology: [],
    iccid: null,
    slot: null,
    signal: null,
  };
}
