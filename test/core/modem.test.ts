import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { COOL_DOWN_MS, STEPS } from "../../src/core/ladder.ts";
import type { ModemReport } from "../../src/core/modem.ts";
import type { SitePlan } from "../../src/core/plan.ts";
import { Bench, outlet, PLAN } from "./bench.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const WITH_MODEM: SitePlan = {
  ...PLAN,
  // A relay that is held is let go by a restart: here none is.
  outlets: { ...PLAN.outlets, a4: outlet("a4", 4, { contact: "nc" }) },
  // The modem has its outlet to itself.
  devices: { ...PLAN.devices, switch1: { name: "switch1", outlets: [], consoles: [], after: [], address: null } },
  modem: { outlet: "a3", profiles: 2 },
  actors: { "local:modem-ladder": { verbs: ["on", "cycle"], outlets: ["a3"], rate: { max: 6, perMs: 24 * HOUR } } },
};

const WELL: ModemReport = {
  ...{ driver: "test", presence: "present", state: "connected", reason: null, lock: null, imei: "490154203237518" },
  ...{ model: "EC25", revision: null, registration: "home", operator: "Testnet", technology: ["lte"], iccid: null },
  slot: null,
  signal: { rssi: -70, rsrp: -90, rsrq: -9, snr: 12 },
};
const GONE: ModemReport = { ...WELL, presence: "missing", state: null, registration: null, signal: null };

class Site extends Bench {
  constructor(plan: SitePlan = WITH_MODEM) {
    super(plan);
    this.lines = { 1: false, 2: false, 3: false, 4: false, 5: false };
    this.start(this.state.durable);
  }

  told(report: ModemReport): void {
    this.emit({ type: "modem-told", report });
  }

  link(state: "up" | "down", connection: "lte" | "primary" = "lte"): void {
    this.emit({ type: "link-changed", connection, state, detail: "" });
  }

  steps(): { step: string; atMs: number }[] {
    return this.records.flatMap((one) =>
      one.kind === "modem-step" && one.result === "begun" ? [{ step: one.step, atMs: one.mono }] : [],
    );
  }

  of(kind: string) {
    return this.records.filter((one) => one.kind === kind);
  }
}

function broken(report: ModemReport = WELL): Site {
  const site = new Site();
  site.link("up", "primary");
  site.told(report);
  site.link("down");
  return site;
}

describe("the modem's ladder", () => {
  it("climbs from the cheapest step to the dearest, never twice within five minutes", () => {
    const site = broken();
    site.pass(2 * HOUR);
    const steps = site.steps();
    expect(steps.map((one) => one.step)).toEqual(["reconnect", "airplane", "reset", "usb", "power", "profile"]);
    for (const [at, { atMs }] of steps.entries())
      expect(atMs - (steps[at - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(COOL_DOWN_MS);
  });

  it("what was refused changed nothing, so the next step need not wait for the modem", () => {
    const site = broken();
    site.pass(5 * MINUTE);
    const asked = site.effects.find((one) => one.type === "modem-step");
    if (asked?.type !== "modem-step") throw new Error("no step was asked for");
    site.emit({ ...asked, type: "modem-stepped", result: "refused", detail: "NetworkManager does not run" });
    site.pass(MINUTE);
    expect(site.of("modem-step")).toMatchObject([
      { step: "reconnect", result: "begun" },
      { step: "reconnect", result: "refused", detail: "NetworkManager does not run" },
      { step: "airplane", result: "begun" },
    ]);
  });

  it("does nothing while the link works, whatever the driver says", () => {
    const site = new Site();
    site.link("up");
    site.told(GONE);
    site.pass(24 * HOUR);
    expect(site.steps()).toEqual([]);
  });

  it("stops where a step helped, says which, and begins at its foot the next time", () => {
    const site = broken();
    site.pass(11 * MINUTE);
    expect(site.steps().map((one) => one.step)).toEqual(["reconnect", "airplane"]);
    site.link("up");
    site.pass(HOUR);
    expect(site.of("modem-well")).toMatchObject([{ after: "airplane" }]);
    expect(site.steps()).toHaveLength(2);
    site.link("down");
    site.pass(6 * MINUTE);
    expect(site.steps().map((one) => one.step)).toEqual(["reconnect", "airplane", "reconnect"]);
  });

  it("a link that comes for a minute was not helped: it climbs on", () => {
    const site = broken();
    site.pass(6 * MINUTE);
    site.link("up");
    site.pass(MINUTE);
    site.link("down");
    site.pass(6 * MINUTE);
    expect(site.steps().map((one) => one.step)).toEqual(["reconnect", "airplane"]);
    expect(site.of("modem-well")).toEqual([]);
  });

  it("takes the modem's power away through its outlet, as an actor, for ten seconds at least, and gives it back", () => {
    const site = broken(GONE);
    site.pass(11 * MINUTE);
    expect(site.steps().map((one) => one.step)).toEqual(["usb", "power"]);
    expect(site.of("intent")).toMatchObject([
      { intent: { by: "local:modem-ladder", verb: "cycle", outlets: ["a3"], waitMs: 10_000 } },
    ]);
    expect(site.drives.map(({ relay, energised }) => [relay, energised])).toEqual([
      [3, true],
      [3, false],
    ]);
  });

  it("does not take down by itself what else hangs there, as long as the site can be reached another way", () => {
    const site = new Site({ ...WITH_MODEM, devices: PLAN.devices });
    site.link("up", "primary");
    site.link("down");
    site.told(GONE);
    site.pass(30 * MINUTE);
    expect(site.steps().map((one) => one.step)).not.toContain("power");
    expect(site.drives).toEqual([]);
    site.link("down", "primary");
    site.pass(24 * HOUR);
    expect(site.steps().map((one) => one.step)).toContain("power");
  });

  it("helps one that goes from one trouble to the next and back, which is trouble all the time", () => {
    const site = new Site();
    site.link("down");
    for (let turn = 0; turn < 10; turn++) {
      site.told({ ...WELL, state: "registered" });
      site.pass(4 * MINUTE);
      site.told(WELL);
      site.pass(4 * MINUTE);
    }
    expect(site.steps().length).toBeGreaterThan(2);
  });

  it("a locked outlet stays as it is: the refusal is a record and the ladder goes on", () => {
    const site = broken(GONE);
    site.order("lock", ":a3");
    site.pass(30 * MINUTE);
    expect(site.of("refused")).toMatchObject([{ by: "local:modem-ladder", code: "outlet.locked" }]);
    expect(site.drives).toEqual([]);
  });

  it.each([
    ["a SIM that asks for its PIN", { ...WELL, state: "locked", lock: "sim-pin" }],
    ["no ModemManager", { ...GONE, presence: "unmanaged" }],
  ] as const)("touches nothing where only a person can help: %s", (_, report) => {
    const site = broken(report);
    site.pass(48 * HOUR);
    expect(site.steps()).toEqual([]);
    expect(site.of("modem")).toHaveLength(1);
  });

  it("waits half an hour between steps while it may be the broker that is away", () => {
    const site = broken();
    site.link("down", "primary");
    site.pass(29 * MINUTE);
    expect(site.steps()).toEqual([]);
    site.pass(2 * MINUTE);
    expect(site.steps()).toHaveLength(1);
  });

  it("what it did outlives the controller", () => {
    const site = broken();
    site.pass(11 * MINUTE);
    const { durable } = site.state;
    site.start(durable);
    site.link("up", "primary");
    site.told(WELL);
    site.link("down");
    site.pass(6 * MINUTE);
    expect(site.steps().map((one) => one.step)).toEqual(["reconnect", "airplane", "reset"]);
  });

  it("restarts the Pi at most three times, a day apart, and never while a relay is held or the primary works", () => {
    const restarts = (site: Site) => site.steps().filter((one) => one.step === "reboot");
    const dark = broken(GONE);
    dark.link("down", "primary");
    dark.pass(14 * 24 * HOUR);
    const times = restarts(dark).map((one) => one.atMs);
    expect(times).toHaveLength(3);
    for (const [at, atMs] of times.entries()) expect(at === 0 || atMs - (times[at - 1] ?? 0) >= 24 * HOUR).toBe(true);
    const reachable = broken(GONE);
    reachable.pass(3 * 24 * HOUR);
    expect(restarts(reachable)).toEqual([]);
    const holding = broken(GONE);
    holding.link("down", "primary");
    holding.order("off", "cam1");
    holding.pass(3 * 24 * HOUR);
    expect(restarts(holding)).toEqual([]);
  });

  it("whatever happens: no step while the link works, none within five minutes of another that was not refused", () => {
    const happening = fc.oneof(
      fc.record({ link: fc.constantFrom("up" as const, "down" as const) }),
      fc.record({ report: fc.constantFrom(WELL, GONE, { ...WELL, registration: "denied", state: "enabled" }) }),
      fc.record({ passMs: fc.integer({ min: 1_000, max: 2 * HOUR }) }),
      fc.record({ restart: fc.constant(true) }),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 40 }), (all) => {
        const site = broken();
        let up = false;
        for (const one of all) {
          const before = site.steps().length;
          if ("link" in one) site.link(one.link);
          else if ("report" in one) site.told(one.report);
          else if ("passMs" in one) site.pass(one.passMs);
          else site.start(site.state.durable);
          if (up && "passMs" in one) expect(site.steps().length).toBe(before);
          if ("link" in one) up = one.link === "up";
          if ("restart" in one) up = false;
        }
        const times = site.steps();
        for (const [at, { atMs }] of times.entries())
          if (at > 0) expect(atMs - (times[at - 1]?.atMs ?? 0)).toBeGreaterThanOrEqual(COOL_DOWN_MS);
        for (const { step } of times) expect(STEPS).toContain(step);
      }),
      { numRuns: 60 },
    );
  });
});

describe("the signal", () => {
  const hear = (site: Site, rsrp: number, minutes: number) => {
    for (let at = 0; at < minutes * 2; at++) {
      site.told({ ...WELL, signal: { rssi: null, rsrp, rsrq: -10, snr: null } });
      site.pass(30_000);
    }
  };

  it("one alarm for a quarter of an hour of bad signal, none for a bad minute, and it goes 3 dB higher than it came", () => {
    const site = new Site();
    site.link("up");
    hear(site, -95, 15);
    hear(site, -118, 2);
    hear(site, -95, 15);
    expect(site.of("modem-signal")).toEqual([]);
    hear(site, -118, 15);
    hear(site, -109, 20);
    expect(site.of("modem-signal")).toMatchObject([{ state: "raised" }]);
    hear(site, -100, 15);
    expect(site.of("modem-signal")).toMatchObject([{ state: "raised" }, { state: "cleared" }]);
  });

  it("a signal that trembles is not published anew each time", () => {
    const site = new Site();
    site.link("up");
    site.told(WELL);
    const published = () => site.effects.filter((one) => one.type === "publish").length;
    const before = published();
    for (let at = 0; at < 100; at++) {
      site.told({ ...WELL, signal: { rssi: -70, rsrp: -90 + (at % 3) - 1, rsrq: -9, snr: 12 } });
      site.pass(1_000);
    }
    expect(published()).toBeLessThanOrEqual(before + 1);
  });
});
