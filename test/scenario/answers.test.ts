import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeSite, start, startController, startMosquitto, TOWPATH, temporaryFolder, towpath, until } from "./world.ts";

/** What a person at the terminal is told, and the exit codes that scripts rely on. */
describe("the exit codes", () => {
  it("2 usage, 3 rejected, 4 a fact disagrees, 5 no answer", async () => {
    const site = await makeSite(temporaryFolder());
    await startController(site.config);
    const flags = ["--local", join(site.data, "towpath.sock"), "--identity", site.identity, "--trust", site.trust];
    const power = (args: string[]) => towpath(["power", ...args, ...flags]);
    for (const args of [
      [],
      ["toggle", "one/nas1"],
      ["on", "nas1"],
      ["on", "one/nas1", "--for", "5s"],
      ["off", "one/nas1", "--for", "soon"],
      ["on", "one/nas1", "--bogus"],
    ]) {
      expect((await power(args)).code, args.join(" ")).toBe(2);
    }
    const nobody = await power(["on", "one/nas1"]);
    expect(nobody).toMatchObject({ code: 2 });
    expect(nobody.err).toContain("--yes");
    const unknown = await power(["on", "one/nosuch", "--yes"]);
    expect(unknown).toMatchObject({ code: 3 });
    expect(unknown.err).toContain("target.unknown");
    expect((await power(["cycle", "one/:a3", "--yes"])).err).toContain("outlet.not-on");

    expect((await towpath(["sim", "relay", "1", "stuck", "--local", join(site.data, "towpath.sock")])).code).toBe(0);
    const stuck = await power(["cycle", "one/router1:a1", "--yes"]);
    expect(stuck).toMatchObject({ code: 4 });
    expect(stuck.err).toContain("commanded off, observed on");
    expect(stuck.err).toContain("fact.disagrees");

    const silent = await towpath(["status", "one", "--local", join(site.folder, "nothing.sock")]);
    expect(silent).toMatchObject({ code: 5 });
    expect((await towpath(["nonsense"])).code).toBe(2);
    expect((await towpath(["help"])).code).toBe(0);
    for (const verb of ["status", "power", "log", "events", "controller", "trust", "journal", "sim"]) {
      const help = await towpath([verb, "--help"]);
      expect(help).toMatchObject({ code: 0 });
      expect(help.out).toContain("examples:\n  towpath");
    }
  });

  it("6 when the command was sent and its end not heard: Ctrl-C leaves it running, and `outcome` tells later", async () => {
    const site = await makeSite(temporaryFolder());
    await startController(site.config);
    const flags = ["--local", join(site.data, "towpath.sock"), "--identity", site.identity, "--trust", site.trust];
    const cycle = start("node", [TOWPATH, "power", "cycle", "one/router1", "--yes", ...flags]);
    onTestFinished(() => void cycle.child.kill("SIGKILL"));
    await until(() => site.edges().length === 2, 10_000, cycle.log);
    cycle.child.kill("SIGINT");
    expect(await cycle.ended).toBe(6);
    const id = /towpath power outcome one (\S+)/.exec(cycle.log())?.[1] ?? "";
    expect(id).toMatch(/^[0-9A-Z]{26}$/);
    await until(() => site.edges().length === 4, 10_000);
    await until(async () => (await towpath(["power", "outcome", "one", id, ...flags])).out.includes("verified"));
    expect((await towpath(["power", "outcome", "one", id, ...flags])).code).toBe(0);
    expect((await towpath(["power", "outcome", "one", "01JD8Q6Z5W3X1V9K7C2M4N6P8R", ...flags])).code).toBe(3);
  });

  it("a site that went away is told with its last known state and its age", async () => {
    const folder = temporaryFolder();
    const { port } = await startMosquitto(folder, null);
    const site = await makeSite(folder, { link: `link: { brokers: [ "mqtt://127.0.0.1:${port}" ] }` });
    const controller = await startController(site.config);
    await until(() => /"connection":"primary","state":"up"/.test(controller.log()));
    const flags = [
      "--broker",
      `mqtt://127.0.0.1:${port}`,
      "--fleet",
      "acme",
      "--identity",
      site.identity,
      "--trust",
      site.trust,
    ];
    expect((await towpath(["status", ...flags])).out).toMatch(/one +online/);
    controller.child.kill("SIGKILL");
    await controller.ended;
    const silent = await towpath(["status", "one", ...flags]);
    expect(silent).toMatchObject({ code: 5 });
    expect(silent.out).toMatch(/last known state, .* old/);
    expect(silent.out).toContain("router1");
    await until(async () => /one +offline/.test((await towpath(["status", ...flags])).out), 30_000);
  });
});
