import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "./world.ts";

const LONG = process.env.TOWPATH_LONG !== undefined;

describe("the real process, killed and restarted", () => {
  it(
    "100 kills in the middle of cycles and 50 idle restarts: nothing moves twice, every owed on is paid, no edge while idle",
    async () => {
      const root = join(import.meta.dirname, "../..");
      const ran = await run(
        "node",
        ["test/run.mjs", "./torture/restart.ts", "--n", LONG ? "1000" : "100", "--idle", "50", "--built"],
        { cwd: root, limitMs: LONG ? 3_600_000 : 600_000 },
      );
      expect(ran.code, ran.err).toBe(0);
      const report = JSON.parse(ran.out.trim().split("\n").at(-1) ?? "{}") as {
        ok: boolean;
        kills: number;
        edges: number;
        idleEdges: number;
      };
      expect(report).toMatchObject({ ok: true, idleEdges: 0 });
      // Kills that always came too early or too late would prove nothing.
      expect(report.edges).toBeGreaterThan(report.kills);
    },
    LONG ? 3_600_000 : 600_000,
  );
});
