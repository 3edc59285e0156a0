import type { SiteConfig } from "../../src/config/config.ts";
import type { MachineFiles } from "../../src/linux/machine-files.ts";
import { clockTrust } from "../machine.ts";
import { type Facts, settingIn } from "./facts.ts";
import { type Finding, finding, ok } from "./finding.ts";

/** The machine itself: its time, its heat, its supply, and what starts it again when it hangs. */
export function healthFindings(facts: Facts, config: SiteConfig | null): Finding[] {
  const { files } = facts;
  return [
    clockFinding(facts, config),
    ...heatFindings(files),
    ...voltageFindings(files),
    watchdogFinding(files, config?.board.parts?.pi.watchdogMaxMs ?? null),
  ];
}

/** Nothing of ours ran before it: a clock that says so is wrong. */
const NOT_BEFORE_MS = Date.UTC(2025, 0, 1);

function clockFinding({ files, nowMs }: Facts, config: SiteConfig | null): Finding {
  const trust = clockTrust(files);
  const now = new Date(nowMs).toISOString();
  if (nowMs < NOT_BEFORE_MS) {
    const tls = config?.brokers.some((url) => url.startsWith("mqtts:")) ? "; TLS to the broker fails by it" : "";
    return finding("bad", "clock", `the clock is wrong: ${now}${tls}`, "Set it (date -s), or give it a time server.");
  }
  if (trust !== "none") return ok("clock", `${now}, kept by ${trust === "ntp" ? "a time server" : "an RTC"}`);
  const todo = "Let systemd-timesyncd or chrony reach a server, or fit an RTC. Switching does not depend on it.";
  return finding("warn", "clock", `${now}, but nothing vouches for it: times of records may be wrong`, todo);
}

function heatFindings(files: MachineFiles): Finding[] {
  const text = files.read("/sys/class/thermal/thermal_zone0/temp");
  if (text === null)
    return [finding("note", "heat", "this machine has no thermometer", "Normal on anything but a Pi.")];
  const degrees = Math.round(Number(text) / 1000);
  const what = `the processor has ${degrees} °C`;
  // A Pi slows down at 80 °C and more at 85.
  if (degrees >= 80) return [finding("bad", "heat", `${what} and slows down`, "Cool the cabinet, clean or fit a fan.")];
  if (degrees >= 70) return [finding("warn", "heat", what, "Look after the cabinet's air before summer.")];
  return [ok("heat", what)];
}

const SUPPLY_TODO = "Use the Pi's own supply (5.1 V) with a short, thick cable; take USB loads to a powered hub.";

/** The Pi's own comparator, as hwmon driver, else as the firmware's word. */
function voltageFindings(files: MachineFiles): Finding[] {
  const now = hwmonAlarm(files);
  const bits = throttled(files);
  if (now === null && bits === null) {
    const todo = "Normal on anything but a Pi; else: modprobe raspberrypi-hwmon";
    return [finding("note", "voltage", "this machine has no under-voltage sensor", todo)];
  }
  // Bit 0: now; bit 16: since the start of the firmware.
  if (now === true || ((bits ?? 0) & 1) !== 0)
    return [finding("bad", "voltage", "the supply is below 4.63 V now", SUPPLY_TODO)];
  if (((bits ?? 0) & 0x1_0000) !== 0)
    return [finding("warn", "voltage", "the supply was below 4.63 V since the last start", SUPPLY_TODO)];
  return [ok("voltage", "the supply is above 4.63 V")];
}

function hwmonAlarm(files: MachineFiles): boolean | null {
  const sensor = files
    .names("/sys/class/hwmon")
    .find((one) => files.read(`/sys/class/hwmon/${one}/name`) === "rpi_volt");
  const alarm = sensor === undefined ? null : files.read(`/sys/class/hwmon/${sensor}/in0_lcrit_alarm`);
  return alarm === null ? null : alarm === "1";
}

function throttled(files: MachineFiles): number | null {
  const platform = "/sys/devices/platform";
  const folders = [platform, ...files.names(platform).map((name) => `${platform}/${name}`)];
  for (const folder of folders.filter((one) => /platform(\/(soc|axi)[^/]*)?$/.test(one))) {
    const firmware = files.names(folder).find((name) => name.endsWith("firmware"));
    const text = firmware === undefined ? null : files.read(`${folder}/${firmware}/get_throttled`);
    if (text !== null) return Number.parseInt(text, 16);
  }
  return null;
}

/** The hardware that restarts a kernel which hangs: systemd must feed it, or it is not armed. */
function watchdogFinding(files: MachineFiles, maxMs: number | null): Finding {
  const check = "watchdog";
  const there = files.stat("/dev/watchdog0") !== null || files.stat("/sys/class/watchdog/watchdog0") !== null;
  if (!there) {
    const todo = "On a Pi: dtparam=watchdog=on in config.txt, then reboot.";
    return finding(
      "warn",
      check,
      "no hardware watchdog: a kernel that hangs stays so until somebody drives there",
      todo,
    );
  }
  const asked = seconds(settingIn(systemdConfig(files), "RuntimeWatchdogSec"));
  const limit = maxMs === null ? Number.POSITIVE_INFINITY : maxMs / 1000;
  if (asked !== null && asked > limit) {
    const what = `RuntimeWatchdogSec asks ${asked} s, this hardware counts to ${limit} s at most`;
    return finding("warn", check, what, `Write RuntimeWatchdogSec=${limit} there; then: systemctl daemon-reexec`);
  }
  const state = files.read("/sys/class/watchdog/watchdog0/state");
  if (state === "active" || (state === null && asked !== null))
    return ok(check, `the hardware watchdog is armed${asked === null ? "" : `, ${asked} s`}`);
  const todo = `In /etc/systemd/system.conf.d/towpath.conf: [Manager] and RuntimeWatchdogSec=${Math.min(limit, 15)}; then: systemctl daemon-reexec`;
  return finding("warn", check, "the hardware watchdog is there and not armed", todo);
}

const CONFIG_FOLDERS = ["/usr/lib/systemd/system.conf.d", "/run/systemd/system.conf.d", "/etc/systemd/system.conf.d"];

function systemdConfig(files: MachineFiles): string {
  const dropIns = CONFIG_FOLDERS.flatMap((folder) => files.names(folder).map((name) => `${folder}/${name}`));
  return ["/etc/systemd/system.conf", ...dropIns].map((path) => files.read(path) ?? "").join("\n");
}

const UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, sec: 1, min: 60, m: 60, ms: 0.001 };

/** Null where it is off or not understood. */
function seconds(text: string | null): number | null {
  const found = /^(\d+)\s*(s|sec|min|m|ms)?$/.exec(text ?? "");
  const value = Number(found?.[1] ?? 0) * (UNITS[found?.[2] ?? ""] ?? 0);
  return value > 0 ? value : null;
}
