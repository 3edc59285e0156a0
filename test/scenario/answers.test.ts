import { renameSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { loseReplies } from "./lost-replies.ts";
import {
  freePort,
  makeKey,
  makeSite,
  start,
  startBrokeredSite,
  startController,
  startMosquitto,
  TOWPATH,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

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
    // A socket is of its own site, whatever fleet the settings name.
    const elsewhere = await towpath(["status", "one", ...flags], { env: { TOWPATH_FLEET: "other" } });
    expect(elsewhere.code, elsewhere.err).toBe(0);
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

  it("6 when every reply was lost on its way, and `outcome` tells what became of it", async () => {
    const site = await makeSite(temporaryFolder());
    await startController(site.config);
    const real = join(site.data, "towpath.sock");
    const lossy = join(site.folder, "lossy.sock");
    await loseReplies(lossy, real);
    const flags = ["--identity", site.identity, "--trust", site.trust];
    const lost = await towpath(["power", "on", "one/nas1", "--yes", "--local", lossy, ...flags]);
    expect(lost, lost.err).toMatchObject({ code: 6 });
    expect(lost.err).toContain("sent and not answered");
    const id = /towpath power outcome one (\S+)/.exec(lost.err)?.[1] ?? "";
    const outcome = await towpath(["power", "outcome", "one", id, "--local", real, ...flags]);
    expect(outcome, outcome.err).toMatchObject({ code: 0 });
    expect(outcome.out).toContain("commanded: done");
    expect(site.edges()).toMatchObject([{ relay: 3, energised: true }]);
  });

  it("a site that went away is told with its last known state and its age", async () => {
    const site = await startBrokeredSite();
    const { controller, flags } = site;
    expect((await towpath(["status", ...flags])).out).toMatch(/one +online/);
    controller.child.kill("SIGKILL");
    await controller.ended;
    const silent = await towpath(["status", "one", ...flags]);
    expect(silent).toMatchObject({ code: 5 });
    expect(silent.out).toMatch(/last known state, .* old/);
    expect(silent.out).toContain("router1");
    await until(async () => /one +offline/.test((await towpath(["status", ...flags])).out), 30_000);
  });

  it("ends by itself when the other side does not answer: a mute socket, a mute broker, a key that cannot sign", async () => {
    const folder = temporaryFolder();
    const mute = createServer((socket) => void socket.on("error", () => socket.destroy()));
    await new Promise<void>((resolve) => mute.listen(join(folder, "mute"), resolve));
    const port = await freePort();
    const broker = createServer((socket) => void socket.on("error", () => socket.destroy()));
    await new Promise<void>((resolve) => broker.listen(port, "127.0.0.1", resolve));
    onTestFinished(() => [mute, broker].forEach((one) => void one.close()));
    const key = makeKey(folder, "key");
    for (const where of [
      ["--local", join(folder, "mute")],
      ["--broker", `mqtt://127.0.0.1:${port}`],
    ]) {
      const begun = Date.now();
      const ran = await towpath(["status", "one", "--fleet", "acme", "--identity", key, ...where]);
      expect(ran.code, ran.err).toBe(5);
      expect(Date.now() - begun).toBeLessThan(30_000);
    }
    renameSync(key, `${key}.gone`);
    const { port: real } = await startMosquitto(folder, null);
    const unsigned = await towpath([
      "status",
      "one",
      "--broker",
      `mqtt://127.0.0.1:${real}`,
      "--fleet",
      "acme",
      "--identity",
      `${key}.pub`,
    ]);
    expect(unsigned).toMatchObject({ code: 2 });
    expect(unsigned.err).toContain("could not sign");
    expect(unsigned.err).not.toContain("    at ");
    expect((await towpath(["status", "one", "--broker", "localhost", "--fleet", "acme"])).err).toContain(
      "mqtts://host:8883",
    );
  });

  it("a flag goes before the environment, and surplus words are a mistake", async () => {
    const folder = temporaryFolder();
    const { port } = await startMosquitto(folder, null);
    const key = makeKey(folder, "key");
    const flags = ["--broker", `mqtt://127.0.0.1:${port}`, "--fleet", "acme", "--identity", key];
    const ran = await towpath(["status", ...flags], { env: { TOWPATH_LOCAL: "/nowhere/towpath.sock" } });
    expect(ran.err).toContain("knows no site");
    const other = makeKey(folder, "other");
    const trust = join(folder, "t.json");
    await towpath([
      "trust",
      "init",
      "--fleet",
      "acme",
      "--root",
      `${key}.pub`,
      `${other}.pub`,
      "--threshold",
      "2",
      "--out",
      trust,
    ]);
    const signed = await towpath(["trust", "sign", "--trust", trust, "--identity", key, other]);
    expect(signed.out).toContain("2 of 2 signatures");
    expect((await towpath(["trust", "revoke", "a", "b", "--trust", trust])).code).toBe(2);
  });
});
