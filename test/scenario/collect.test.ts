import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import {
  makeKey,
  makeSite,
  type Running,
  run,
  start,
  startController,
  startMosquitto,
  TOWPATH,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

/** A real site, a real broker and the service `towpath collect`, which has nothing but `read` to get its text by. */

interface Collecting {
  readonly folder: string;
  readonly dir: string;
  readonly flags: readonly string[];
  restartBroker(): Promise<void>;
  collect(more?: readonly string[]): Promise<Running>;
  status(more?: readonly string[]): ReturnType<typeof towpath>;
  /** Everything that is stored of the console, in order. */
  stored(console?: string): Buffer;
  events(): { seq: number }[];
  site: Awaited<ReturnType<typeof makeSite>>;
  /** Waits until more than so many bytes of the console are stored. */
  holds(bytes: number, collector: Running): Promise<void>;
}

async function world(): Promise<Collecting> {
  const folder = temporaryFolder();
  const broker = await startMosquitto(folder, null);
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const site = await makeSite(folder, {
    link: `link: { brokers: [ "${url}" ] }`,
    yaml: "consoles:\n  router1: { port: { sim: router1 } }",
  });
  const vault = makeKey(folder, "vault");
  const trust = async (...args: string[]) => {
    const { code, err } = await towpath(["trust", ...args, "--trust", site.trust]);
    if (code !== 0) throw new Error(err);
  };
  await trust("role", "collector", "--verbs", "view,collect", "--targets", "*/*");
  await trust("add", "vault", "--key", `${vault}.pub`, "--role", "collector");
  await trust("sign", "--identity", join(folder, "root"));
  const flags = ["--broker", url, "--fleet", "acme", "--identity", vault, "--trust", site.trust];
  const dir = join(folder, "collected");
  const base = join(dir, "acme/one");
  const stored = (console = "router1") => {
    const path = join(base, `${console}.rx`);
    const days = existsSync(path) ? readdirSync(path).filter((name) => name.endsWith(".log")) : [];
    return Buffer.concat(days.sort().map((name) => readFileSync(join(path, name))));
  };
  return {
    folder,
    dir,
    flags,
    site,
    async restartBroker() {
      await broker.stop();
      await startMosquitto(folder, null, broker.port);
    },
    async collect(more = []) {
      const running = start("node", [TOWPATH, "collect", "--dir", dir, "--receiver", "vault", ...flags, ...more]);
      onTestFinished(() => void running.child.kill("SIGKILL"));
      await until(
        () => /^ready$/m.test(running.log()) || running.child.exitCode !== null,
        20_000,
        () => running.log(),
      );
      return running;
    },
    holds: (bytes, collector) =>
      until(
        () => stored().length > bytes,
        30_000,
        () => collector.log(),
      ),
    status: (more = []) => towpath(["collect", "--dir", dir, "--status", ...more]),
    stored,
    events() {
      const file = join(base, "events.jsonl");
      if (!existsSync(file)) return [];
      return readFileSync(file, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as { seq: number });
    },
  };
}

it("what a console said is in plain files, byte for byte, also over kill -9 of site and collector", async () => {
  const it = await world();
  let controller = await startController(it.site.config);
  let collector = await it.collect(["--pull", "1s"]);
  await it.holds(500, collector);
  collector.child.kill("SIGKILL");
  await collector.ended;
  controller.child.kill("SIGKILL");
  await controller.ended;
  controller = await startController(it.site.config);
  const between = it.stored().length;
  collector = await it.collect(["--pull", "1s"]);
  await it.holds(between + 500, collector);
  await until(
    () => it.events().length > 2,
    60_000,
    () => collector.log(),
  );
  const seqs = it.events().map(({ seq }) => seq);
  expect(seqs).toEqual([...seqs.keys()].map((index) => index + 1));

  // The site holds its peace, so that both sides can be compared.
  controller.child.kill("SIGTERM");
  await controller.ended;
  const log = await towpath(["log", "--data", it.site.data, "router1", "--all", "--raw"]);
  const here = it.stored();
  expect(here.length).toBeGreaterThan(1_000);
  expect(Buffer.from(log.out).subarray(0, here.length).equals(here)).toBe(true);
  collector.child.kill("SIGTERM");
  expect(await collector.ended).toBe(0);
});

it("the status says who is silent since when, and that the service runs, or not", async () => {
  const it = await world();
  const controller = await startController(it.site.config);
  const collector = await it.collect(["--pull", "1s"]);
  await it.holds(100, collector);
  await until(async () => /acme\/one {2}online/.test((await it.status()).out), 20_000);
  const well = await it.status();
  expect(well.out).toMatch(/acme\/one {2}online for .*, unverified/);
  // No list of sites is signed here: that is all there is to say.
  expect(well.err.match(/^.*acme\/one.*$/gm)).toHaveLength(1);
  expect(well.err).toContain("acme/one: unverified");
  expect(well.out).toMatch(/router1: \d+ (B|kB)/);

  controller.child.kill("SIGKILL");
  await until(async () => (await it.status(["--silent-after", "1s"])).err.includes("offline for"), 60_000);
  const silent = await it.status(["--silent-after", "1s"]);
  expect(silent.err).toMatch(/acme\/one: offline for [\d.]+ s/);

  collector.child.kill("SIGTERM");
  expect(await collector.ended).toBe(0);
  const ended = await it.status();
  expect(ended.code).toBe(4);
  expect(ended.err).toContain("the service does not run");
  const json = JSON.parse((await it.status(["--json"])).out) as { running: boolean; sites: Record<string, object> };
  expect(json.running).toBe(false);
  expect(Object.keys(json.sites)).toEqual(["acme/one"]);
});

it("a second collector on the same folder is refused, and a panic runs the hook with the last lines", async () => {
  const it = await world();
  const told = join(it.folder, "told.jsonl");
  const hook = join(it.folder, "hook");
  writeFileSync(hook, `#!/bin/sh\nread -r line && printf '%s\\n' "$line" >> ${told}\n`, { mode: 0o755 });
  await startController(it.site.config);
  const collector = await it.collect(["--pull", "1s", "--hook", hook]);
  const second = await towpath(["collect", "--dir", it.dir, "--receiver", "vault", ...it.flags]);
  expect(second.code).toBe(2);
  expect(second.err).toContain("another collector");
  await it.holds(100, collector);
  const fault = await towpath(["sim", "router1", "panic", "--local", join(it.site.data, "towpath.sock")]);
  expect(fault.code).toBe(0);
  await until(
    () => existsSync(told) && readFileSync(told, "utf8").includes('"pattern"'),
    30_000,
    () => collector.log(),
  );
  const [event] = readFileSync(told, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ type }) => type === "pattern");
  expect(event).toMatchObject({ v: 1, fleet: "acme", site: "one", console: "router1" });
  expect(JSON.stringify(event?.lines)).toMatch(/panic|oops|BUG/i);
});

it("a folder on a disk that really fills up: nothing is acknowledged meanwhile, and it goes on when there is room", async () => {
  const it = await world();
  mkdirSync(it.dir);
  const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", it.dir]);
  if (mounted.code !== 0) return void process.stderr.write(`SKIPPED: no tmpfs can be mounted here: ${mounted.err}\n`);
  onTestFinished(async () => void (await run("umount", ["-l", it.dir])));
  const controller = await startController(it.site.config);
  const collector = await it.collect(["--pull", "1s"]);
  await it.holds(100, collector);
  const ballast = join(it.dir, "ballast");
  await run("dd", ["if=/dev/zero", `of=${ballast}`, "bs=1M", "count=30"]);
  await until(
    () => collector.log().includes("nothing is acknowledged"),
    30_000,
    () => collector.log(),
  );
  const full = it.stored().length;
  const status = await it.status();
  expect(status.code).toBe(4);
  expect(status.err).toMatch(/0 MiB are left|the disk takes nothing/);
  rmSync(ballast);
  await until(
    () => it.stored().length > full,
    60_000,
    () => collector.log(),
  );
  await until(
    () => collector.log().includes("takes what comes again"),
    30_000,
    () => collector.log(),
  );
  controller.child.kill("SIGTERM");
  await controller.ended;
  const log = await towpath(["log", "--data", it.site.data, "router1", "--all", "--raw"]);
  const here = it.stored();
  expect(Buffer.from(log.out).subarray(0, here.length).equals(here)).toBe(true);
});

it("killed again and again in the middle of its work, it stores every byte once, also over a new broker", async () => {
  const it = await world();
  const controller = await startController(it.site.config);
  for (let kills = 0; kills < 5; kills++) {
    const collector = await it.collect(["--pull", "300ms"]);
    const before = it.stored().length;
    await until(
      () => it.stored().length > before,
      40_000,
      () => collector.log(),
    );
    if (kills === 2) {
      await it.restartBroker();
      await until(
        () => collector.log().split("connected: mqtt").length > 2,
        60_000,
        () => collector.log(),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 40 * kills));
    collector.child.kill("SIGKILL");
    await collector.ended;
  }
  controller.child.kill("SIGTERM");
  await controller.ended;
  const log = await towpath(["log", "--data", it.site.data, "router1", "--all", "--raw"]);
  const here = it.stored();
  expect(here.length).toBeGreaterThan(300);
  expect(Buffer.from(log.out).subarray(0, here.length).equals(here)).toBe(true);
  const seqs = it.events().map(({ seq }) => seq);
  expect(seqs).toEqual([...seqs.keys()].map((index) => index + 1));
});
