import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { ModemReport } from "../../src/core/modem.ts";
import { type Bus, connectBus } from "../../src/linux/dbus.ts";
import type { Modem, ModemOptions } from "../../src/uplink/modem.ts";
import { createModemManager } from "../../src/uplink/modem-manager.ts";
import { type AtModem, type AtState, atState, startAtModem } from "../uplink/at-modem.ts";

/** The driver against the real ModemManager, on a bus of its own, with a modem that only speaks AT. */

const PROGRAMS = ["dbus-daemon", "ModemManager"];
const FOLDERS = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/sbin"];
const absentPrograms = PROGRAMS.filter((name) => !FOLDERS.some((folder) => existsSync(join(folder, name))));
if (absentPrograms.length > 0)
  process.stderr.write(
    `SKIPPED: the modem's tests want ${absentPrograms.join(" and ")}: apt-get install modemmanager dbus\n`,
  );

const GENEROUS_MS = 120_000;

class World {
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

  drive(more: Partial<ModemOptions> = {}): Modem {
    const driver = createModemManager({
      ...{ address: this.address, modem: "auto", interface: "wwan0", profiles: [], signalEveryS: 1 },
      told: (report) => void this.reports.push(report),
      privileged: {
        reauthoriseUsb: () => Promise.reject(new Error("no")),
        reboot: () => Promise.reject(new Error("no")),
      },
      ...more,
    });
    this.drivers.push(driver);
    driver.start();
    return driver;
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

function fits(report: ModemReport | undefined, what: Partial<ModemReport>): boolean {
  return Object.entries(what).every(([name, value]) => report?.[name as keyof ModemReport] === value);
}

async function until(done: () => boolean | Promise<boolean>, what: string | (() => string)): Promise<void> {
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

describe.skipIf(absentPrograms.length > 0)("a modem behind the real ModemManager", () => {
  let world = new World();
  afterEach(async () => {
    await world.end();
    world = new World();
  });

  it("registers when its radio comes on, and tells operator, SIM and a signal that fades", async () => {
    await world.start();
    const state = atState();
    await world.plug("m1", state);
    const driver = world.drive();
    await world.heard({ presence: "present", imei: "490154203237518", state: "disabled" });
    expect(await driver.take("airplane")).toMatchObject({ result: "done" });
    const report = await world.heard({ state: "registered", registration: "home", operator: "90101" });
    expect(report).toMatchObject({ model: "Quectel EC25", iccid: expect.stringMatching(/^89/) });
    await until(() => world.reports.at(-1)?.signal?.rsrp === -95, "the signal");
    Object.assign(state, { rsrp: 20, rsrq: 5 });
    await until(() => (world.reports.at(-1)?.signal?.rsrp ?? 0) === -121, "the signal has faded");
  });

  it("says that the network denies it", async () => {
    await world.start();
    await world.plug("m1", atState({ registration: 3 }));
    const driver = world.drive();
    await world.heard({ state: "disabled" });
    await driver.take("airplane");
    await world.heard({ registration: "denied" });
  });

  it("says that there is no SIM, and that a SIM wants its PIN, which it never tries", async () => {
    await world.start();
    await world.plug("m1", atState({ sim: null }));
    world.drive();
    await world.heard({ state: "failed", reason: "sim-missing", imei: "490154203237518" });
    const locked = atState({ imei: "490154203237526", sim: "SIM PIN" });
    await world.plug("m2", locked);
    world.drive({ modem: "490154203237526" });
    await world.heard({ lock: "sim-pin", imei: "490154203237526" });
    expect(locked.heard.filter((line) => line.startsWith("AT+CPIN="))).toEqual([]);
  });

  it("outlives ModemManager, and knows the modem by its IMEI when it comes back under another index", async () => {
    await world.start();
    await world.plug("other", atState({ imei: "490154203237534" }));
    await world.plug("m1", atState());
    world.drive({ modem: "490154203237518" });
    await world.heard({ presence: "present", imei: "490154203237518" });
    await world.stopManager();
    await world.heard({ presence: "unmanaged" });
    await world.startManager();
    await world.heard({ presence: "missing" });
    await world.plug("m1-again", atState());
    await world.heard({ presence: "present", imei: "490154203237518" });
  });

  it("says which modems there are when none is the one of the config", async () => {
    await world.start();
    await world.plug("other", atState({ imei: "490154203237534" }));
    world.drive({ modem: "490154203237518" });
    await until(() => world.reports.at(-1)?.reason?.includes("there is 490154203237534") === true, "its reason");
  });

  it("a step on a modem that hangs fails with a reason; one that nothing can do is refused", async () => {
    await world.start();
    const state = atState();
    await world.plug("m1", state);
    const driver = world.drive();
    await world.heard({ state: "disabled" });
    expect(await driver.take("usb")).toMatchObject({ result: "refused", detail: expect.stringContaining("USB") });
    expect(await driver.take("reconnect")).toMatchObject({ result: "failed" });
    state.hangs = true;
    const answer = await driver.take("airplane");
    expect(answer).toMatchObject({ result: "failed" });
    expect(answer.detail).not.toBe("");
  });
});
