import type { SiteConfig } from "../../src/config/config.ts";
import { type Adapter, usbControllers } from "../../src/console/adapters.ts";
import { portYaml, suggestPort } from "../../src/console/binding.ts";
import { CODES } from "../../src/core/codes.ts";
import { type Holder, holdersOf, lockersOf } from "../../src/linux/holders.ts";
import type { MachineFiles } from "../../src/linux/machine-files.ts";
import { type BoundPort, boundPorts, controllerPid, sharedPortProblems } from "../bound-ports.ts";
import { findModemManager, MODEM_TODO } from "../modem-manager.ts";
import type { Facts } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** The consoles' ports: found, ours alone, awake; and adapters that nobody uses. */
export function serialFindings(facts: Facts, config: SiteConfig, allProcesses: boolean): Finding[] {
  const { files } = facts;
  const adapters = facts.adapters();
  const bound = boundPorts(config, adapters, files);
  const ports = bound.flatMap((one): OpenPort[] =>
    one.located.ok && files.stat(one.located.node) !== null
      ? [
          {
            ...one,
            node: one.located.node,
            adapter: adapters.find(({ node }) => one.located.ok && one.located.node === node),
          },
        ]
      : [],
  );
  return [
    ...bound.map((one) => portFinding(files, one, ports, adapters)),
    ...sharedPortProblems(bound).map(({ where, what, todo }) =>
      finding("bad", "serial.port", `${where} ${what}`, todo),
    ),
    ...holderFindings(files, config, ports, allProcesses),
    ...consoleFindings(files, ports),
    ...modemFindings(files, ports),
    ...ports.flatMap(powerFindings),
    ...freeFindings(files, adapters, ports),
  ];
}

interface OpenPort extends BoundPort {
  readonly node: string;
  /** Missing for what is no adapter: a pseudo terminal. */
  readonly adapter: Adapter | undefined;
}

function portFinding(
  files: MachineFiles,
  { console, port, located }: BoundPort,
  ports: readonly OpenPort[],
  adapters: readonly Adapter[],
): Finding {
  const check = "serial.port";
  const [, todo] = CODES[located.ok ? "console.missing" : located.code];
  if (!located.ok) return finding("bad", check, `console ${console}: ${located.detail}`, todo);
  const found = ports.find((one) => one.console === console);
  if (found === undefined) return finding("bad", check, `console ${console}: ${located.node} is not there`, todo);
  if ("path" in port && /^\/dev\/tty(USB|ACM)\d+$/.test(port.path) && found.adapter !== undefined) {
    const stable = portYaml(suggestPort(found.adapter, adapters, usbControllers(files).length));
    const what = `console ${console}: ${port.path} may be another adapter after the next start`;
    return finding("warn", check, what, `Write port: ${stable}`);
  }
  return ok(check, `console ${console} is ${located.node}`);
}

/** Who else reads there. A look at every process costs milliseconds, at the locks almost nothing. */
function holderFindings(
  files: MachineFiles,
  config: SiteConfig,
  ports: readonly OpenPort[],
  allProcesses: boolean,
): Finding[] {
  const controller = controllerPid(config, files);
  const nodes = ports.map(({ node }) => node);
  const holders: ReadonlyMap<string, readonly Pick<Holder, "pid">[]> = allProcesses
    ? holdersOf(nodes, files)
    : new Map(nodes.map((node) => [node, lockersOf(node, files).map((pid) => ({ pid }))]));
  return ports.flatMap(({ console, node }) =>
    (holders.get(node) ?? [])
      .filter(({ pid }) => pid !== controller)
      .map((holder) => {
        const name = "command" in holder ? holder.command : files.read(`/proc/${holder.pid}/comm`);
        const what = `console ${console}: process ${holder.pid} (${name ?? "unknown"}) has ${node} open too`;
        return finding("bad", "serial.holder", what, `Two readers steal each other's bytes: kill ${holder.pid}`);
      }),
  );
}

const GETTY_FOLDERS = ["/etc/systemd/system/getty.target.wants", "/run/systemd/generator/getty.target.wants"];

/** The kernel's own messages, and a login, on a line that leads to a device. */
function consoleFindings(files: MachineFiles, ports: readonly OpenPort[]): Finding[] {
  const kernel = (files.read("/proc/consoles") ?? "").split("\n").map((line) => line.split(/\s+/)[0]);
  const gettys = GETTY_FOLDERS.flatMap((folder) => files.names(folder));
  return ports.flatMap(({ console, node }) => {
    const tty = node.replace("/dev/", "");
    const found: Finding[] = [];
    if (kernel.includes(tty)) {
      const what = `console ${console}: the kernel prints its own messages into ${node}`;
      found.push(finding("bad", "serial.kernel", what, `Take console=${tty} (or serial0) out of cmdline.txt; reboot.`));
    }
    if (gettys.includes(`serial-getty@${tty}.service`)) {
      const what = `console ${console}: a login of this machine waits on ${node}`;
      found.push(finding("bad", "serial.getty", what, `sudo systemctl mask --now serial-getty@${tty}.service`));
    }
    return found;
  });
}

function modemFindings(files: MachineFiles, ports: readonly OpenPort[]): Finding[] {
  const modemManager = findModemManager(files);
  if (!modemManager.installed) return [];
  const open = ports.filter(({ adapter }) => adapter?.usb != null && !modemManager.ignores(adapter));
  if (open.length === 0) return [ok("serial.modem-manager", "ModemManager leaves the consoles alone")];
  const names = open.map(({ console }) => console).join(", ");
  return modemManager.running
    ? [finding("bad", "serial.modem-manager", `ModemManager may type AT commands into: ${names}`, MODEM_TODO)]
    : [finding("warn", "serial.modem-manager", `ModemManager would probe ${names} if it ran`, MODEM_TODO)];
}

/** FTDI's default, in ms: bytes are collected so long, which is right for capture. */
const LATENCY_MS = 16;

function powerFindings({ console, adapter }: OpenPort): Finding[] {
  const found: Finding[] = [];
  if (adapter?.usb?.powerControl === "auto") {
    const what = `console ${console}: the kernel may put its adapter to sleep, and bytes are lost then`;
    const todo = 'Install Towpath\'s udev rule (ATTR{power/control}="on"), then plug the adapter in again.';
    found.push(finding("warn", "serial.autosuspend", what, todo));
  }
  const latency = adapter?.latencyMs ?? LATENCY_MS;
  // The chip counts from 1; an emulated one says 0.
  if (latency > 0 && latency < LATENCY_MS) {
    const what = `console ${console}: its adapter interrupts up to ${Math.round(1000 / latency)} times a second (latency_timer ${latency})`;
    found.push(finding("note", "serial.latency", what, "Good while someone types; 16 is enough for recording."));
  }
  return found;
}

function freeFindings(files: MachineFiles, adapters: readonly Adapter[], ports: readonly OpenPort[]): Finding[] {
  const controllers = usbControllers(files).length;
  return adapters
    .filter(({ usb, node }) => usb !== null && !ports.some((port) => port.node === node))
    .map((adapter) =>
      finding(
        "note",
        "serial.free",
        `${adapter.node} (${adapter.usb?.product ?? adapter.usb?.id}) belongs to no console`,
        `To use it: port: ${portYaml(suggestPort(adapter, adapters, controllers))}`,
      ),
    );
}
