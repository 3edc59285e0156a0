import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Blame,
  blame,
  cyclingCouldHelp,
  NEW_UPLINK,
  type Probed,
  probeInMs,
  stepUplink,
  type Uplink,
  usable,
} from "../../src/core/uplink.ts";

const GOOD: Probed = {
  carrier: true,
  address: true,
  gateway: true,
  anchors: [true, true],
  dns: { given: true, other: true },
  page: "right",
  broker: true,
};
const DARK = { anchors: [false, false], dns: { given: false, other: false }, page: "silent", broker: false } as const;

describe("why an uplink does not work", () => {
  it.each<[string, Partial<Probed>, Blame | null]>([
    ["all is well", {}, null],
    ["the cable is out", { ...DARK, carrier: false, gateway: false, address: false }, "link"],
    ["the router is hung and answers for nothing", { ...DARK, gateway: false }, "l2"],
    ["no address was given", { ...DARK, address: false, gateway: null }, "l2"],
    ["the router answers, the provider is gone", DARK, "upstream"],
    ["one anchor is gone, the other is not", { anchors: [true, false] }, null],
    ["the router does not answer ARP and forwards all the same", { gateway: false }, null],
    ["addresses work, the router's resolver is dead", { dns: { given: false, other: true } }, "dns"],
    ["no name works", { dns: { given: false, other: false }, page: "silent", broker: false }, "dns"],
    ["a login page answers for everybody", { page: "wrong", broker: false }, "captive"],
    ["a portal lets nothing else through", { ...DARK, page: "wrong" }, "captive"],
    ["only the broker does not answer", { broker: false }, "service"],
    [
      "nothing but the carrier can be told",
      { gateway: null, anchors: [], dns: { given: null, other: null }, page: null, broker: null },
      null,
    ],
  ])("%s", (_what, change, expected) => {
    expect(blame({ ...GOOD, ...change })).toBe(expected);
  });

  it("power-cycling is offered only where it could help", () => {
    const could = (["link", "l2", "upstream", "dns", "captive", "service", "up", null] as const).filter(
      cyclingCouldHelp,
    );
    expect(could).toEqual(["link", "l2", "upstream"]);
  });
});

/** Rounds as they would be made: each when the one before asked for it. */
class Watch {
  uplink: Uplink = NEW_UPLINK;
  nowMs = 1_000;
  readonly verdicts: [Uplink["verdict"], number][] = [];

  round(change: Partial<Probed> = {}): void {
    this.nowMs += probeInMs(this.uplink);
    const before = this.uplink.verdict;
    this.uplink = stepUplink(this.uplink, { ...GOOD, ...change }, this.nowMs);
    if (this.uplink.verdict !== before) this.verdicts.push([this.uplink.verdict, this.nowMs]);
  }

  rounds(count: number, change: Partial<Probed> = {}): this {
    for (let index = 0; index < count; index++) this.round(change);
    return this;
  }

  until(verdict: Uplink["verdict"], change: Partial<Probed> = {}): number {
    const fromMs = this.nowMs;
    for (let index = 0; index < 500 && this.uplink.verdict !== verdict; index++) this.round(change);
    expect(this.uplink.verdict).toBe(verdict);
    return this.nowMs - fromMs;
  }
}

describe("the verdict of an uplink", () => {
  it("falls within seven seconds of the first bad round's wait, and rises after a minute of good ones", () => {
    const watch = new Watch();
    watch.until("up");
    expect(watch.until("upstream", DARK)).toBeLessThanOrEqual(7_000);
    const back = watch.until("up");
    expect(back).toBeGreaterThanOrEqual(60_000);
    expect(back).toBeLessThanOrEqual(70_000);
  });

  it("does not fall for one lost packet, nor for two", () => {
    const watch = new Watch();
    watch.until("up");
    for (let index = 0; index < 20; index++) watch.rounds(2, DARK).rounds(8);
    expect(watch.verdicts).toHaveLength(1);
  });

  it("falls where every other round is lost", () => {
    const watch = new Watch();
    watch.until("up");
    for (let index = 0; index < 8; index++) watch.rounds(2, DARK).rounds(1);
    expect(watch.uplink.verdict).toBe("upstream");
  });

  it("tells another layer when the trouble moves, and since when it is down stays", () => {
    const watch = new Watch();
    watch.until("up");
    watch.until("upstream", DARK);
    const { sinceMs } = watch.uplink;
    watch.rounds(1, { ...DARK, gateway: false });
    expect(watch.uplink).toMatchObject({ verdict: "l2", sinceMs });
  });

  it("one that flaps is not used until it has been quiet, at most an hour", () => {
    const watch = new Watch();
    watch.until("up");
    for (let index = 0; index < 8; index++) {
      watch.until("upstream", DARK);
      watch.until("up");
    }
    expect(watch.uplink).toMatchObject({ verdict: "up", damped: true });
    expect(usable(watch.uplink)).toBe(false);
    const fromMs = watch.nowMs;
    while (!usable(watch.uplink) && watch.nowMs - fromMs < 7_200_000) watch.round();
    expect(watch.nowMs - fromMs).toBeGreaterThan(10 * 60_000);
    expect(watch.nowMs - fromMs).toBeLessThanOrEqual(3_605_000);
  });

  const bools = fc.constantFrom(true, false, null);
  const probed: fc.Arbitrary<Probed> = fc.record({
    carrier: bools,
    address: bools,
    gateway: bools,
    anchors: fc.array(fc.boolean(), { maxLength: 3 }),
    dns: fc.record({ given: bools, other: bools }),
    page: fc.constantFrom("right" as const, "wrong" as const, "silent" as const, null),
    broker: bools,
  });

  it("whatever comes: up only on good rounds, down only on bad ones, and never asked for without end", () => {
    fc.assert(
      fc.property(fc.array(probed, { maxLength: 200 }), (rounds) => {
        let uplink = NEW_UPLINK;
        let nowMs = 0;
        for (const round of rounds) {
          const before = uplink;
          nowMs += probeInMs(uplink);
          uplink = stepUplink(uplink, round, nowMs);
          expect(uplink.rounds.length).toBeLessThanOrEqual(10);
          expect([1_000, 5_000]).toContain(probeInMs(uplink));
          expect(uplink.penalty).toBeLessThanOrEqual(24_000);
          if (uplink.verdict === before.verdict) continue;
          if (uplink.verdict === "up") expect(uplink.rounds.slice(-3)).toEqual([null, null, null]);
          else expect(uplink.rounds.filter((one) => one !== null).length).toBeGreaterThanOrEqual(3);
        }
      }),
    );
  });

  it("the same rounds give the same verdict once the trouble lasts, whatever was before", () => {
    fc.assert(
      fc.property(fc.array(probed, { maxLength: 40 }), probed, (before, lasting) => {
        let uplink = NEW_UPLINK;
        let nowMs = 0;
        const step = (round: Probed) => {
          nowMs += probeInMs(uplink);
          uplink = stepUplink(uplink, round, nowMs);
        };
        for (const round of before) step(round);
        for (let index = 0; index < 30; index++) step(lasting);
        expect(uplink.verdict).toBe(blame(lasting) ?? "up");
      }),
    );
  });
});
