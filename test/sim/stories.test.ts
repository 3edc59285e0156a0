import { describe, expect, it } from "vitest";
import { mutated } from "./hunt.ts";
import { MUTANTS } from "./mutants.ts";
import { tellStory } from "./story.ts";

/** A few; `npm test` tells 5,000 by `npm run sim`. */
const SEEDS = Number(process.env.TOWPATH_LONG ? 5_000 : 100);

describe("a site in a hostile world", () => {
  it(`${SEEDS} seeds: no outlet moves twice, late or for a stranger, and every owed on is paid`, () => {
    const totals: Record<string, number> = { accepted: 0, edges: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { problems, history, accepted, edges, faults } = tellStory(seed);
      expect(problems, `npm run sim -- --seeds 1 --from ${seed}\n${history.join("\n")}`).toEqual([]);
      for (const [name, count] of Object.entries({ accepted, edges, ...faults }))
        totals[name] = (totals[name] ?? 0) + count;
    }
    // A world in which nothing happens would pass too.
    for (const [name, count] of Object.entries(totals)) expect(count, name).toBeGreaterThan(SEEDS / 10);
  }, 300_000);

  it("the same seed tells the same story", () => {
    const gist = (seed: number) => {
      const { accepted, edges, faults } = tellStory(seed);
      return { accepted, edges, faults };
    };
    expect(gist(7)).toEqual(gist(7));
  });
});

describe("the wrong cores", () => {
  it("change what stands there, once each: one that changes nothing would prove nothing", () => {
    for (const mutant of MUTANTS) expect(() => mutated(mutant), mutant.name).not.toThrow();
  });

  it("are more than twenty, each with a name of its own", () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThan(20);
  });
});
