import type { SiteConfig } from "../../src/config/config.ts";
import type { MachineFiles } from "../../src/linux/machine-files.ts";
import { findModemManager } from "../modem-manager.ts";
import type { Facts } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** What a site with a modem needs of its machine. The modem itself is in `towpath status`. */
export function modemFindings({ files }: Facts, config: SiteConfig): Finding[] {
  const { lte } = config.uplinks;
  if (lte === null || config.board.kind === "simulated") return [];
  const manager = lte.modem === "none" ? [] : [managerFinding(files), rightsFinding(files)];
  return [...manager, interfaceFinding(files, lte.interface)];
}

function managerFinding(files: MachineFiles): Finding {
  const check = "modem.manager";
  const { installed, running } = findModemManager(files);
  if (!installed) {
    const what =
      "ModemManager is not installed: nobody can ask the modem, nor bring it back (guides of modem HATs tell to remove it)";
    return finding(
      "bad",
      check,
      what,
      "apt-get install modemmanager; for a stick that is a router by itself: `modem: none`.",
    );
  }
  if (!running)
    return finding(
      "bad",
      check,
      "ModemManager does not run",
      "systemctl unmask ModemManager; systemctl enable --now ModemManager",
    );
  return ok(check, "ModemManager runs");
}

const RULES = ["/etc/polkit-1/rules.d", "/usr/share/polkit-1/rules.d"];

/** Without it the modem is seen and every step is refused. */
function rightsFinding(files: MachineFiles): Finding {
  const check = "modem.rights";
  const has = RULES.some((folder) => files.names(folder).some((name) => name.includes("towpath")));
  if (has) return ok(check, "polkit lets the controller bring the modem back");
  const todo =
    "Install the package, or copy firmware/system/usr/share/polkit-1/rules.d/60-towpath.rules; polkit reads it at once.";
  return finding("warn", check, "no polkit rule lets the controller reset or reconnect the modem", todo);
}

function interfaceFinding(files: MachineFiles, name: string): Finding {
  const check = "modem.interface";
  if (files.names("/sys/class/net").includes(name)) return ok(check, `${name} is there`);
  const todo = "Is the modem plugged in and fed? `ip link` lists the interfaces, `mmcli -L` the modems.";
  return finding("warn", check, `there is no interface ${name}`, todo);
}
