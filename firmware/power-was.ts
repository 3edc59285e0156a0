import { execFileSync } from "node:child_process";
import type { PowerWas } from "../src/core/ledger.ts";
import type { MachineFiles } from "../src/linux/machine-files.ts";

/**
 * Whether the mains was there all the time since the boot before, as the SoC tells: the reset status at boot, which the
 * Pi's boot loader leaves in the device tree (32 bit, big endian). Bit 5 (HADWRF) is set by a watchdog's reset, which
 * every restart by software is; bit 12 (HADPOR) by power-on. Boot loaders of the Pi 4 do not hand on bit 5
 * (raspberrypi/linux#4527), so there its absence says nothing.
 */
const RSTS = "/proc/device-tree/chosen/bootloader/rsts";
const COMPATIBLE = "/proc/device-tree/compatible";
const HADWRF = 1 << 5;
const HADPOR = 1 << 12;

export function powerWas(files: Pick<MachineFiles, "read">): PowerWas {
  const raw = Buffer.from(files.read(RSTS) ?? "", "latin1");
  if (raw.length !== 4) return "unknown";
  const rsts = raw.readUInt32BE(0);
  if ((rsts & HADWRF) !== 0) return "kept";
  const forgets = (files.read(COMPATIBLE) ?? "").includes("bcm2711");
  return (rsts & HADPOR) !== 0 && !forgets ? "lost" : "unknown";
}

/** Why the program is asked to end: a job of systemd says whether the machine restarts. */
export function shuttingDown(): "reboot" | "other" {
  try {
    const jobs = execFileSync("systemctl", ["list-jobs", "--no-legend", "--plain"], {
      timeout: 2_000,
      encoding: "utf8",
    });
    return /\b(reboot|kexec|soft-reboot)\.target\s+start\b/.test(jobs) ? "reboot" : "other";
  } catch {
    return "other";
  }
}
