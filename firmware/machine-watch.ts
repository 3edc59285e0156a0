import { readFileSync } from "node:fs";
import type { SiteConfig } from "../src/config/config.ts";
import type { Adapter } from "../src/console/adapters.ts";
import type { MachineFinding } from "../src/core/events.ts";
import type { GpioKernel } from "../src/linux/gpio.ts";
import { diagnose } from "./doctor/diagnose.ts";
import { machineFacts } from "./doctor/facts.ts";
import type { Finding } from "./doctor/finding.ts";
import { gpioFacts } from "./doctor/gpio-facts.ts";

/** The machine under a running controller, looked at each minute: what is wrong is state, the measures are telemetry. */

export interface MachineWatch {
  stop(): void;
}

export interface MachineWatchOptions {
  readonly config: SiteConfig;
  readonly kernel: GpioKernel;
  readonly adapters: () => readonly Adapter[];
  readonly findings: (findings: readonly MachineFinding[]) => void;
  readonly telemetry: (measures: Readonly<Record<string, unknown>>) => void;
}

const LOOK_MS = 60_000;
/** Every byte of it costs on LTE: each fifth look is told. */
const TELL_EVERY = 5;

export function watchMachine(options: MachineWatchOptions): MachineWatch {
  const { config, kernel, adapters } = options;
  let looks = 0;
  const look = (): void => {
    const findings = findingsNow(() => diagnose(machineFacts({ adapters, ...gpioFacts(kernel) }), config));
    options.findings(findings.flatMap(asBad));
    if (looks++ % TELL_EVERY === 0) options.telemetry(measures(findings));
  };
  // Not in the first second: what a start has to do comes first.
  const soon = setTimeout(look, 1_000);
  const timer = setInterval(look, LOOK_MS);
  return {
    stop() {
      clearTimeout(soon);
      clearInterval(timer);
    },
  };
}

/** A look that fails must not end the controller that it looks at. */
function findingsNow(look: () => Finding[]): Finding[] {
  try {
    return look();
  } catch (error) {
    const todo = "Run `towpath doctor` on site, and report what it says.";
    return [{ check: "doctor", level: "warn", what: `the machine could not be looked at: ${String(error)}`, todo }];
  }
}

function asBad({ check, level, what, todo }: Finding): MachineFinding[] {
  return level === "bad" || level === "warn" ? [{ check, level, what, todo }] : [];
}

function measures(findings: readonly Finding[]): Record<string, unknown> {
  const milli = Number(readOrEmpty("/sys/class/thermal/thermal_zone0/temp"));
  const load = Number(readOrEmpty("/proc/loadavg").split(" ")[0]);
  return {
    temperatureC: milli > 0 ? Math.round(milli / 100) / 10 : null,
    load,
    rssBytes: process.memoryUsage.rss(),
    machine: Object.fromEntries(findings.map(({ check, level }) => [check, level])),
  };
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
