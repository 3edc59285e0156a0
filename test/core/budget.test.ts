import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_ACCOUNT, grownBy, levelOf, passes, spend } from "../../src/core/budget.ts";
import { URGENCIES } from "../../src/link/outbox.ts";
import { Bench } from "./bench.ts";

const MB = 1e6;
const MONTH = { bytes: 100 * MB, per: "month" } as const;

describe("what LTE has cost", () => {
  it("is counted over resets of card and machine: nothing is lost, nothing twice", () => {
    const life = fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 10 }), (lives) => {
        let [card, counted, real] = [0, 0, 0];
        for (const steps of lives) {
          // The card comes anew: its counter begins at nothing.
          let counter = 0;
          for (const step of steps) {
            counter += step;
            real += step;
            // One look before the next reset always comes: a card is gone for longer than a minute.
            if (counter >= card || step === steps[0]) counted += grownBy(card, counter);
            card = counter;
          }
        }
        expect(counted).toBeGreaterThanOrEqual(0);
        expect(counted).toBeLessThanOrEqual(real);
      }),
    );
    expect([grownBy(100, 250), grownBy(250, 40), grownBy(7, 7)]).toEqual([150, 40, 0]);
  });

  it("begins at nothing with a new day and a new month, and never because a clock was wrong", () => {
    const monday = spend(EMPTY_ACCOUNT, { reply: 10, connection: 5 }, "2026-11-30");
    expect(monday).toEqual({ today: "2026-11-30", day: 15, month: 15, by: { reply: 10, connection: 5 } });
    const later = spend(monday, { reply: 1 }, null);
    expect([later.day, later.month, later.by.reply]).toEqual([16, 16, 11]);
    // The clock was reset by an empty battery.
    const reset = spend(later, { reply: 1 }, "1970-01-01");
    expect([reset.today, reset.day, reset.month]).toEqual(["2026-11-30", 17, 17]);
    const tuesday = spend(reset, { alarm: 4 }, "2026-12-01");
    expect(tuesday).toEqual({ today: "2026-12-01", day: 4, month: 4, by: { alarm: 4 } });
    // Spent before anybody knew the date.
    const early = spend(EMPTY_ACCOUNT, { reply: 3 }, null);
    expect(spend(early, { reply: 1 }, "2026-11-02")).toMatchObject({ today: "2026-11-02", day: 4, month: 4 });
  });

  it("has three levels, and none of them shuts out who may command", () => {
    const at = (day: number, month: number, per: "day" | "month") => levelOf({ day, month }, { bytes: 100, per });
    expect([at(0, 79, "month"), at(0, 80, "month"), at(0, 99, "month"), at(0, 100, "month")]).toEqual([
      "normal",
      "saving",
      "saving",
      "last",
    ]);
    expect([at(85, 5_000, "day"), levelOf({ day: 1e12, month: 1e12 }, null)]).toEqual(["saving", "normal"]);
    const left = (level: "saving" | "last") => URGENCIES.filter((one) => !passes(level, one));
    expect(left("saving")).toEqual(["unwatched", "backfill"]);
    expect(left("last")).toEqual(["telemetry", "unwatched", "backfill"]);
  });
});

describe("a site whose budget is spent", () => {
  it("says so once, governs what goes, and takes commands as before", () => {
    const bench = new Bench();
    const count = (month: number) =>
      bench.emit({ type: "data-counted", budget: MONTH, account: { today: "2026-11-24", day: 1, month, by: {} } });
    for (const used of [10, 50, 79, 81, 85, 99, 100, 130]) count(used * MB);
    const told = bench.records.filter((one) => one.kind === "budget");
    expect(told).toMatchObject([
      { level: "saving", used: 81 * MB, of: 100 * MB, per: "month" },
      { level: "last", used: 100 * MB },
    ]);
    expect(bench.effects.filter((one) => one.type === "govern").map(({ level }) => level)).toEqual(["saving", "last"]);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
    count(0);
    expect(bench.effects.filter((one) => one.type === "govern").at(-1)).toMatchObject({ level: "normal" });
  });

  it("does not publish its state anew with each byte", () => {
    const bench = new Bench();
    const published = () => bench.effects.filter((one) => one.type === "publish").length;
    bench.pass(1_000);
    const before = published();
    for (let used = 0; used < 60 * MB; used += MB / 10) {
      const account = { today: "2026-11-24", day: 1, month: used, by: {} };
      bench.emit({ type: "data-counted", budget: MONTH, account });
      bench.pass(1_000);
    }
    // Once in each tenth of the budget.
    expect(published() - before).toBe(6);
    expect(bench.state.items["site/budget"]?.item).toEqual({
      level: "normal",
      bytes: 100 * MB,
      per: "month",
      tenths: 5,
    });
  });
});
