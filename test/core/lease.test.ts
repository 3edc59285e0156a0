import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Ask,
  allow,
  ask,
  beat,
  EMPTY_SEATS,
  GIVE_WAY_MS,
  isWaiting,
  LEASE_MS,
  type LeaseNotice,
  type LeaseStep,
  lapse,
  lapseMs,
  leave,
  mayTypeNow,
  type Seats,
  sit,
} from "../../src/core/lease.ts";

const RUNS = process.env.TOWPATH_LONG ? 100_000 : 2_000;

function seated(...names: string[]): Seats {
  return names.reduce((seats, name) => sit(seats, { id: name, name, mayType: name !== "vera" }, 0), EMPTY_SEATS);
}

const told = ({ notices }: LeaseStep): string[] =>
  notices.map(({ to, what, why, by }) => `${to}: ${what} ${why}${by === null ? "" : ` ${by}`}`);

describe("the right to type", () => {
  it("is free for the first who asks; the next one waits, and the holder is told who asks", () => {
    const first = ask(seated("alice", "bob"), "alice", "request", 0);
    expect(told(first)).toEqual(["alice: type free"]);
    const second = ask(first.seats, "bob", "request", 1_000);
    expect(told(second)).toEqual(["bob: waiting held alice", "alice: asked asked bob"]);
    expect(told(leave(second.seats, "alice", 2_000))).toEqual(["bob: type left alice"]);
  });

  it("goes to who waits when its holder has not typed for 30 s, and not while he types", () => {
    const held = ask(seated("alice", "bob"), "alice", "request", 0).seats;
    const asked = ask(held, "bob", "request", 1_000).seats;
    const typing = beat(beat(asked, "alice", true, 20_000), "bob", false, 20_000);
    expect(lapseMs(typing)).toBe(20_000 + GIVE_WAY_MS);
    expect(told(lapse(typing, 31_001))).toEqual([]);
    const still = beat(beat(typing, "alice", false, 49_000), "bob", false, 49_000);
    expect(told(lapse(still, 50_000))).toEqual(["alice: watch idle bob", "bob: type idle alice"]);
  });

  it("is taken by who steals, and every loser is told by whom", () => {
    const held = ask(seated("alice", "bob", "carl"), "alice", "request", 0).seats;
    const both = ask(held, "bob", "join", 0);
    expect(told(both)).toEqual(["alice: joined joined bob", "bob: type joined alice"]);
    const stolen = ask(both.seats, "carl", "steal", 0);
    expect(told(stolen)).toEqual(["alice: watch stolen carl", "bob: watch stolen carl", "carl: type stolen alice"]);
    expect(["alice", "bob", "carl"].map((id) => mayTypeNow(stolen.seats, id))).toEqual([false, false, true]);
  });

  it("ends 30 s after its holder was last heard, and who typed along goes on", () => {
    const both = ask(ask(seated("alice", "bob"), "alice", "request", 0).seats, "bob", "join", 0).seats;
    const quiet = beat(both, "bob", false, 25_000);
    expect(told(lapse(quiet, LEASE_MS - 1))).toEqual([]);
    expect(told(lapse(quiet, LEASE_MS))).toEqual(["alice: watch expired", "bob: type expired alice"]);
  });

  it("is never had by who may only watch, nor kept by who no longer may", () => {
    const seats = seated("alice", "vera");
    for (const what of ["request", "claim", "steal", "join"] as const)
      expect(told(ask(seats, "vera", what, 0))).toEqual(["vera: refused right"]);
    const held = ask(seats, "alice", "request", 0).seats;
    expect(told(allow(held, "alice", false, 0))).toEqual(["alice: watch right"]);
  });

  it("a program that claims it gets it when it is free, and does not wait", () => {
    const claimed = ask(seated("alice", "port"), "port", "claim", 0);
    expect(told(claimed)).toEqual(["port: type free"]);
    const held = ask(seated("alice", "port"), "alice", "request", 0).seats;
    const refused = ask(held, "port", "claim", 0);
    expect(told(refused)).toEqual(["port: refused held alice"]);
    expect(isWaiting(refused.seats, "port")).toBe(false);
  });

  it("whatever people do: one holder at most, no right without the verb, all told, and nobody waits for nobody", () => {
    const id = fc.constantFrom("alice", "bob", "carl", "vera");
    const what = fc.constantFrom<Ask>("request", "claim", "steal", "join", "release");
    const action = fc.oneof(
      fc.record({ do: fc.constant("ask" as const), id, what }),
      fc.record({ do: fc.constant("leave" as const), id }),
      fc.record({ do: fc.constant("sit" as const), id }),
      fc.record({ do: fc.constant("beat" as const), id, typed: fc.boolean() }),
      fc.record({ do: fc.constant("allow" as const), id, may: fc.boolean() }),
      fc.record({ do: fc.constant("time" as const), ms: fc.integer({ min: 0, max: 40_000 }) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        let seats = EMPTY_SEATS;
        let nowMs = 0;
        for (const one of actions) {
          if (one.do === "time") nowMs += one.ms;
          const before = seats;
          const step = act(seats, one, nowMs);
          seats = step.seats;
          check(before, seats, step.notices, nowMs);
        }
      }),
      { numRuns: RUNS },
    );
  });
});

type Action =
  | { do: "ask"; id: string; what: Ask }
  | { do: "leave" | "sit"; id: string }
  | { do: "beat"; id: string; typed: boolean }
  | { do: "allow"; id: string; may: boolean }
  | { do: "time"; ms: number };

function act(seats: Seats, action: Action, nowMs: number): LeaseStep {
  switch (action.do) {
    case "ask":
      return ask(seats, action.id, action.what, nowMs);
    case "leave":
      return leave(seats, action.id, nowMs);
    case "sit": {
      const { id } = action;
      const known = seats.seats.some((one) => one.id === id);
      return { seats: known ? seats : sit(seats, { id, name: id, mayType: id !== "vera" }, nowMs), notices: [] };
    }
    case "beat":
      return { seats: beat(seats, action.id, action.typed, nowMs), notices: [] };
    case "allow":
      return allow(seats, action.id, action.may && action.id !== "vera", nowMs);
    case "time":
      return lapse(seats, nowMs);
  }
}

function check(before: Seats, seats: Seats, notices: readonly LeaseNotice[], nowMs: number): void {
  const ids = seats.seats.map((one) => one.id);
  const typists = [...(seats.holder === null ? [] : [seats.holder]), ...seats.joined];
  const waiting = seats.waiting.map((one) => one.id);
  expect(new Set([...typists, ...waiting]).size).toBe(typists.length + waiting.length);
  for (const id of [...typists, ...waiting]) {
    expect(ids).toContain(id);
    expect(seats.seats.find((one) => one.id === id)?.mayType).toBe(true);
  }
  if (seats.holder === null) expect([typists, waiting]).toEqual([[], []]);
  // Whoever gained or lost the right and is still there was told so, and nobody was told what is not so.
  for (const id of ids) {
    const [was, is] = [mayTypeNow(before, id), mayTypeNow(seats, id)];
    const last = notices.filter(({ to, what }) => to === id && (what === "type" || what === "watch")).at(-1);
    if (was !== is) expect(last?.what).toBe(is ? "type" : "watch");
    if (last !== undefined) expect(last.what === "type").toBe(is);
  }
  const dueMs = lapseMs(seats);
  const next = lapse(seats, nowMs);
  if (dueMs === null || dueMs > nowMs) expect(next.notices).toEqual([]);
}
