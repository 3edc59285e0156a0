import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/**
 * What we use of a part of serialport that is no public export: a new version must still do this. In a process of its
 * own, because the addon knows only the main thread's loop.
 */
describe("a terminal that is waited for", () => {
  it("tells each time that bytes are there, and of its end once; it leaves nothing behind, and does not wait for the tick", () => {
    const cwd = join(import.meta.dirname, "../..");
    const out = execFileSync("node", ["test/run.mjs", "./console/readiness-in-process.ts"], { cwd, encoding: "utf8" });
    const said = JSON.parse(out) as {
      heard: string[];
      ends: number;
      descriptorsLeft: number;
      watched: { soon: number; of: number };
    };
    expect(said.heard).toEqual(["one", "two", "three"]);
    expect(said.ends).toBe(1);
    expect(said.descriptorsLeft).toBeLessThanOrEqual(0);
    // Some rounds may fall onto a tick on a busy machine.
    expect(said.watched.soon).toBeGreaterThan(said.watched.of / 2);
  });
});
