import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Keepalive, LTE_KEEPALIVE } from "../../src/link/keepalive.ts";
import { Liveness } from "../../src/link/liveness.ts";

const DAY_MS = 86_400_000;

describe("how long a connection may be silent", () => {
  it("begins at 230 s, gains a minute with each day that it survived, and ends at 29 minutes", () => {
    const keepalive = new Keepalive(LTE_KEEPALIVE, null);
    keepalive.opened(0);
    expect(keepalive.seconds).toBe(230);
    for (let hour = 1; hour <= 23; hour++) expect(keepalive.heard(hour * 3_600_000)).toBe(false);
    expect(keepalive.heard(DAY_MS)).toBe(true);
    expect(keepalive.seconds).toBe(290);
    // What was not lived through is not known: the next step takes a connection that goes by this one.
    for (let day = 2; day < 10; day++) keepalive.heard(day * DAY_MS);
    expect(keepalive.seconds).toBe(290);
    for (let day = 10; day < 60; day++) {
      keepalive.opened(day * DAY_MS);
      keepalive.heard((day + 1) * DAY_MS);
    }
    expect(keepalive.seconds).toBe(1_740);
  });

  it("is halved when an idle connection was forgotten, never below a minute", () => {
    const keepalive = new Keepalive(LTE_KEEPALIVE, 290);
    for (let death = 0; death < 5; death++) {
      keepalive.opened(death * DAY_MS);
      keepalive.closed(keepalive.seconds * 1_000, death * DAY_MS + 600_000);
    }
    keepalive.opened(5 * DAY_MS);
    // Each time it took a day until it was back: those were outages.
    keepalive.closed(0, 5 * DAY_MS);
    expect(keepalive.seconds).toBe(290);
    keepalive.opened(6 * DAY_MS);
    for (const seconds of [145, 73, 60, 60]) {
      keepalive.closed(keepalive.seconds * 1_000, 6 * DAY_MS);
      keepalive.opened(6 * DAY_MS + 20_000);
      expect(keepalive.seconds).toBe(seconds);
    }
  });

  it("is not blamed for a break in the middle of traffic, nor for a path that was gone for minutes", () => {
    const keepalive = new Keepalive(LTE_KEEPALIVE, null);
    keepalive.opened(0);
    keepalive.closed(5_000, 1_000_000);
    keepalive.opened(1_010_000);
    keepalive.closed(230_000, 2_000_000);
    keepalive.opened(2_300_000);
    expect(keepalive.seconds).toBe(230);
  });

  it("stays within its limits, whatever is on the card and whatever happens", () => {
    const step = fc.record({ silent: fc.nat(4_000_000), pause: fc.nat(10 * DAY_MS), opens: fc.boolean() });
    fc.assert(
      fc.property(fc.double(), fc.array(step, { maxLength: 50 }), (saved, steps) => {
        const keepalive = new Keepalive(LTE_KEEPALIVE, saved);
        let now = 0;
        for (const { silent, pause, opens } of steps) {
          now += pause;
          if (opens) keepalive.opened(now);
          else keepalive.closed(silent, now);
          keepalive.heard(now + 1);
          expect(keepalive.seconds).toBeGreaterThanOrEqual(60);
          expect(keepalive.seconds).toBeLessThanOrEqual(1_740);
        }
      }),
    );
  });
});

describe("whether the other side lives", () => {
  it("is asked only where an answer is due: silence alone is no death", () => {
    const live = new Liveness(0);
    expect(live.deadAtMs(10 * DAY_MS)).toBeNull();
    live.asked(1_000);
    expect(live.deadAtMs(1_000)).toBe(21_000);
    live.answered();
    expect(live.deadAtMs(1_000)).toBeNull();
  });

  it("is believed while bytes come, however slowly the answer does", () => {
    const live = new Liveness(0);
    live.asked(0);
    live.asked(10);
    for (let at = 5_000; at <= 60_000; at += 5_000) {
      live.heard(at);
      expect(live.deadAtMs(at)).toBe(at + 20_000);
    }
  });

  it("must be proven within 10 s once something is going on, also by who was asked before", () => {
    const live = new Liveness(0);
    live.asked(0);
    live.alert(3_000);
    expect(live.deadAtMs(3_000)).toBe(13_000);
    const late = new Liveness(0);
    late.asked(0);
    late.alert(15_000);
    expect(late.deadAtMs(15_000)).toBe(20_000);
    const quiet = new Liveness(0);
    quiet.alert(50_000);
    quiet.asked(50_000);
    expect(quiet.deadAtMs(50_000)).toBe(60_000);
  });

  it("tells how long it had been silent before what found it dead", () => {
    const live = new Liveness(0);
    live.heard(1_000);
    live.asked(231_000);
    expect(live.silentBeforeMs).toBe(230_000);
    live.asked(232_000);
    expect(live.silentBeforeMs).toBe(230_000);
    live.heard(233_000);
    expect(live.silentBeforeMs).toBe(0);
  });
});
