import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { sleep } from "../../src/operator/client.ts";
import { seeded } from "../sim/random.ts";
import { round } from "../torture/rounds.ts";
import { run } from "./world.ts";

const LONG = process.env.TOWPATH_LONG !== undefined;
const LIMIT_MS = LONG ? 3_600_000 : 280_000;

describe("consoles that talk while the controller suffers", () => {
  it(
    "20 kills, frozen, unplugged, out of descriptors, disk full: nothing is missing where no gap is declared, nothing is there twice",
    async () => {
      const root = join(import.meta.dirname, "../..");
      const kills = LONG ? 1_000 : 20;
      const ran = await run("node", ["test/run.mjs", "./torture/capture.ts", "--kills", String(kills), "--built"], {
        cwd: root,
        limitMs: LIMIT_MS,
      });
      const report = JSON.parse(ran.out.trim().split("\n").at(-1) ?? "{}") as {
        held: number;
        gaps: number;
        lost: { full: number; unplugged: number; closed: number };
      };
      expect(report, ran.err).toMatchObject({ ok: true, kills, undeclared: 0, duplicates: 0 });
      // A run in which nothing was held, or nothing lost, would prove nothing.
      for (const count of [report.held, report.gaps, ...Object.values(report.lost)]) expect(count).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  it("a clean stop and start with kept terminals loses nothing, and declares nothing", async () => {
    const figures = await round({ ports: 8, baudRate: 9_600, store: true, seed: 1 }, seeded(1), async ({ kill }) => {
      for (let time = 0; time < 4; time++) {
        await sleep(300);
        await kill("SIGTERM", 200);
      }
    });
    expect(figures).toMatchObject({ gaps: 0, undeclared: 0, duplicates: 0, problems: [], declared: {} });
    expect(figures.held).toBe(figures.sent);
    expect(figures.held).toBeGreaterThan(8 * 2_000);
  });

  it("a kill with kept terminals declares what it had read and not written, and nothing else", async () => {
    const figures = await round({ ports: 8, baudRate: 9_600, store: true, seed: 1 }, seeded(1), async ({ kill }) => {
      await sleep(300);
      await kill("SIGKILL", 100);
      await sleep(300);
    });
    expect(figures).toMatchObject({ gaps: 8, undeclared: 0, duplicates: 0, problems: [] });
    expect(Object.keys(figures.declared)).toEqual(["crash"]);
    // At most one turn of the loop: 20 ms of 8 lines at 9600 baud.
    expect(figures.declared.crash).toBeLessThan(8 * 100);
  });
});
