import type { MachineFiles } from "../linux/machine-files.ts";
import { type Adapter, adaptersMark, scanAdapters } from "./adapters.ts";
import { type NotLocated, type PortBinding, resolvePort } from "./binding.ts";

/** Where each port is now, asked by all ports as often as they like. */
export interface Locator {
  locate(port: PortBinding): string | NotLocated;
  /** What is plugged in, at most half a second old. */
  adapters(): readonly Adapter[];
}

const LOOK_EVERY_MS = 500;

/** Looks at sysfs at most twice a second, whoever asks, and reads it again only where something came or went. */
export function createLocator(monoMs: () => number, files: MachineFiles): Locator {
  let adapters: readonly Adapter[] = [];
  let mark: string | null = null;
  let lookedMs = Number.NEGATIVE_INFINITY;
  const current = (): readonly Adapter[] => {
    if (monoMs() - lookedMs < LOOK_EVERY_MS) return adapters;
    lookedMs = monoMs();
    const now = adaptersMark(files);
    if (now !== mark) adapters = scanAdapters(files);
    mark = now;
    return adapters;
  };
  return {
    adapters: current,
    locate(port) {
      const located = resolvePort(port, current());
      return located.ok ? located.node : located;
    },
  };
}
