import { afterEach, describe, expect, it } from "vitest";
import type { ModemReport } from "../../src/core/modem.ts";
import { createSimModem } from "../../src/sim/modem.ts";
import type { Modem } from "../../src/uplink/modem.ts";
import { atState } from "../uplink/at-modem.ts";
import { absentPrograms, fits, ModemWorld, until } from "../uplink/modem-world.ts";

/** The drivers against the real ModemManager, with a modem that only speaks AT. */

describe.skipIf(absentPrograms.length > 0)("a modem behind the real ModemManager", () => {
  let world = new ModemWorld();
  afterEach(async () => {
    await world.end();
    world = new ModemWorld();
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

  // ModemManager gives each command up by itself, so this takes more than a minute.
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
  }, 600_000);
});

/** What every driver does, and how a test makes it happen. */
interface Subject {
  readonly modem: Modem;
  last(): ModemReport | undefined;
  arrange(what: "denied" | "gone"): Promise<void> | void;
}

async function real(world: ModemWorld, driver: "modemmanager" | "mmcli"): Promise<Subject> {
  await world.start();
  const state = atState();
  await world.plug("m1", state);
  const modem = world.drive({ modem: state.imei }, driver);
  await world.heard({ state: "disabled" });
  await modem.take("airplane");
  return {
    modem,
    last: () => world.reports.at(-1),
    async arrange(what) {
      if (what === "gone") {
        // A ModemManager that begins anew knows of no modem without udev: what it says of one that was pulled out.
        await world.stopManager();
        return world.startManager();
      }
      state.registration = 3;
      await modem.take("airplane");
    },
  };
}

function simulated(): Subject {
  const reports: ModemReport[] = [];
  const modem = createSimModem({
    ...{ modem: "490154203237518", interface: "wwan0", profiles: [] },
    told: (report) => void reports.push(report),
    privileged: {
      reauthoriseUsb: () => Promise.reject(new Error("no")),
      reboot: () => Promise.reject(new Error("no")),
    },
  });
  modem.start();
  return {
    modem,
    last: () => reports.at(-1),
    arrange: (what) => (what === "gone" ? modem.setPower(false) : modem.fault("deny")),
  };
}

for (const kind of ["modemmanager", "mmcli", "simulated"] as const) {
  describe.skipIf(kind !== "simulated" && absentPrograms.length > 0)(`every driver: ${kind}`, () => {
    const world = new ModemWorld();
    afterEach(() => world.end());

    it("tells who the modem is and what it hears, that it is denied, that it is gone, and nothing after its end", async () => {
      const subject = kind === "simulated" ? simulated() : await real(world, kind);
      const is = (what: Partial<ModemReport>) =>
        until(
          () => fits(subject.last(), what),
          () => `${JSON.stringify(what)}: ${JSON.stringify(subject.last())}`,
        );
      await is({ driver: kind, presence: "present", imei: "490154203237518", registration: "home" });
      await until(() => subject.last()?.signal?.rsrp === -95, "its signal");
      expect(subject.last()).toMatchObject({
        operator: expect.any(String),
        iccid: expect.stringMatching(/^89/),
        lock: null,
      });
      expect(await subject.modem.take("usb")).toMatchObject({ result: "refused" });
      await subject.arrange("denied");
      await is({ registration: "denied" });
      await subject.arrange("gone");
      await is({ presence: "missing", imei: null, signal: null });
      expect(await subject.modem.take("reset")).toMatchObject({ result: "refused" });
      subject.modem.stop();
      const before = subject.last();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      expect(subject.last()).toBe(before);
    });
  });
}
