import type { SiteConfig } from "../src/config/config.ts";
import { type Adapter, scanAdapters, usbControllers } from "../src/console/adapters.ts";
import { type PortBinding, portYaml, suggestPort, twinsOf } from "../src/console/binding.ts";
import { type Holder, holdersOf } from "../src/linux/holders.ts";
import type { MachineFiles } from "../src/linux/machine-files.ts";
import { type BoundPort, boundPorts, controllerPid, sharedPortProblems } from "./bound-ports.ts";
import { findModemManager, MODEM_TODO, type ModemManager } from "./modem-manager.ts";

/** What `towpath ports` tells: the adapters of this machine, who uses them, and how to name each in site.yaml. */
export interface PortsReport {
  readonly adapters: readonly PortRow[];
  /** Consoles of the config whose port is not one adapter of this machine now. */
  readonly unbound: readonly { readonly console: string; readonly code: string; readonly detail: string }[];
}

export interface PortRow extends Adapter {
  /** Consoles of the config that are bound to it; one, where all is well. */
  readonly consoles: readonly string[];
  /** Processes that have it open, as far as this user may see. */
  readonly holders: readonly Holder[];
  readonly problems: readonly PortProblem[];
  readonly port: PortBinding;
  /** The value of `port:` to paste. */
  readonly yaml: string;
}

export interface PortProblem {
  readonly code: "no-serial" | "twin" | "held" | "modem-manager" | "two-owners";
  readonly what: string;
  readonly todo: string;
}

/** @param config null where none could be read. */
export function portsReport(files: MachineFiles, config: SiteConfig | null): PortsReport {
  const adapters = scanAdapters(files);
  const bound = config === null ? [] : boundPorts(config, adapters, files);
  const known: Surroundings = {
    adapters,
    bound,
    controllers: usbControllers(files).length,
    modemManager: findModemManager(files),
    holders: holdersOf(
      adapters.map(({ node }) => node),
      files,
    ),
    controllerPid: config === null ? null : controllerPid(config, files),
  };
  return {
    adapters: adapters.map((adapter) => rowOf(adapter, known)),
    unbound: bound.flatMap(({ console, located }) => {
      if (!located.ok) return [{ console, code: located.code, detail: located.detail }];
      const there = files.stat(located.node) !== null;
      return there ? [] : [{ console, code: "console.missing", detail: `${located.node} is not there` }];
    }),
  };
}

interface Surroundings {
  readonly adapters: readonly Adapter[];
  readonly bound: readonly BoundPort[];
  readonly controllers: number;
  readonly modemManager: ModemManager;
  readonly holders: ReadonlyMap<string, readonly Holder[]>;
  readonly controllerPid: number | null;
}

function rowOf(adapter: Adapter, known: Surroundings): PortRow {
  const port = suggestPort(adapter, known.adapters, known.controllers);
  const here = known.bound.filter(({ located }) => located.ok && located.node === adapter.node);
  const holders = known.holders.get(adapter.node) ?? [];
  return {
    ...adapter,
    consoles: here.map(({ console }) => console),
    holders,
    problems: [
      ...identityProblems(adapter, known.adapters),
      ...sharedPortProblems(here).map(
        ({ where, what, todo }): PortProblem => ({ code: "two-owners", what: `${where} ${what}`, todo }),
      ),
      ...holderProblems(holders, known.controllerPid),
      ...modemProblems(adapter, known.modemManager),
    ],
    port,
    yaml: portYaml(port),
  };
}

function identityProblems(adapter: Adapter, adapters: readonly Adapter[]): PortProblem[] {
  if (adapter.usb === null) return [];
  const twins = twinsOf(adapter, adapters);
  if (twins.length > 0) {
    const what = `says the same of itself as ${twins.map(({ node }) => node).join(", ")}`;
    return [{ code: "twin", what, todo: "Bind it by its socket, as below, and leave the cable there." }];
  }
  if (adapter.usb.serial !== null) return [];
  const todo = "It is bound by its socket: leave the cable there.";
  return [{ code: "no-serial", what: "has no serial number", todo }];
}

function holderProblems(holders: readonly Holder[], controller: number | null): PortProblem[] {
  return holders
    .filter(({ pid }) => pid !== controller)
    .map(({ pid, command }) => ({
      code: "held",
      what: `is open in process ${pid}: ${command}`,
      todo: "If that is not your controller, stop it: two readers steal each other's bytes.",
    }));
}

function modemProblems(adapter: Adapter, { running, ignores }: ModemManager): PortProblem[] {
  // ModemManager leaves the board's own UARTs alone.
  if (!running || adapter.usb === null || ignores(adapter)) return [];
  return [{ code: "modem-manager", what: "ModemManager may type AT commands into it", todo: MODEM_TODO }];
}
