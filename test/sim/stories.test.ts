import { describe, expect, it } from "vitest";
import { tellStory } from "./story.ts";

const SEEDS = Number(process.env.TOWPATH_LONG ? 5_000 : 500);

describe("a site in a hostile world", () => {
  it(`${SEEDS} seeds: no outlet moves twice, late or for a stranger, and every owed on is paid`, () => {
    const totals = { accepted: 0, edges: 0, crashes: 0, replayed: 0, forged: 0, retained: 0 };
    for (let seed = 1; seed <= SEEDS; seed++) {
      const told = tellStory(seed);
      expect(told.problems, `npm run sim -- --seeds 1 --from ${seed}\n${told.history.join("\n")}`).toEqual([]);
      totals.accepted += told.accepted;
      totals.edges += told.edges;
      for (const name of ["crashes", "replayed", "forged", "retained"] as const) totals[name] += told.faults[name] ?? 0;
    }
    // A world in which nothing happens would pass too.
    for (const count of Object.values(totals)) expect(count).toBeGreaterThan(SEEDS / 2);
  }, 300_000);

  it("the same seed tells the same story", () => {
    const gist = (seed: number) => {
      const { accepted, edges, faults } = tellStory(seed);
      return { accepted, edges, faults };
    };
    expect(gist(7)).toEqual(gist(7));
  });
});
