import { describe, expect, it } from "vitest";
import type { Durable } from "../../src/core/ledger.ts";
import type { PowerRestore, SitePlan } from "../../src/core/plan.ts";
import { Bench, PLAN, TRUST } from "./bench.ts";

const planWith = (policies: Record<string, PowerRestore>, more: Partial<SitePlan> = {}): SitePlan => ({
  ...PLAN,
  ...more,
  outlets: Object.fromEntries(
    Object.entries(PLAN.outlets).map(([name, one]) => [name, { ...one, powerRestore: policies[name] ?? "as-wired" }]),
  ),
});

/** A life in boot 7, then a start in `boot` with all relays released. */
function nextBoot(
  plan: SitePlan,
  was: "kept" | "lost" | "unknown",
  options: { boot?: number; earlier?: (bench: Bench) => void; durable?: (bench: Bench) => Durable } = {},
): Bench {
  const bench = new Bench(plan);
  options.earlier?.(bench);
  const durable = options.durable?.(bench) ?? bench.durable();
  bench.drives.length = 0;
  bench.lines = { 1: false, 2: false, 3: false, 4: false, 5: false };
  bench.power = was;
  bench.start(durable, TRUST, options.boot ?? 8);
  bench.pass(30_000);
  return bench;
}

const moved = (bench: Bench) => bench.drives.map(({ relay, energised }) => [relay, energised]);

describe("after a power cut", () => {
  it("an outlet that says nothing stays as its contact has it", () => {
    expect(moved(nextBoot(PLAN, "lost"))).toEqual([]);
  });

  it("always-on goes on, always-off goes off, recorded as an intent of their own actor", () => {
    const bench = nextBoot(planWith({ a4: "always-on", a1: "always-off" }), "lost");
    expect(moved(bench)).toEqual([
      [1, true],
      [4, true],
    ]);
    expect(bench.records.filter((one) => one.kind === "intent").map((one) => one.intent.by)).toEqual([
      "local:power-restore",
      "local:power-restore",
    ]);
  });

  it("last-state brings back what was commanded, and nothing where nothing was", () => {
    const earlier = (bench: Bench) => void bench.order("off", "router1");
    const plan = planWith({ a1: "last-state", a2: "last-state", a5: "last-state" });
    expect(moved(nextBoot(plan, "lost", { earlier }))).toEqual([
      [1, true],
      [2, true],
    ]);
  });

  it("happens once: a second start in that boot moves nothing, also when the first died half way", () => {
    const plan = planWith({ a4: "always-on" });
    const bench = nextBoot(plan, "lost");
    bench.drives.length = 0;
    bench.lines = { ...bench.lines, 4: false };
    bench.start(bench.durable(), TRUST, 8);
    bench.pass(10_000);
    expect(moved(bench)).toEqual([]);
    const died = bench.records.findIndex((one) => one.kind === "start" && one.boot === 8) + 1;
    bench.start(bench.durable(died), TRUST, 8);
    bench.pass(10_000);
    expect(moved(bench)).toEqual([[4, true]]);
  });

  it("what is locked, or feeds the controller's path, is not taken off", () => {
    const earlier = (bench: Bench) => void bench.order("lock", "router1:a1");
    expect(moved(nextBoot(planWith({ a1: "always-off", a3: "always-off" }), "lost", { earlier }))).toEqual([]);
  });

  it("of two that are never both on, only the first goes on", () => {
    const outlets = planWith({ a4: "always-on", a5: "always-on" }).outlets;
    const plan = planWith({}, { interlocks: [["a4", "a5"]] });
    const both = { ...plan, outlets: { ...outlets, a5: { ...outlets.a5, contact: "no" as const, observe: null } } };
    expect(moved(nextBoot(both as SitePlan, "lost"))).toEqual([[4, true]]);
  });
});

describe("without a power cut", () => {
  const plan = planWith({ a4: "always-on", a1: "always-off", a2: "last-state" });

  it("a restart of the program moves nothing", () => {
    expect(moved(nextBoot(plan, "lost", { boot: 7 }))).toEqual([]);
  });

  it("a reboot with the mains present moves nothing", () => {
    expect(moved(nextBoot(plan, "kept"))).toEqual([]);
    const earlier = (bench: Bench) => bench.emit({ type: "stopping", heads: {}, towards: "reboot" });
    expect(moved(nextBoot(plan, "unknown", { earlier }))).toEqual([]);
  });

  it("where nobody can tell, nothing is taken off", () => {
    expect(moved(nextBoot(plan, "unknown"))).toEqual([[4, true]]);
    const earlier = (bench: Bench) => bench.emit({ type: "stopping", heads: {}, towards: "other" });
    expect(moved(nextBoot(plan, "unknown", { earlier }))).toEqual([[4, true]]);
  });

  it("the first life of all restores nothing", () => {
    const bench = new Bench(plan);
    bench.pass(10_000);
    expect(moved(bench)).toEqual([]);
  });
});
