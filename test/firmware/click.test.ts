import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { clickRelay } from "../../firmware/click.ts";
import { loadConfig } from "../../firmware/config-file.ts";
import { lockFile } from "../../src/linux/flock.ts";

function site() {
  const folder = mkdtempSync(join(tmpdir(), "towpath-click-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "site.yaml");
  writeFileSync(
    file,
    `site: one\nfleet: acme\ndata: ${folder}\nboard: sim\noutlets:\n  a1: { relay: 1, contact: nc }\n`,
  );
  const loaded = loadConfig(file, { insecureLab: false, mayFallBack: false });
  if (!loaded.ok) throw new Error("the config is bad");
  const shown: string[] = [];
  const click = (relay: number, yes: boolean) =>
    clickRelay({
      ...{ config: loaded.config, relay, wait: async () => undefined },
      async agreed(preview) {
        shown.push(preview);
        return yes;
      },
    });
  const edges = () => {
    try {
      return readFileSync(join(folder, "sim-board.jsonl"), "utf8").trim().split("\n").length;
    } catch {
      return 0;
    }
  };
  return { folder, shown, click, edges };
}

describe("doctor --relay", () => {
  it("shows what will move and whose outlet it is, moves it and puts it back", async () => {
    const { click, edges, shown } = site();
    const clicked = await click(1, true);
    expect(shown[0]).toContain("Its outlet a1 (NC) is on and will be OFF");
    expect(clicked).toEqual({ ok: true, steps: ["line high, read back high", "line low, read back low"] });
    expect(edges()).toBe(2);
  });

  it("moves nothing without a yes, for a relay that is not there, and while a controller runs", async () => {
    const { folder, click, edges } = site();
    expect(await click(1, false)).toEqual({ ok: false, why: "not agreed: nothing was moved" });
    expect(await click(99, true)).toEqual({ ok: false, why: "the board has no relay 99" });
    // No lock is left behind that the controller's own user could not open.
    expect(existsSync(join(folder, "lock"))).toBe(false);
    const lock = lockFile(join(folder, "lock"));
    expect(await click(1, true)).toMatchObject({ ok: false, why: expect.stringContaining("runs and holds the lines") });
    lock?.release();
    expect(edges()).toBe(0);
  });
});
