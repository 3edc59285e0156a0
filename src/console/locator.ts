import type { MachineFiles } from "../linux/machine-files.ts";
import { type Adapter, adaptersMark, scanAdapters } from "./adapters.ts";
import { type NotLocated, type PortBinding, resolvePort } from "./binding.ts";

/** Where each port is now, asked by all ports as often as they like. */
export interface Locator {
  locate(port: PortBinding, haste?: "haste"): string | NotLocated;
  /** What is plugged in, at most half a second old. */
  adapters(): readonly Adapter[];
}

const LOOK_EVERY_MS = 500;
/** Where a port is missing, its return must not wait for the next look. */
const LOOK_HASTILY_MS = 20;

/** Looks at sysfs at most twice a second, whoever asks, and reads it again only where something came or went. */
export function createLocator(monoMs: () => number, files: MachineFiles): Locator {
  let adapters: readonly Adapter[] = [];
  let mark: string | null = null;
  let lookedMs = Number.NEGATIVE_INFINITY;
  const current = (everyMs = LOOK_EVERY_MS): readonly Adapter[] => {
    if (monoMs() - lookedMs < everyMs) return adapters;
    lookedMs = monoMs();
    const now = adaptersMark(files);
    if (now !== mark) adapters = scanAdapters(files);
    mark = now;
    return adapters;
  };
  return {
    adapters: () => current(),
    locate(port, haste) {
      const located = resolvePort(port, current(haste === undefined ? LOOK_EVERY_MS : LOOK_HASTILY_MS));
      return located.ok ? located.node : located;
    },
  };
}
