import type { ConsoleConfig, Problem, SiteConfig } from "../src/config/config.ts";
import type { Adapter } from "../src/console/adapters.ts";
import { type Located, resolvePort } from "../src/console/binding.ts";
import { lockersOf } from "../src/linux/holders.ts";
import type { MachineFiles } from "../src/linux/machine-files.ts";

/** What the consoles of a config are on this machine, as it is now. */
export interface BoundPort {
  readonly console: string;
  readonly port: Exclude<ConsoleConfig["port"], { readonly sim: string }>;
  /** The device node itself: links are followed. */
  readonly located: Located;
}

/** Simulated consoles are no ports of this machine. */
export function boundPorts(config: SiteConfig, adapters: readonly Adapter[], files: MachineFiles): BoundPort[] {
  return config.consoles.flatMap(({ name, port }) => {
    if ("sim" in port) return [];
    const located = resolvePort(port, adapters);
    const followed: Located = located.ok ? { ok: true, node: files.real(located.node) ?? located.node } : located;
    return [{ console: name, port, located: followed }];
  });
}

/** The same terminal under two spellings: only this machine can tell, the config alone cannot. */
export function sharedPortProblems(ports: readonly BoundPort[]): Problem[] {
  const first = new Map<string, string>();
  return ports.flatMap(({ console, located }) => {
    if (!located.ok) return [];
    const before = first.get(located.node);
    if (before === undefined) first.set(located.node, console);
    return before === undefined
      ? []
      : [
          {
            where: `consoles.${console}.port`,
            what: `is ${located.node}, which consoles.${before}.port is too`,
            todo: "One owner each: see `towpath ports`.",
          },
        ];
  });
}

/** The controller of this data folder, by the lock that it holds. Null when none runs. */
export function controllerPid(config: SiteConfig, files: MachineFiles): number | null {
  return lockersOf(`${config.data}/lock`, files)[0] ?? null;
}
