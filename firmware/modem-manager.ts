import type { Adapter } from "../src/console/adapters.ts";
import { processesNamed } from "../src/linux/holders.ts";
import type { MachineFiles } from "../src/linux/machine-files.ts";

/** ModemManager types AT commands into serial adapters, to find modems: a console must be kept from it by a udev rule. */
export interface ModemManager {
  readonly installed: boolean;
  readonly running: boolean;
  /** Whether udev tells it to leave this adapter alone. */
  ignores(adapter: Adapter): boolean;
}

/** What keeps it from consoles. */
export const MODEM_TODO =
  "Install Towpath's udev rule (ID_MM_DEVICE_IGNORE), then: udevadm control --reload && udevadm trigger. Without an LTE modem: systemctl disable --now ModemManager";

const PLACES = ["/usr/sbin/ModemManager", "/usr/bin/ModemManager"];

export function findModemManager(files: MachineFiles): ModemManager {
  const running = processesNamed("ModemManager", files).length > 0;
  return {
    installed: running || PLACES.some((path) => files.stat(path) !== null),
    running,
    ignores(adapter) {
      const known = files.read(`/run/udev/data/c${adapter.number}`);
      // Without udev's own word, the rule that is installed is what will hold.
      return known === null ? hasRule(files) : /^E:ID_MM_(DEVICE|PORT)_IGNORE=1$/m.test(known);
    },
  };
}

const RULES = ["/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"];

/** Whether our rule is installed. */
function hasRule(files: MachineFiles): boolean {
  return RULES.some((folder) =>
    files
      .names(folder)
      .some(
        (name) => name.includes("towpath") && files.read(`${folder}/${name}`)?.includes("ID_MM_DEVICE_IGNORE") === true,
      ),
  );
}
