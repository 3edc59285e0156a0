import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type OnTerminal, onTerminal } from "./terminal.ts";
import {
  makeSite,
  type Running,
  run,
  start,
  startController,
  startMosquitto,
  type TestSite,
  TOWPATH,
  temporaryFolder,
  until,
} from "./world.ts";

interface Manned {
  readonly site: TestSite;
  readonly controller: Running;
  readonly socket: string;
  sit(...args: string[]): OnTerminal;
  /** Under a shell that waits when it has ended. */
  under(...args: string[]): OnTerminal;
  /** Records of sessions: `local attached`. */
  told(): string[];
}

/** A simulated site with a router and a server that boot at once. */
async function manned(link = ""): Promise<Manned> {
  const site = await makeSite(temporaryFolder(), {
    link,
    outlets: "  a1: { relay: 1, contact: nc, offTime: 500ms, minOff: 0s, minOn: 0s }\n  a3: { relay: 3, contact: nc }",
    yaml: `consoles:
  router1: { port: { sim: router1 }, baudRate: 1000000 }
  server1: { port: { sim: server1 }, baudRate: 1000000 }
`,
  });
  const devices =
    "devices:\n  router1: { outlets: [a1], consoles: [router1] }\n  server1: { outlets: [a3], consoles: [server1] }\n";
  const text = readFileSync(site.config, "utf8").replace(/^devices:\n( .*\n)*/m, devices);
  writeFileSync(site.config, text);
  const controller = await startController(site.config);
  const socket = join(site.data, "towpath.sock");
  return {
    site,
    controller,
    socket,
    sit: (...args) => onTerminal("node", [TOWPATH, "console", ...args, "--local", socket], { HOME: site.folder }),
    under: (...args) => {
      const script = '"$@"; echo "ended $?"; read line';
      return onTerminal("sh", ["-c", script, "sh", "node", TOWPATH, "console", ...args, "--local", socket]);
    },
    told: () =>
      controller
        .log()
        .split("\n")
        .filter((line) => line.includes('"ledger.session"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .map(({ by, what, name, why }) => [by, what, name ?? why].filter(Boolean).join(" ")),
  };
}

const shows = (terminal: OnTerminal, what: string | RegExp): Promise<void> =>
  until(
    () => (typeof what === "string" ? terminal.screen().includes(what) : what.test(terminal.screen())),
    30_000,
    terminal.screen,
  );

async function endOf(terminal: OnTerminal): Promise<number | null> {
  await until(() => terminal.child.exitCode !== null, 30_000, terminal.screen);
  return terminal.child.exitCode;
}

const settings = (terminal: OnTerminal): string => execFileSync("stty", ["-F", terminal.path, "-g"]).toString().trim();

const isRaw = (terminal: OnTerminal): Promise<void> =>
  until(
    () => execFileSync("stty", ["-F", terminal.path, "-a"]).toString().includes("-icanon"),
    30_000,
    terminal.screen,
  );

describe("towpath console", () => {
  it("types into a console, tells its keys, and leaves the terminal as it was", async () => {
    const { sit, told } = await manned();
    const terminal = sit("router1");
    const before = settings(terminal);
    await shows(terminal, "you may type");
    await shows(terminal, "login:");
    terminal.type("admin\r");
    await shows(terminal, "Password:");
    terminal.type("secret\r");
    await shows(terminal, "router1#");
    terminal.type("echo it works\r");
    await shows(terminal, "\nit works");
    expect(terminal.screen()).not.toContain("secret");
    terminal.type("~?");
    await shows(terminal, "send a named sequence");
    terminal.type("~.");
    expect(await endOf(terminal)).toBe(0);
    expect(settings(terminal)).toBe(before);
    expect(told().slice(0, 2)).toEqual(["local attached", "local typing free"]);
    await until(() => told().includes("local detached"));
  });

  for (const signal of ["SIGKILL", "SIGTERM", "SIGHUP"] as const) {
    it(`leaves the terminal as it was when ${signal} ends it`, async () => {
      const { under } = await manned();
      // As under a person's shell, which stays: with the first program on it a terminal would hang up.
      const terminal = under("router1");
      const before = settings(terminal);
      await shows(terminal, "you may type");
      await isRaw(terminal);
      const pid = execFileSync("pgrep", ["-P", String(terminal.child.pid)])
        .toString()
        .trim();
      process.kill(Number(pid), signal);
      await shows(terminal, /ended \d/);
      await until(
        () => settings(terminal) === before,
        20_000,
        () => settings(terminal),
      );
    });
  }

  it("leaves the terminal as it was when the controller is killed, and says that the connection was lost", async () => {
    const { sit, controller } = await manned();
    const terminal = sit("router1");
    const before = settings(terminal);
    await shows(terminal, "you may type");
    controller.child.kill("SIGKILL");
    expect(await endOf(terminal)).toBe(5);
    await shows(terminal, "attach again");
    expect(settings(terminal)).toBe(before);
  });

  it("of two one types; the other asks, takes it, and the loser is told by whom", async () => {
    const { sit, told } = await manned();
    const first = sit("router1");
    await shows(first, "you may type");
    const second = sit("router1", "--escape", "^]");
    await shows(second, "local types; you watch");
    second.type("\u001dr");
    await shows(first, "local asks to type");
    second.type("\u001ds");
    await shows(first, "local has taken the right to type; you watch");
    await shows(second, "you may type");
    expect(told()).toContain("local watching stolen");
  });

  it("a dangerous sequence is asked for, sent by name and told; a BREAK goes by one key", async () => {
    const { sit, told } = await manned();
    const terminal = sit("server1");
    await shows(terminal, "server1 login:");
    terminal.type("~:");
    await shows(terminal, "send which?");
    terminal.type("sysrq-b\r");
    await shows(terminal, "Send it? [y/N]");
    terminal.type("y\r");
    await shows(terminal, "local sent sysrq-b");
    await shows(terminal, "sysrq: Resetting");
    terminal.type("\r~B");
    await shows(terminal, "local sent break");
    expect(told()).toContain("local sent sysrq-b");
  });

  it("the power menu shows what would move, asks, cycles the device, and the session goes on", async () => {
    const { site, sit } = await manned();
    const keys = ["--identity", site.identity, "--trust", site.trust, "--as", "alice"];
    const terminal = sit("one/router1", ...keys);
    await shows(terminal, "you may type");
    terminal.type("~P");
    await shows(terminal, "power of router1");
    terminal.type("3\r");
    await shows(terminal, /moves +a1 off/);
    await shows(terminal, "[y/N]");
    terminal.type("y\r");
    await shows(terminal, "return: back to the console");
    expect(site.edges().map(({ energised }) => energised)).toEqual([true, false]);
    terminal.type("\r");
    await shows(terminal, "[back at one/router1]");
    terminal.type("~.");
    expect(await endOf(terminal)).toBe(0);
  });

  it("a watcher gets JSON, a pipe types and shows the answer, and a console that is not there is refused", async () => {
    const { socket } = await manned();
    const local = ["--local", socket];
    const asked = await run("node", [TOWPATH, "console", "router1", ...local], { input: "admin\rx\recho piped\r" });
    expect(asked.out).toContain("piped");
    expect(asked.code).toBe(0);
    const watch = ["console", "router1", "--watch", "--json", "--lines", "3", ...local];
    const watched = start("node", [TOWPATH, ...watch]);
    await until(() => watched.log().includes("piped"), 30_000, watched.log);
    watched.child.kill("SIGINT");
    expect(await watched.ended).toBe(0);
    const messages = watched
      .log()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { t: string; text?: string });
    expect(messages[0]).toMatchObject({ t: "hello", console: "router1", device: "router1" });
    expect(
      messages
        .filter(({ t }) => t === "data")
        .map(({ text }) => text)
        .join(""),
    ).toContain("piped");
    const wrong = await run("node", [TOWPATH, "console", "router9", ...local]);
    expect(wrong).toMatchObject({ code: 3, err: expect.stringContaining("console.unknown") });
  });

  it("from afar through a broker everybody may watch; typing goes by ssh, and a program is told so", async () => {
    const { port } = await startMosquitto(temporaryFolder(), null);
    const url = `mqtt://127.0.0.1:${port}`;
    const { site, controller, told } = await manned(`link: { brokers: [ "${url}" ] }`);
    await until(() => /"connection":"primary","state":"up"/.test(controller.log()), 20_000, controller.log);
    const from = (name: string) => [
      ...["console", "one/router1", "--broker", url, "--fleet", "acme", "--trust", site.trust],
      ...["--identity", join(site.folder, name)],
    ];
    const typed = await run("node", [TOWPATH, ...from("alice")], { input: "echo not this\r" });
    expect(typed).toMatchObject({ code: 2, err: expect.stringContaining("towpath ssh one router1") });
    const looking = start("node", [TOWPATH, ...from("vera"), "--watch", "--json"]);
    await until(() => looking.log().includes('"t":"data"'), 20_000, looking.log);
    looking.child.kill("SIGINT");
    await looking.ended;
    expect(looking.log()).not.toContain("not this");
    expect(told()).toEqual(expect.arrayContaining(["vera attached"]));
  });
});
