import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openPty, openSocket } from "../pty.ts";
import { makeSite, start, startController, TOWPATH, temporaryFolder, towpath, until } from "./world.ts";

const local = (data: string) => ["--local", join(data, "towpath.sock")];

describe("the controller", () => {
  it("--check tells every problem with its place and remedy, exits 2 and makes nothing", async () => {
    const site = await makeSite(temporaryFolder());
    const good = await towpath(["controller", "--config", site.config, "--check"]);
    expect(good).toMatchObject({ code: 0 });
    expect(good.out).toContain("a1: controller's machine off: stays as it is");
    writeFileSync(
      site.config,
      `${readFileSync(site.config, "utf8")}bogus: 1\nuplinks: { lte: { interface: wwan0, modemOutlet: a9 } }\n`,
    );
    const bad = await towpath(["controller", "--config", site.config, "--check"]);
    expect(bad).toMatchObject({ code: 2 });
    expect(bad.err).toContain("bogus: unknown key");
    expect(bad.err).toContain('uplinks.lte.modemOutlet: there is no outlet "a9"');
    expect(JSON.parse((await towpath(["controller", "--config", site.config, "--check", "--json"])).out)).toMatchObject(
      { ok: false },
    );
    expect(existsSync(site.data)).toBe(false);
    expect((await towpath(["controller", "--config", site.config])).code).toBe(2);
    expect(existsSync(site.data)).toBe(false);
  });

  it("a later start runs the last good config and says so, also when the file is gone or no YAML", async () => {
    const site = await makeSite(temporaryFolder());
    const first = await startController(site.config);
    first.child.kill("SIGTERM");
    expect(await first.ended).toBe(0);
    const good = readFileSync(site.config, "utf8");
    for (const bad of [`${good}bogus: 1\n`, "data: data\nsite: [\n"]) {
      writeFileSync(site.config, bad);
      const again = await startController(site.config);
      expect(again.log()).toContain('"code":"config.rejected"');
      expect(
        (
          await towpath([
            "power",
            "on",
            "one/nas1",
            "--yes",
            "--identity",
            site.identity,
            "--trust",
            site.trust,
            ...local(site.data),
          ])
        ).code,
      ).toBe(0);
      again.child.kill("SIGTERM");
      await again.ended;
    }
  });

  it("a later start keeps its trust when the file is bad; a first start refuses it", async () => {
    const site = await makeSite(temporaryFolder());
    const text = readFileSync(site.trust, "utf8");
    writeFileSync(site.trust, "{}");
    const refused = await towpath(["controller", "--config", site.config]);
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.err).toContain("trust");
    writeFileSync(site.trust, text);
    await towpath(["trust", "add", "bob", "--key", join(site.folder, "vera.pub"), "--trust", site.trust]);
    const unsigned = await towpath(["controller", "--config", site.config, "--check"]);
    expect(unsigned).toMatchObject({ code: 2 });
    expect(unsigned.err).toContain("not have enough root signatures");
    expect((await towpath(["controller", "--config", site.config])).code).toBe(2);
    writeFileSync(site.trust, text);
    const first = await startController(site.config);
    first.child.kill("SIGTERM");
    await first.ended;
    writeFileSync(site.trust, "{}");
    const again = await startController(site.config);
    expect(again.log()).toContain("trust.invalid");
    const good = join(site.folder, "good.json");
    writeFileSync(good, text);
    expect(
      (
        await towpath([
          "power",
          "on",
          "one/nas1",
          "--yes",
          "--identity",
          site.identity,
          "--trust",
          good,
          ...local(site.data),
        ])
      ).code,
    ).toBe(0);
  });

  it("an outlet that owes an on cannot leave the config: the one before runs until it is paid", async () => {
    const site = await makeSite(temporaryFolder());
    const first = await startController(site.config);
    const cycle = start("node", [
      TOWPATH,
      "power",
      "off",
      "one/nas1",
      "--for",
      "4s",
      "--yes",
      "--identity",
      site.identity,
      "--trust",
      site.trust,
      ...local(site.data),
    ]);
    onTestFinished(() => void cycle.child.kill("SIGKILL"));
    await towpath([
      "power",
      "on",
      "one/nas1",
      "--yes",
      "--identity",
      site.identity,
      "--trust",
      site.trust,
      ...local(site.data),
    ]);
    await cycle.ended;
    const running = start("node", [
      TOWPATH,
      "power",
      "cycle",
      "one/router1",
      "--for",
      "3s",
      "--yes",
      "--identity",
      site.identity,
      "--trust",
      site.trust,
      ...local(site.data),
    ]);
    onTestFinished(() => void running.child.kill("SIGKILL"));
    await until(() => site.edges().some(({ relay, energised }) => relay === 2 && energised));
    first.child.kill("SIGKILL");
    await first.ended;
    writeFileSync(
      site.config,
      readFileSync(site.config, "utf8")
        .replace(/ {2}a2:.*\n/, "")
        .replace("[a1, a2]", "[a1]"),
    );
    const again = await startController(site.config);
    expect(again.log()).toContain("config.owes-on");
    await until(() => site.edges().filter(({ relay, energised }) => relay === 2 && !energised).length === 1, 10_000);
  });

  it("refuses to be a second one on the same data folder", async () => {
    const site = await makeSite(temporaryFolder());
    await startController(site.config);
    const second = await towpath(["controller", "--config", site.config]);
    expect(second).toMatchObject({ code: 2 });
    expect(second.err).toContain("another controller");
  });

  it("of two that start at the same moment one runs, and the journal is whole", async () => {
    const site = await makeSite(temporaryFolder());
    const both = [1, 2].map(() => start("node", [TOWPATH, "controller", "--config", site.config]));
    onTestFinished(() => both.forEach(({ child }) => void child.kill("SIGKILL")));
    await until(
      () => both.some(({ log }) => /^ready$/m.test(log())) && both.some(({ child }) => child.exitCode !== null),
      20_000,
    );
    const loser = both.find(({ child }) => child.exitCode !== null);
    expect(loser?.child.exitCode).toBe(2);
    expect(loser?.log()).toContain("another controller");
    for (const { child } of both) child.kill("SIGTERM");
    await Promise.all(both.map(({ ended }) => ended));
    expect((await towpath(["journal", "verify", site.data])).code).toBe(0);
  });

  it("records a console from its start to its end, over kill -9 and replug, with every gap declared", async () => {
    const folder = temporaryFolder();
    const socket = openSocket();
    onTestFinished(socket.end);
    const site = await makeSite(folder, {
      yaml: `consoles:\n  router1: { port: { path: ${socket.path} }, baudRate: 115200 }\n`,
    });
    const first = await startController(site.config);
    await until(() => /"console":"router1","state":"up"/.test(first.log()), 10_000, first.log);
    socket.pty().say("one\r\n");
    await until(async () => (await site.journal()).consoles.router1?.bytes === 5);
    first.child.kill("SIGKILL");
    await first.ended;
    socket.pty().say("two, while it was dead\r\n");
    const again = await startController(site.config);
    await until(() => /"console":"router1","state":"up"/.test(again.log()), 10_000, again.log);
    await until(async () => ((await site.journal()).consoles.router1?.bytes ?? 0) >= 29);
    socket.unplug();
    await until(() => /"console":"router1","state":"down"/.test(again.log()));
    socket.plug();
    await until(() => [...again.log().matchAll(/"console":"router1","state":"up"/g)].length === 2, 10_000, again.log);
    socket.pty().say("three\r\n");
    const log = async () => (await towpath(["log", "one/router1", "--all", ...local(site.data)])).out;
    await until(async () => (await log()).includes("three"));
    expect(await log()).toBe("one\ntwo, while it was dead\nthree\n");
    const stat = await site.journal();
    // The kill's stands before and behind what the pseudo terminal kept meanwhile, then the unplugging's.
    expect(stat.consoles.router1).toMatchObject({ bytes: 36, gaps: 3 });
    again.child.kill("SIGTERM");
    await again.ended;
    expect((await towpath(["log", "--data", site.data, "router1", "--all"])).out).toBe(
      "one\ntwo, while it was dead\nthree\n",
    );
    const verified = JSON.parse((await towpath(["journal", "verify", site.data, "--json"])).out);
    expect(verified).toMatchObject({ ok: true, problems: [] });
  });

  it("what a console said cannot abuse the terminal, and --raw gives the exact bytes", async () => {
    const pty = openPty();
    onTestFinished(() => pty.close());
    const site = await makeSite(temporaryFolder(), { yaml: `consoles:\n  router1: { port: { path: ${pty.path} } }\n` });
    const controller = await startController(site.config);
    await until(() => /"console":"router1","state":"up"/.test(controller.log()));
    const nasty = Buffer.from("\u001b]0;owned\u0007\u001b[2J\r\nplain\r\n");
    pty.say(nasty);
    const log = (args: string[]) => towpath(["log", "one/router1", "--all", ...args, ...local(site.data)]);
    await until(async () => (await log([])).out.includes("plain"));
    expect((await log([])).out).toBe("\\x1b]0;owned\\x07\\x1b[2J\nplain\n");
    expect((await log(["--raw"])).out).toBe(nasty.toString());
    const [first] = (await log(["--json"])).out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { t: string; boot: number; offset: number; text: string });
    expect(first).toMatchObject({ offset: 0, text: "\u001b]0;owned\u0007\u001b[2J" });
    expect((await log(["--timestamps"])).out).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \\x1b/);
  });

  it("follows a console live until Ctrl-C", async () => {
    const pty = openPty();
    onTestFinished(() => pty.close());
    const site = await makeSite(temporaryFolder(), { yaml: `consoles:\n  router1: { port: { path: ${pty.path} } }\n` });
    const controller = await startController(site.config);
    await until(() => /"console":"router1","state":"up"/.test(controller.log()));
    pty.say("before\r\n");
    const following = start("node", [TOWPATH, "log", "one/router1", "--follow", ...local(site.data)]);
    onTestFinished(() => void following.child.kill("SIGKILL"));
    await until(() => following.log().includes("before"), 10_000, following.log);
    for (let count = 0; count < 20; count++) {
      pty.say(`live line ${count}\r\n`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    await until(() => following.log().includes("live line 19"), 10_000, following.log);
    following.child.kill("SIGINT");
    expect(await following.ended).toBe(0);
    expect(following.log()).toBe(
      `before\n${Array.from({ length: 20 }, (_, count) => `live line ${count}\n`).join("")}`,
    );
  });

  it("tells systemd that it is ready, when systemd asks", async () => {
    const folder = temporaryFolder();
    const site = await makeSite(folder);
    const socket = join(folder, "notify");
    const listener = start("python3", [
      "-c",
      "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nprint('listening',flush=True)\nprint(s.recv(100).decode(),flush=True)",
      socket,
    ]);
    onTestFinished(() => void listener.child.kill("SIGKILL"));
    await until(() => listener.log().includes("listening"));
    const controller = start("node", [TOWPATH, "controller", "--config", site.config], {
      env: { NOTIFY_SOCKET: socket },
    });
    onTestFinished(() => void controller.child.kill("SIGKILL"));
    await until(() => listener.log().includes("READY=1"), 10_000, controller.log);
  });

  it("leaves no temporary files behind in its data folder", async () => {
    const site = await makeSite(temporaryFolder());
    const controller = await startController(site.config);
    controller.child.kill("SIGTERM");
    await controller.ended;
    // Where there is no OpenSSH server nobody logs in, and there is no key for it.
    const files = readdirSync(site.data).filter((name) => !/^ssh_host_ed25519_key(\.pub)?$/.test(name));
    expect(files.sort()).toEqual(["config.last-good.json", "journal", "lock", "site.key", "trust.json"]);
    rmSync(site.data, { recursive: true });
  });
});
