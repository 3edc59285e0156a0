import { describe, expect, it } from "vitest";
import { Bench } from "./bench.ts";

const told = (bench: Bench, type: string) => bench.effects.filter((effect) => effect.type === type);

describe("what others see of a site", () => {
  it("a command is one state and one batch of records, and its replies go before both", () => {
    const bench = new Bench();
    bench.pass(1_000);
    bench.effects.length = 0;
    bench.order("on", "router1:a1");
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "commanded" });
    bench.pass(1_000);
    const unheard = ["append", "checkpoint", "wake"];
    const kinds = bench.effects.map(({ type }) => type).filter((type) => !unheard.includes(type));
    expect(kinds).toEqual(["reply", "reply", "drive", "reply", "reply", "publish-events", "publish"]);
    const batch = JSON.stringify(told(bench, "publish-events"));
    expect(batch).toMatch(/"kind":"intent".*"kind":"edge".*"kind":"outcome"/);
  });

  it("a change is told though the next one follows at once, for as long as it lasts", () => {
    const bench = new Bench();
    bench.pass(1_000);
    const before = told(bench, "publish").length;
    for (let change = 0; change < 100; change++) {
      bench.emit({ type: "input-sensed", input: "s5", present: change % 2 === 0 });
      bench.pass(10);
    }
    expect(told(bench, "publish").length - before).toBeGreaterThanOrEqual(10);
    expect(told(bench, "publish").length - before).toBeLessThanOrEqual(20);
  });

  it("a fresh answer and the published state agree on a revision", () => {
    const bench = new Bench();
    bench.pass(1_000);
    bench.emit({ type: "input-sensed", input: "s5", present: true });
    const fresh = bench.ask({ kind: "status" }).state as { outlets: { a5: { rev: number } } };
    bench.pass(1_000);
    const published = told(bench, "publish").at(-1);
    expect(published).toMatchObject({ type: "publish", body: { outlets: { a5: { rev: fresh.outlets.a5.rev } } } });
  });

  it("a clean end tells what was still held", () => {
    const bench = new Bench();
    bench.pass(1_000);
    bench.emit({ type: "stopping", heads: {}, towards: "other" });
    expect(JSON.stringify(told(bench, "publish-events").at(-1))).toContain('"kind":"stop"');
  });

  it("gaps alone wake nobody before one is told", () => {
    const bench = new Bench();
    bench.pass(120_000);
    const gap = { console: "router1", track: "rx", boot: 7, offset: 1, cause: "overrun", length: 1 } as const;
    for (let count = 0; count < 1_000; count++) bench.emit({ type: "console-gap", ...gap, offset: count });
    bench.pass(1_000);
    const seen = told(bench, "publish-events").flatMap((one) => (one.type === "publish-events" ? one.records : []));
    expect(seen.filter(({ kind }) => kind === "gap")).toHaveLength(3);
  });
});
