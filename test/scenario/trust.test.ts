import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { makeKey, makeSite, startBrokeredSite, startController, temporaryFolder, towpath, until } from "./world.ts";

describe("trust, from nothing", () => {
  it("two operators of different roles, a signed document, and a site that obeys it", async () => {
    const folder = temporaryFolder();
    const home = join(folder, "home");
    mkdirSync(join(home, ".ssh"), { recursive: true });
    const root = makeKey(folder, "root", "ecdsa");
    const alice = makeKey(join(home, ".ssh"), "id_ed25519");
    makeKey(folder, "vera");
    const site = await makeSite(join(folder, "site"));
    const trust = join(folder, "t.json");
    const said = async (...args: string[]) => towpath(["trust", ...args, "--trust", trust]);
    expect((await towpath(["trust", "init", "--fleet", "acme", "--root", `${root}.pub`, "--out", trust])).code).toBe(0);
    expect((await said("role", "cyclers", "--verbs", "view,power-cycle", "--targets", "*/router*")).code).toBe(0);
    expect((await said("add", "alice", "--key", `${alice}.pub`, "--role", "cyclers")).code).toBe(0);
    expect((await said("add", "vera", "--key", join(folder, "vera.pub"), "--role", "viewer")).code).toBe(0);
    expect((await said("sign", "--identity", root)).out).toContain("epoch 1");
    expect((await said("show")).out).toContain("signed");
    renameSync(trust, site.trust);
    await startController(site.config);
    const local = ["--local", join(site.data, "towpath.sock"), "--trust", site.trust];
    // The key is found in ~/.ssh, because the document knows it.
    const asAlice = (args: string[]) => towpath([...args, ...local], { env: { HOME: home } });
    expect(await asAlice(["power", "cycle", "one/router1", "--yes"])).toMatchObject({ code: 0 });
    const denied = await asAlice(["power", "cycle", "one/nas1", "--yes"]);
    expect(denied).toMatchObject({ code: 3 });
    expect(denied.err).toContain("role.denied");
    expect(
      (await towpath(["power", "cycle", "one/router1", "--yes", "--identity", join(folder, "vera"), ...local])).err,
    ).toContain("role.denied");
    expect((await towpath(["status", "--json", "--identity", join(folder, "vera"), ...local])).code).toBe(0);
  });

  it("a key that only an agent holds signs as well", async () => {
    const folder = temporaryFolder();
    const site = await makeSite(folder);
    await startController(site.config);
    const agent = spawn("ssh-agent", ["-D", "-a", join(folder, "agent")], { stdio: "ignore" });
    onTestFinished(() => void agent.kill("SIGKILL"));
    const env = { SSH_AUTH_SOCK: join(folder, "agent") };
    await until(() => {
      try {
        execFileSync("ssh-add", ["-q", site.identity], { env: { ...process.env, ...env }, stdio: "ignore" });
        return true;
      } catch {
        return false;
      }
    });
    renameSync(site.identity, `${site.identity}.gone`);
    const local = ["--local", join(site.data, "towpath.sock"), "--trust", site.trust];
    const ran = await towpath(["power", "on", "one/nas1", "--yes", ...local], { env });
    expect(ran.code, ran.err).toBe(0);
  });

  it("a threshold of two wants two signatures, given one after the other", async () => {
    const folder = temporaryFolder();
    const keys = ["r1", "r2", "r3"].map((name) => makeKey(folder, name));
    const trust = join(folder, "t.json");
    const roots = keys.flatMap((key) => ["--root", `${key}.pub`]);
    await towpath(["trust", "init", "--fleet", "acme", ...roots, "--threshold", "2", "--out", trust]);
    const one = await towpath(["trust", "sign", "--trust", trust, "--identity", keys[0] ?? ""]);
    expect(one.out).toContain("1 more root signature needed");
    const two = await towpath(["trust", "sign", "--trust", trust, "--identity", keys[2] ?? ""]);
    expect(two.out).toContain("epoch 1, 2 of 2 signatures");
    expect(JSON.parse((await towpath(["trust", "show", "--trust", trust, "--json"])).out)).toMatchObject({
      signed: true,
      epoch: 1,
    });
  });

  it.each([
    [["trust", "add", "alice", "--key", "/nowhere.pub"], "not a public key"],
    [["trust", "add", "alice"], "--key"],
    [["trust", "add", "Alice", "--key", "KEY"], "operators.0.name"],
    [["trust", "add", "alice", "--key", "KEY", "--role", "king"], 'no role "king"'],
    [["trust", "role", "r", "--verbs", "fly", "--targets", "*/*"], "roles.r.verbs.0"],
    [["trust", "revoke", "nobody"], "nobody called nobody"],
    [["trust", "sign", "--identity", "KEY"], "no root"],
    [["trust", "frobnicate"], "trust what?"],
  ])("%j is refused with its reason, and changes nothing", async (args, reason) => {
    const folder = temporaryFolder();
    const root = makeKey(folder, "root");
    const other = makeKey(folder, "other");
    const trust = join(folder, "t.json");
    await towpath(["trust", "init", "--fleet", "acme", "--root", `${root}.pub`, "--out", trust]);
    const before = (await towpath(["trust", "show", "--trust", trust, "--json"])).out;
    const ran = await towpath([
      ...args.map((word) => (word === "KEY" ? (args.includes("sign") ? other : `${other}.pub`) : word)),
      "--trust",
      trust,
    ]);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain(reason);
    expect((await towpath(["trust", "show", "--trust", trust, "--json"])).out).toBe(before);
  });
});

describe("believing a site", () => {
  it("a site that is not known is told as unverified, and a forged answer is not believed", async () => {
    const site = await startBrokeredSite();
    const { flags, folder } = site;
    const unknown = await towpath(["status", "one", ...flags]);
    expect(unknown).toMatchObject({ code: 0 });
    expect(unknown.err).toContain("unverified");
    const sites = join(folder, "sites.json");
    const root = join(folder, "root");
    await towpath(["trust", "add", "root", "--key", `${root}.pub`, "--role", "admin", "--trust", site.trust]);
    await towpath(["trust", "sign", "--trust", site.trust, "--identity", root]);
    // The key of somebody else: what the site says does not verify with it.
    const wrong = (await import("node:fs")).readFileSync(join(folder, "vera.pub"), "utf8").trim();
    await towpath(["trust", "site", "one", "--key", wrong, "--sites", sites, "--identity", root]);
    const forged = await towpath(["power", "on", "one/nas1", "--yes", ...flags, "--sites", sites]);
    expect(forged).toMatchObject({ code: 5 });
    expect(forged.err).toContain("reply.unverified");
    expect(site.edges()).toEqual([]);
  });
});
