import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { impossible } from "../torture/full-card.ts";
import { makeSite, type Running, startController, temporaryFolder, towpath, until } from "./world.ts";

/** A card that the kernel has made read-only, and a controller that starts on it. Needs root for its mount. */

const why = impossible();
if (why !== null) process.stderr.write(`LEFT OUT: a read-only card: ${why}\n`);

const mount = (...args: string[]) => execFileSync("mount", args);

async function siteOnCard() {
  const site = await makeSite(temporaryFolder(), { yaml: "consoles:\n  router1: { port: { sim: router1 } }" });
  mkdirSync(site.data);
  mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", site.data);
  onTestFinished(() => void execFileSync("umount", ["-l", site.data]));
  return site;
}

async function end(controller: Running): Promise<void> {
  controller.child.kill("SIGTERM");
  await controller.ended;
}

describe.skipIf(why !== null)("a controller that starts on a read-only card", () => {
  it("runs, says so, switches power as far as that is safe without a record, and records when the card takes it again", async () => {
    const site = await siteOnCard();
    await end(await startController(site.config));
    const lastGood = readFileSync(join(site.data, "config.last-good.json"), "utf8");
    writeFileSync(site.config, `${readFileSync(site.config, "utf8")}\n# changed\n`);
    mount("-o", "remount,ro", site.data);
    const controller = await startController(site.config);
    const local = /--local ([^"]+)"/.exec(controller.log())?.[1] ?? "";
    expect(existsSync(local)).toBe(true);
    expect(controller.log()).toContain("the last good config cannot be stored: the card is read-only");
    const flags = ["--local", local, "--identity", site.identity, "--trust", site.trust];
    const status = async () => (await towpath(["status", ...flags])).out;
    await until(
      async () => /degraded.*EROFS/s.test(await status()),
      60_000,
      () => controller.log(),
    );
    const cycled = await towpath(["power", "cycle", "one/router1", "--yes", ...flags, "--json"]);
    expect(cycled.code, cycled.err).toBe(0);
    expect(cycled.out).toContain('"durability":"memory"');

    mount("-o", "remount,rw", site.data);
    await until(
      async () => !/degraded/.test(await status()),
      60_000,
      () => controller.log(),
    );
    await end(controller);
    const events = await towpath(["events", "--data", site.data, "--all", "--json"]);
    expect(events.out).toContain('"verb":"cycle"');
    expect(readFileSync(join(site.data, "config.last-good.json"), "utf8")).toBe(lastGood);
  });

  it("is refused where the site has no key yet: nothing of it may be mounted there", async () => {
    const site = await siteOnCard();
    mount("-o", "remount,ro", site.data);
    const { code, err } = await towpath(["controller", "--config", site.config]);
    expect(code).toBe(2);
    expect(err).toContain("is its partition mounted?");
  });

  it("is refused a second time, as on any card", async () => {
    const site = await siteOnCard();
    await end(await startController(site.config));
    mount("-o", "remount,ro", site.data);
    await startController(site.config);
    const second = await towpath(["controller", "--config", site.config]);
    expect(second.code).toBe(2);
    expect(second.err).toContain("another controller");
  });
});
