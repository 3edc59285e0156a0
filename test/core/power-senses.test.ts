import { describe, expect, it } from "vitest";
import type { Observe, SitePlan } from "../../src/core/plan.ts";
import { Bench, outlet, PLAN } from "./bench.ts";

const observed = (name: string, observe: Observe): SitePlan => ({
  ...PLAN,
  outlets: {
    ...PLAN.outlets,
    [name]: { ...outlet(name, PLAN.outlets[name]?.relay ?? 9), ...PLAN.outlets[name], observe },
  },
});
const alarms = (bench: Bench) =>
  bench.records.flatMap((one) => (one.kind === "alarm" ? `${one.outlet} ${one.state}` : []));

describe("a sensor that disagrees while nobody switches", () => {
  const feel = (bench: Bench, present: boolean) => bench.emit({ type: "input-sensed", input: "s5", present });

  it("is an alarm after five seconds, and is cleared after thirty of agreement", () => {
    const bench = new Bench();
    feel(bench, true);
    feel(bench, false);
    bench.pass(4_900);
    expect(alarms(bench)).toEqual([]);
    bench.pass(200);
    expect(alarms(bench)).toEqual(["a5 raised"]);
    feel(bench, true);
    bench.pass(29_000);
    expect(alarms(bench)).toEqual(["a5 raised"]);
    bench.pass(1_100);
    expect(alarms(bench)).toEqual(["a5 raised", "a5 cleared"]);
  });

  it("a contact that bounces for an hour is no storm of alarms", () => {
    const bench = new Bench();
    for (let at = 0; at < 3_600; at++) {
      feel(bench, at % 2 === 0);
      bench.pass(1_000);
    }
    expect(alarms(bench)).toEqual([]);
  });

  it("while a command is in execution it is the command's to judge", () => {
    const bench = new Bench();
    feel(bench, true);
    bench.order("cycle", "cam1", { forMs: 20_000 });
    feel(bench, false);
    bench.pass(19_000);
    expect(alarms(bench)).toEqual([]);
  });
});

describe("a contact that never rests", () => {
  it("fails the command, and says how often it changed", () => {
    const bench = new Bench();
    bench.emit({ type: "input-sensed", input: "s5", present: true });
    bench.order("off", "cam1");
    for (let at = 0; at < 40; at++) {
      bench.emit({ type: "input-sensed", input: "s5", present: at % 2 === 0 });
      bench.pass(50);
    }
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "fact.disagrees" });
    expect(JSON.stringify(bench.last()?.failures)).toMatch(/changed \d+ times/);
  });
});

describe("a console as a witness", () => {
  const plan = observed("a1", { console: "router1", withinMs: 60_000 });
  const speak = (bench: Bench) => bench.emit({ type: "life-sensed", source: "console router1" });

  it("verifies an on when it speaks after the edge", () => {
    const bench = new Bench({
      ...plan,
      devices: { ...plan.devices, router1: { ...PLAN.devices.router1, outlets: ["a1"] } as never },
    });
    bench.order("cycle", "router1");
    bench.pass(6_000);
    expect(bench.last()?.phase).toBe("progress");
    bench.pass(20_000);
    speak(bench);
    bench.pass(1_000);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "verified" });
  });

  it("its words from before the edge prove nothing", () => {
    const bench = new Bench(plan);
    speak(bench);
    bench.order("cycle", "router1:a1");
    bench.pass(70_000);
    expect(bench.last()).toMatchObject({ verdict: "failed", code: "fact.disagrees" });
  });

  it("silence does not prove an off: it is commanded, not verified", () => {
    const bench = new Bench(plan);
    bench.order("off", "router1:a1");
    bench.pass(1_000);
    expect(bench.last()).toMatchObject({ verdict: "commanded" });
  });

  it("one that goes on speaking after an off is an alarm, unless another supply feeds the device", () => {
    const bench = new Bench(plan);
    bench.order("off", "router1:a1");
    bench.pass(10_000);
    speak(bench);
    bench.pass(10_000);
    expect(alarms(bench)).toEqual([]);
    bench.order("off", "router1:a2");
    bench.pass(10_000);
    speak(bench);
    bench.pass(10_000);
    expect(alarms(bench)).toEqual(["a1 raised"]);
  });
});

describe("an actor of the config", () => {
  const plan: SitePlan = {
    ...PLAN,
    actors: { "local:modem-ladder": { verbs: ["cycle"], outlets: ["a3"], rate: { max: 2, perMs: 21_600_000 } } },
  };
  const act = (
    bench: Bench,
    id: string,
    verb: "off" | "cycle" = "cycle",
    target = ":a3",
    actor = "local:modem-ladder",
  ) => bench.emit({ type: "actor-ordered", id, actor, verb, target, reason: "no registration" });
  const refusals = (bench: Bench) => bench.records.flatMap((one) => (one.kind === "refused" ? one.code : []));

  it("goes through the same checks, and its deed is in the ledger under its name", () => {
    const bench = new Bench(plan);
    act(bench, "ladder-1");
    bench.pass(10_000);
    expect(bench.drives.map(({ relay, energised }) => [relay, energised])).toEqual([
      [3, true],
      [3, false],
    ]);
    expect(bench.records.find((one) => one.kind === "intent")).toMatchObject({
      intent: { by: "local:modem-ladder", reason: "no registration" },
    });
  });

  it("may do nothing else, nowhere else, and nobody else may do it", () => {
    const bench = new Bench(plan);
    act(bench, "1", "off");
    act(bench, "2", "cycle", "nas1");
    act(bench, "3", "cycle", ":a3", "local:somebody");
    act(bench, "4", "cycle", "nosuch");
    expect(refusals(bench)).toEqual(["actor.denied", "actor.denied", "actor.unknown", "target.unknown"]);
    expect(bench.drives).toEqual([]);
  });

  it("the same id acts once, and its own rate holds over restarts", () => {
    const bench = new Bench(plan);
    act(bench, "1");
    bench.pass(60_000);
    act(bench, "1");
    act(bench, "2");
    bench.pass(60_000);
    bench.start(bench.durable());
    act(bench, "3");
    expect(refusals(bench)).toEqual(["actor.rate"]);
    expect(bench.drives).toHaveLength(4);
  });

  it("is held by locks as everybody is", () => {
    const bench = new Bench(plan);
    bench.order("lock", ":a3");
    act(bench, "1");
    expect(refusals(bench)).toEqual(["outlet.locked"]);
  });
});
