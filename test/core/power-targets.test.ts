import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/messages.ts";
import type { OutletPlan, SitePlan } from "../../src/core/plan.ts";
import type { Preview } from "../../src/core/preview.ts";
import { Bench, outlet, PLAN, TRUST } from "./bench.ts";

const codes = (reply: Reply | undefined) => [reply?.phase, reply?.code];
const withOutlets = (more: Record<string, Partial<OutletPlan>>, plan: Partial<SitePlan> = {}): SitePlan => ({
  ...PLAN,
  ...plan,
  outlets: {
    ...PLAN.outlets,
    ...Object.fromEntries(
      Object.entries(more).map(([name, one]) => [name, { ...(PLAN.outlets[name] ?? outlet(name, 9)), ...one }]),
    ),
  },
});
const ADMIN = { ...TRUST, operators: [...TRUST.operators, { name: "ada", keys: ["key-ada"], roles: ["admin"] }] };

describe("several targets of one command", () => {
  it("go off from the last in the chain, and on from the first", () => {
    const bench = new Bench();
    const { moves } = bench.select("cycle", "switch1,router1").preview as Preview;
    expect(moves.flatMap((move) => ("power" in move ? `${move.outlet} ${move.power}` : []))).toEqual([
      "a3 off",
      "a1 off",
      "a2 off",
      "a1 on",
      "a2 on",
      "a3 on",
    ]);
  });

  it("are all refused when one is", () => {
    const bench = new Bench();
    bench.order("lock", "nas1");
    expect(codes(bench.order("cycle", "router1,nas1"))).toEqual(["rejected", "outlet.locked"]);
    expect(bench.drives).toEqual([]);
  });

  it("with partial, only the refused one is left out, and the preview says why", () => {
    const bench = new Bench();
    bench.order("lock", "nas1", { reason: "fuse" });
    const selected = bench.select("cycle", "router1,nas1", { partial: true });
    const preview = selected.preview as Preview;
    expect(preview.left).toMatchObject([{ target: "nas1", code: "outlet.locked" }]);
    expect(preview.refusal).toBeNull();
    expect(bench.operate(selected.nonce, { target: "router1,nas1" }).phase).toBe("accepted");
    bench.pass(20_000);
    expect([...new Set(bench.drives.map(({ relay }) => relay))].sort()).toEqual([1, 2]);
  });

  it("what changed between preview and operate refuses, also with partial", () => {
    const bench = new Bench();
    const { nonce } = bench.select("cycle", "router1,nas1", { partial: true, from: "any" });
    bench.order("lock", "nas1");
    expect(codes(bench.operate(nonce))).toEqual(["rejected", "outlet.locked"]);
  });

  it("the right is needed over each of them", () => {
    const bench = new Bench();
    expect(codes(bench.select("cycle", "router1,nas1", {}, "ruth"))).toEqual(["rejected", "role.denied"]);
    const spare = new Bench(withOutlets({ a9: {} }));
    expect(codes(spare.select("cycle", "router1,:a9", {}, "ruth"))).toEqual(["rejected", "role.denied"]);
    expect(codes(spare.select("cycle", "router1,nosuch"))).toEqual(["rejected", "target.unknown"]);
  });

  it("what comes first may be switched on by the same command", () => {
    const bench = new Bench(PLAN);
    bench.lines = { ...bench.lines, 1: true, 2: true, 3: true };
    bench.start(bench.durable());
    expect(codes(bench.order("on", "switch1"))).toEqual(["rejected", "dependency.off"]);
    expect(bench.order("on", "switch1,router1").phase).toBe("accepted");
  });
});

describe("delays", () => {
  it("hold before each edge, and are in the preview", () => {
    const bench = new Bench(withOutlets({ a1: { offDelayMs: 3_000 }, a2: { onDelayMs: 7_000 } }));
    bench.order("cycle", "router1");
    bench.pass(60_000);
    expect(bench.drives.map(({ relay, energised, atMs }) => [relay, energised, atMs - 100_000])).toEqual([
      [1, true, 3_000],
      [2, true, 3_000],
      [1, false, 13_000],
      [2, false, 20_000],
    ]);
  });
});

describe("an override", () => {
  const bench = () => {
    const made = new Bench(PLAN, undefined, ADMIN);
    made.order("off", "nas1");
    made.pass(500);
    return made;
  };
  const as = (made: Bench, args: object) =>
    made.operate(made.select("on", "nas1", { override: ["min-time"], ...args }, "ada").nonce, { by: "ada" });

  it("goes before a minimum time for an admin who says why, and the intent says so", () => {
    const made = bench();
    expect(as(made, { reason: "site is dark" }).phase).toBe("accepted");
    expect(made.records.findLast((one) => one.kind === "intent")).toMatchObject({
      intent: { override: ["min-time"], reason: "site is dark" },
    });
  });

  it("needs a reason and the role", () => {
    const made = bench();
    expect(codes(made.select("on", "nas1", { override: ["min-time"] }, "ada"))).toEqual([
      "rejected",
      "override.reason",
    ]);
    const asked = made.select("on", "nas1", { override: ["min-time"], reason: "x" });
    expect(codes(asked)).toEqual(["rejected", "role.denied"]);
  });

  it("never goes before a lock", () => {
    const made = bench();
    made.order("lock", "nas1");
    expect(codes(as(made, { reason: "site is dark" }))).toEqual(["rejected", "outlet.locked"]);
  });

  it("goes before the rate", () => {
    const made = new Bench(
      withOutlets({ a4: { rate: { max: 1, perMs: 60_000 }, minOnMs: 0, minOffMs: 0 } }),
      undefined,
      ADMIN,
    );
    made.order("off", "nas1");
    made.order("on", "nas1");
    expect(codes(made.order("off", "nas1"))).toEqual(["rejected", "outlet.rate"]);
    const { nonce } = made.select("off", "nas1", { override: ["rate"], reason: "smoke" }, "ada");
    expect(made.operate(nonce, { by: "ada" }).phase).toBe("accepted");
  });
});

describe("locks", () => {
  const clock = (bench: Bench, trust: "ntp" | "none", wallMs = 1_700_000_000_000) =>
    bench.emit({ type: "clock-read", wallMs, trust });

  it("end by a trusted clock, and not a moment before", () => {
    const bench = new Bench();
    clock(bench, "ntp");
    bench.order("lock", "nas1", { forMs: 3_600_000, reason: "fuse" });
    bench.pass(3_599_000);
    expect(bench.order("off", "nas1")).toMatchObject({ code: "outlet.locked" });
    expect(String(bench.last()?.detail)).toContain(" ago: fuse; it ends in 1 s");
    bench.pass(1_100);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("do not end by a clock that nobody vouches for, but by what a trusted one said before in this boot", () => {
    const bench = new Bench();
    clock(bench, "ntp");
    bench.order("lock", "nas1", { forMs: 3_600_000 });
    clock(bench, "none", 1_900_000_000_000);
    bench.pass(3_599_000);
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.locked"]);
    bench.pass(1_100);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("of an earlier boot do not end while nobody vouches for the clock, whatever it says", () => {
    const bench = new Bench();
    clock(bench, "ntp");
    bench.order("lock", "nas1", { forMs: 3_600_000 });
    bench.start(bench.state.durable, TRUST, 8);
    clock(bench, "none", 1_900_000_000_000);
    bench.pass(7_200_000);
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.locked"]);
  });

  it("set under an untrusted clock, they end by the time that this boot has lasted, once the clock is trusted", () => {
    const bench = new Bench();
    bench.order("lock", "nas1", { forMs: 60_000 });
    bench.pass(61_000);
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.locked"]);
    clock(bench, "ntp");
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("are taken away by who set them or an admin", () => {
    const operators = [...ADMIN.operators, { name: "olaf", keys: ["key-olaf"], roles: ["operator"] }];
    const bench = new Bench(PLAN, undefined, { ...ADMIN, operators });
    bench.order("lock", "nas1", { reason: "hands inside" });
    const asOther = bench.select("unlock", "nas1", {}, "olaf");
    expect(codes(asOther)).toEqual(["rejected", "outlet.lock-owner"]);
    expect(String(asOther.detail)).toContain("by alice 0 ms ago: hands inside");
    expect(codes(bench.select("lock", "nas1", { forMs: 1_000 }, "olaf"))).toEqual(["rejected", "outlet.locked"]);
    const { nonce } = bench.select("unlock", "nas1", {}, "ada");
    expect(bench.operate(nonce, { by: "ada" })).toMatchObject({ phase: "result", verdict: "done" });
  });
});

describe("an interlock", () => {
  const made = () => {
    const plan = withOutlets({ a1: { contact: "no" }, a4: { contact: "no" } }, { interlocks: [["a1", "a4"]] });
    const bench = new Bench(plan);
    bench.lines = { ...bench.lines, 1: false, 4: true };
    bench.start(bench.durable());
    return bench;
  };

  it("refuses an on while the other is on, on its way, or not known to be off", () => {
    const bench = made();
    expect(codes(bench.order("on", ":a1"))).toEqual(["rejected", "outlet.interlock"]);
    bench.order("off", "nas1", { forMs: 600_000 });
    bench.pass(5_000);
    expect(codes(bench.order("on", ":a1"))).toEqual(["rejected", "outlet.interlock"]);
    bench.order("cancel", "nas1");
    bench.pass(20_000);
    bench.order("off", "nas1");
    bench.pass(5_000);
    expect(bench.order("on", ":a1").phase).toBe("accepted");
    expect(codes(bench.order("on", "nas1"))).toEqual(["rejected", "outlet.interlock"]);
  });

  it("refuses both in one command", () => {
    const bench = made();
    bench.order("off", "nas1");
    bench.pass(5_000);
    expect(codes(bench.order("on", ":a1,nas1"))).toEqual(["rejected", "outlet.interlock"]);
  });
});
