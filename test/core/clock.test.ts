import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clockNow, datesHold, floorOf } from "../../src/core/clock.ts";
import { type ClockTrust, EMPTY_DURABLE } from "../../src/core/ledger.ts";
import { Bench } from "./bench.ts";

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;

function read(bench: Bench, trust: ClockTrust, wallMs: number): void {
  bench.emit({ type: "clock-read", wallMs, trust });
}

describe("the clock of a site", () => {
  it("believes the network before the modem, the modem before a battery, and keeps what it believed", () => {
    const bench = new Bench();
    read(bench, "none", 1_000);
    read(bench, "rtc", NOW - 60_000);
    read(bench, "gsm", NOW - 5_000);
    read(bench, "ntp", NOW);
    for (const trust of ["none", "rtc", "gsm"] as const) read(bench, trust, 12_345);
    bench.pass(90_000);
    expect(clockNow(bench.state, bench.nowMs)).toEqual({ wallMs: NOW + 90_000, trust: "ntp" });
    const told = bench.records.filter((one) => one.kind === "clock");
    expect(told.map((one) => one.trust)).toEqual(["none", "rtc", "gsm", "ntp"]);
  });

  it("does not believe a battery that says a time which is over", () => {
    const bench = new Bench();
    read(bench, "rtc", 946_684_800_000);
    expect(bench.state.clock?.trust).toBe("none");
  });

  it("knows a floor: what this program, or a trusted clock of an earlier life, has seen", () => {
    const clock = (wall: number, trust: ClockTrust) => ({ boot: 1, mono: 0, wall, trust });
    expect(floorOf(EMPTY_DURABLE, 500)).toBe(500);
    const clocks = [clock(900, "ntp"), clock(2_000, "none"), clock(3_000, "rtc"), clock(700, "gsm")];
    expect(floorOf({ ...EMPTY_DURABLE, clocks }, 500)).toBe(900);
  });
});

describe("dates of a certificate", () => {
  const dates = { notBeforeMs: NOW - 30 * DAY_MS, notAfterMs: NOW + 30 * DAY_MS };

  it("are judged by the best time that there is, and let pass only where there is none", () => {
    const floor = NOW - 100 * DAY_MS;
    expect(datesHold(dates, null, floor)).toBe(true);
    expect(datesHold(dates, { wallMs: 0, trust: "none" }, floor)).toBe(true);
    expect(datesHold(dates, { wallMs: NOW, trust: "ntp" }, floor)).toBe(true);
    expect(datesHold(dates, { wallMs: NOW + 31 * DAY_MS, trust: "ntp" }, floor)).toBe(false);
    expect(datesHold(dates, { wallMs: NOW - 31 * DAY_MS, trust: "gsm" }, floor)).toBe(false);
    expect(datesHold(dates, { wallMs: NOW + 31 * DAY_MS, trust: "rtc" }, floor)).toBe(false);
    // An empty battery: no time at all.
    expect(datesHold(dates, { wallMs: 946_684_800_000, trust: "rtc" }, floor)).toBe(true);
  });

  it("that ended before the floor never hold, whatever any clock says", () => {
    const trust = fc.constantFrom<ClockTrust>("none", "rtc", "gsm", "ntp");
    const clock = fc.option(fc.record({ wallMs: fc.integer({ min: 0, max: 2 ** 42 }), trust }));
    fc.assert(
      fc.property(clock, fc.nat(2 ** 31), (any, after) => {
        expect(datesHold(dates, any, dates.notAfterMs + 1 + after)).toBe(false);
        // Dates that cannot be read are no dates.
        expect(datesHold({ notBeforeMs: Number.NaN, notAfterMs: Number.NaN }, any, 0)).toBe(false);
      }),
    );
  });
});
