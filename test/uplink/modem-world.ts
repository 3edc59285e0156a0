import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModemReport } from "../../src/core/modem.ts";
import { type Bus, connectBus } from "../../src/linux/dbus.ts";
import { createMmcli } from "../../src/uplink/mmcli.ts";
import type { Modem, ModemOptions } from "../../src/uplink/modem.ts";
import { createModemManager } from "../../src/uplink/modem-manager.ts";
import { type AtModem, type AtState, startAtModem } from "./at-modem.ts";

/** The real ModemManager on a bus of its own, with modems that only speak AT. */

const PROGRAMS = ["dbus-daemon", "ModemManager", "mmcli"];
const FOLDERS = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
export const absentPrograms = PROGRAMS.filter((name) => !FOLDERS.some((folder) => existsSync(join(folder, name))));
if (absentPrograms.length > 0)
  process.stderr.write(
    `SKIPPED: the modem's tests want ${absentPrograms.join(" and ")}: apt-get install modemmanager dbus\n`,
  );

const GENEROUS_MS = 120_000;

export class ModemWorld {
  readonly folder = mkdtempSync(join(tmpdir(), "towpath-modem-"));
  readonly address = `unix:path=${join(this.folder, "bus")}`;
  readonly reports: ModemReport[] = [];
  private readonly processes: ChildProcess[] = [];
  private manager: ChildProcess | null = null;
  private bus: Bus | null = null;
  private readonly modems: AtModem[] = [];
  private readonly drivers: Modem[] = [];

  async start(): Promise<void> {
    writeFileSync(join(this.folder, "bus.conf"), busConfig(this.address));
    this.run("dbus-daemon", [`--config-file=${join(this.folder, "bus.conf")}`, "--nofork", "--nopidfile"]);
    await until(() => existsSync(join(this.folder, "bus")), "the bus");
    await this.startManager();
  }

  private run(program: string, args: string[]): ChildProcess {
    const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: this.address };
    const path = FOLDERS.map((folder) => join(folder, program)).find(existsSync) ?? program;
    const child = spawn(path, args, { env, stdio: "ignore" });
    this.processes.push(child);
    return child;
  }

  async startManager(): Promise<void> {
    const tests = ["session", "enable", "no-udev", "no-suspend-resume", "no-qrtr"].map((one) => `--test-${one}`);
    this.manager = this.run("ModemManager", tests);
    this.bus ??= await connectBus({ address: this.address, signal: () => undefined, closed: () => undefined });
    await until(async () => (await this.call("org.freedesktop.DBus.Peer", "Ping")) !== null, "ModemManager");
  }

  async stopManager(): Promise<void> {
    const gone = new Promise((resolve) => this.manager?.once("exit", resolve));
    this.manager?.kill("SIGKILL");
    await gone;
  }

  private async call(name: string, member: string, signature = "", body: readonly unknown[] = []): Promise<unknown> {
    const destination = "org.freedesktop.ModemManager1";
    const path = "/org/freedesktop/ModemManager1";
    return this.bus?.call({ destination, path, interface: name, member, signature, body }).catch(() => null);
  }

  /** Plugs a modem in under a name of its own. */
  async plug(name: string, state: AtState): Promise<AtModem> {
    const port = join(this.folder, name);
    const modem = await startAtModem(port, state);
    this.modems.push(modem);
    await this.call("org.freedesktop.ModemManager1.Test", "SetProfile", "ssas", [name, "generic", [port]]);
    return modem;
  }

  drive(more: Partial<ModemOptions> = {}, driver: "modemmanager" | "mmcli" = "modemmanager"): Modem {
    const options: ModemOptions = {
      ...{ modem: "auto", interface: "wwan0", profiles: [] },
      told: (report) => void this.reports.push(report),
      privileged: {
        reauthoriseUsb: () => Promise.reject(new Error("no")),
        reboot: () => Promise.reject(new Error("no")),
      },
      ...more,
    };
    const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: this.address };
    const made =
      driver === "mmcli"
        ? createMmcli({ ...options, everyMs: 1_000, before: ["--test-session"], env })
        : createModemManager({ ...options, address: this.address, signalEveryS: 1 });
    this.drivers.push(made);
    made.start();
    return made;
  }

  async heard(what: Partial<ModemReport>): Promise<ModemReport> {
    await until(
      () => fits(this.reports.at(-1), what),
      () => `${JSON.stringify(what)}: ${JSON.stringify(this.reports.at(-1))}`,
    );
    return this.reports.at(-1) as ModemReport;
  }

  async end(): Promise<void> {
    for (const driver of this.drivers) driver.stop();
    this.bus?.close();
    for (const child of this.processes) child.kill("SIGKILL");
    for (const modem of this.modems) await modem.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function fits(report: ModemReport | undefined, what: Partial<ModemReport>): boolean {
  return Object.entries(what).every(([name, value]) => report?.[name as keyof ModemReport] === value);
}

export async function until(done: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
  for (const end = Date.now() + GENEROUS_MS; Date.now() < end; ) {
    if (await done()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not in ${GENEROUS_MS / 1000} s: ${typeof what === "string" ? what : what()}`);
}

function busConfig(address: string): string {
  return `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>${address}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>`;
}
