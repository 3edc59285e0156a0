import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  freePort,
  makeSite,
  type Running,
  start,
  startController,
  startMosquitto,
  TOWPATH,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

/** Logins with the real ssh and sshd through a real broker, which is killed in the middle. */

interface LedgerRecord {
  readonly kind: string;
  readonly [name: string]: unknown;
}

/** Gives its bytes to each who connects; `held` connections wait for `release`. */
async function server(data: Buffer): Promise<{ port: number }> {
  const listening = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.end(data);
  });
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void listening.close());
  const address = listening.address();
  return { port: typeof address === "object" && address !== null ? address.port : 0 };
}

/** A site whose alice may forward to one port, on a broker of its own. */
async function world(target: number) {
  const folder = temporaryFolder();
  const broker = await startMosquitto(folder, null);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const yaml = `access: { forwards: ["127.0.0.1:${target}"] }\nconsoles:\n  router1: { port: { sim: router1 } }\n`;
  const site = await makeSite(join(folder, "site"), { link: `link: { brokers: [ "${url}" ] }`, yaml });
  const trust = async (...args: string[]) => {
    const { code, err } = await towpath(["trust", ...args, "--trust", site.trust]);
    if (code !== 0) throw new Error(err);
  };
  const sign = () => trust("sign", "--identity", join(site.folder, "root"));
  await trust("role", "far", "--verbs", "view,forward", "--targets", "*/*");
  await trust("add", "keeper", "--key", join(site.folder, "root.pub"), "--role", "admin");
  await trust("add", "alice", "--key", `${site.identity}.pub`, "--role", "operator", "--role", "far");
  await sign();
  const controller = await startController(site.config);
  await until(() => /"connection":"primary","state":"up"/.test(controller.log()));
  const sites = join(folder, "sites.json");
  const key = /"code":"key.made","key":"([^"]+)"/.exec(controller.log())?.[1] ?? "";
  const root = join(site.folder, "root");
  const listed = await towpath([
    ...["trust", "site", "one", "--key", key, "--sites", sites, "--identity", root, "--trust", site.trust],
  ]);
  if (listed.code !== 0) throw new Error(listed.err);
  const flagsOf = (name: string) => [
    ...["--sites", sites],
    ...["--broker", url, "--fleet", "acme", "--identity", join(site.folder, name), "--trust", site.trust],
  ];
  const records = async (): Promise<LedgerRecord[]> => {
    const { out } = await towpath(["events", "one", "--json", "--local", join(site.data, "towpath.sock")]);
    return (JSON.parse(out) as { events: LedgerRecord[] }).events;
  };
  return { folder, broker, url, site, trust, sign, controller, flagsOf, records };
}

/** `towpath ssh` with a forward, until that answers. */
async function forward(name: string, target: number, flags: string[]): Promise<{ port: number; ssh: Running }> {
  const port = await freePort();
  const ssh = start("node", [TOWPATH, "ssh", "one", "-L", `127.0.0.1:${port}:127.0.0.1:${target}`, ...flags]);
  onTestFinished(async () => {
    ssh.child.kill("SIGTERM");
    await ssh.ended;
  });
  await until(
    async () => ssh.child.exitCode !== null || (await answers(port)),
    30_000,
    () => `${name}: ${ssh.log()}`,
  );
  if (ssh.child.exitCode !== null) throw new Error(`${name}: ssh ended: ${ssh.log()}`);
  return { port, ssh };
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

function fetch(port: number, heard: (bytes: number) => void = () => undefined): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    const socket = connect(port, "127.0.0.1");
    socket.on("data", (piece) => {
      pieces.push(piece);
      bytes += piece.length;
      heard(bytes);
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(Buffer.concat(pieces)));
  });
}

const hash = (data: Buffer) => createHash("sha256").update(data).digest("hex");

describe("towpath ssh", () => {
  it("carries a transfer over the death of its broker, whole, and the ledger has the session", async () => {
    const data = randomBytes(Number(process.env.TOWPATH_LONG ? 60_000_000 : 8_000_000));
    const target = await server(data);
    const { broker, folder, flagsOf, records } = await world(target.port);
    const { port, ssh } = await forward("alice", target.port, flagsOf("alice"));
    let killed: Promise<unknown> | null = null;
    const got = await fetch(port, (bytes) => {
      if (bytes < data.length / 4) return;
      killed ??= (async () => {
        broker.child.kill("SIGKILL");
        await new Promise((resolve) => broker.child.once("close", resolve));
        await startMosquitto(folder, null, broker.port);
      })();
    });
    expect(killed).not.toBeNull();
    await killed;
    expect(got.length).toBe(data.length);
    expect(hash(got)).toBe(hash(data));
    ssh.child.kill("SIGTERM");
    await ssh.ended;
    await until(
      async () => (await records()).some(({ kind, state }) => kind === "stream" && state === "closed"),
      30_000,
    );
    const sessions = (await records()).filter(({ kind }) => kind === "stream");
    expect(sessions).toMatchObject([
      { state: "opened", by: "alice", service: "ssh", via: "primary" },
      { state: "closed", by: "alice", service: "ssh" },
    ]);
    expect(String(sessions[1]?.key)).toMatch(/^SHA256:/);
    expect(Number(sessions[1]?.bytesOut)).toBeGreaterThan(data.length);
  });

  it("reaches nothing but what the config allows, and nothing at all without the verb", async () => {
    const target = await server(Buffer.from("page"));
    const other = await server(Buffer.from("secret"));
    const { flagsOf } = await world(target.port);
    const allowed = await forward("alice", target.port, flagsOf("alice"));
    expect((await fetch(allowed.port)).toString()).toBe("page");
    const beside = await forward("alice beside", other.port, flagsOf("alice"));
    expect((await fetch(beside.port)).toString()).toBe("");
    const viewer = await forward("vera", target.port, flagsOf("vera"));
    expect((await fetch(viewer.port)).toString()).toBe("");
  });

  it("types into a console, as the operator who logged in, and no longer than he is one", async () => {
    const { trust, sign, flagsOf, records } = await world(9);
    const ssh = spawn("node", [TOWPATH, "ssh", "one", "router1", ...flagsOf("alice")], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    let said = "";
    for (const pipe of [ssh.stdout, ssh.stderr])
      pipe.on("data", (bytes: Buffer) => {
        said += bytes.toString("latin1");
      });
    const ended = new Promise<void>((resolve) => ssh.once("close", () => resolve()));
    onTestFinished(async () => {
      ssh.kill("SIGTERM");
      await ended;
    });
    const opened = async () =>
      (await records()).find(({ kind, service }) => kind === "stream" && service === "console");
    await until(
      async () => (await opened()) !== undefined,
      60_000,
      () => said,
    );
    expect(await opened()).toMatchObject({ by: "alice", console: "router1", mode: "type", via: "local" });
    const before = said.length;
    ssh.stdin.write("uptime\r");
    await until(
      () => /uptime/.test(said.slice(before)),
      60_000,
      () => said,
    );
    await trust("revoke", "alice");
    await sign();
    expect((await towpath(["trust", "push", "one", ...flagsOf("vera")])).code).toBe(0);
    await ended;
    const closed = (await records()).filter(({ kind, state }) => kind === "stream" && state === "closed");
    expect(closed.map(({ how }) => how)).toEqual(["operator.revoked", "operator.revoked"]);
  });

  it("a revoked key loses its open session within a second of the trust's arrival", async () => {
    const target = await server(Buffer.from("page"));
    const { site, trust, sign, flagsOf, controller, records } = await world(target.port);
    const { port, ssh } = await forward("alice", target.port, flagsOf("alice"));
    expect((await fetch(port)).toString()).toBe("page");
    await trust("revoke", "alice");
    await sign();
    const pushed = await towpath(["trust", "push", "one", ...flagsOf("vera")]);
    expect(pushed.code, pushed.err).toBe(0);
    await ssh.ended;
    await until(async () => (await records()).some(({ kind, state }) => kind === "stream" && state === "closed"));
    const all = await records();
    const changed = all.findLast(({ kind }) => kind === "trust");
    const closed = all.find(({ kind, state }) => kind === "stream" && state === "closed");
    expect(closed).toMatchObject({ by: "alice", how: "operator.revoked" });
    expect(Number(closed?.mono) - Number(changed?.mono)).toBeLessThan(1_000);
    // Nothing of the login is left at the site.
    await until(() => readdirSync(join(site.data, "logins")).length === 0);
    expect(controller.child.exitCode).toBeNull();
    const again = await towpath(["ssh", "one", "--proxy", ...flagsOf("alice")]);
    expect(again).toMatchObject({ code: 3 });
  });

  it("says which piece of ssh_config plain ssh needs, and plain ssh takes it", async () => {
    const target = await server(Buffer.from("page"));
    const { folder, flagsOf } = await world(target.port);
    const { code, out, err } = await towpath(["ssh", "one", "--config", ...flagsOf("alice")]);
    expect(code, err).toBe(0);
    const file = join(folder, "ssh_config");
    writeFileSync(file, out);
    const seen = start("ssh", ["-F", file, "-G", "one.towpath"]);
    expect(await seen.ended).toBe(0);
    expect(seen.log()).toMatch(/proxycommand .*--proxy/i);
  });
});
