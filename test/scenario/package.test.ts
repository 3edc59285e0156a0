import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { type Ran, run, start, temporaryFolder, until } from "./world.ts";

/** The package as dpkg unpacks it, far from any checkout. */

const ROOT = join(import.meta.dirname, "../..");
const SCRIPT = join(ROOT, ".ci/package.mjs");
const ARCH = process.arch === "arm64" ? "arm64" : "amd64";
const VERSION = "9.8.7~test";

const hasDpkg = spawnSync("dpkg-deb", ["--version"]).status === 0;
if (!hasDpkg) console.warn("NOT RUN: the package's scenarios; dpkg-deb is missing (apt-get install dpkg)");

const SITE = `site: packed
fleet: acme
data: data
board: sim
journal: { capture: 32MB, ledger: 4MB }
outlets: { a1: { relay: 1, contact: nc } }
devices: { router1: { outlets: [a1], consoles: [router1] } }
consoles: { router1: { port: { sim: router1 }, baudRate: 9600 } }
`;

interface Built {
  readonly path: string;
  readonly sha256: string;
  readonly files: number;
}

function build(out: string): Built {
  const args = [SCRIPT, "--arch", ARCH, "--version", VERSION, "--out", out, "--json"];
  return JSON.parse(execFileSync("node", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as Built;
}

describe.skipIf(!hasDpkg)("the package", () => {
  let work = "";
  let built: Built;
  let tree = "";

  beforeAll(() => {
    work = mkdtempSync(join(tmpdir(), "towpath-packed-"));
    built = build(join(work, "out"));
    tree = join(work, "tree");
    execFileSync("dpkg-deb", ["-x", built.path, tree]);
  }, 180_000);
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  /** The installed command, from a folder that has nothing to do with it. */
  function installed(args: readonly string[], cwd = "/"): Promise<Ran> {
    return run(join(tree, "usr/bin/towpath"), args, { cwd, env: { NODE_PATH: "" } });
  }

  function siteFolder(): string {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "site.yaml"), SITE);
    return folder;
  }

  it("has every command, through the link in /usr/bin", async () => {
    const { code, out } = await installed(["--help"]);
    expect(code).toBe(0);
    const verbs = [...out.matchAll(/^ {2}([a-z]+) {2,}/gm)].map(([, verb = ""]) => verb);
    expect(verbs).toContain("controller");
    const helps = await Promise.all(verbs.map((verb) => installed([verb, "--help"])));
    expect(helps.map((one, index) => [verbs[index], one.code])).toEqual(verbs.map((verb) => [verb, 0]));
  });

  it("checks a site, and names the boards that it brought when one is unknown", async () => {
    const folder = siteFolder();
    const good = await installed(["controller", "--config", join(folder, "site.yaml"), "--check"]);
    expect([good.code, good.err]).toEqual([0, ""]);
    expect(good.out).toContain("a1");
    writeFileSync(join(folder, "site.yaml"), SITE.replace("board: sim", "board: nonesuch"));
    const bad = await installed(["controller", "--config", join(folder, "site.yaml"), "--check"]);
    expect(bad.code).toBe(2);
    for (const file of readdirSync(join(ROOT, "boards")).filter((name) => name.endsWith(".yaml")))
      expect(bad.err).toContain(file.replace(".yaml", ""));
  });

  it("runs a site until ready, records its console, and says its own version", async () => {
    const folder = siteFolder();
    const program = join(tree, "usr/lib/towpath/src/towpath.mjs");
    const args = [program, "controller", "--config", join(folder, "site.yaml")];
    const running = start("node", args, { cwd: "/", env: { NODE_PATH: "" } });
    onTestFinished(() => void running.child.kill("SIGKILL"));
    await until(
      () => /^ready$/m.test(running.log()) || running.child.exitCode !== null,
      20_000,
      () => running.log(),
    );
    const socket = join(folder, "data/towpath.sock");
    const status = await installed(["status", "packed", "--json", "--local", socket]);
    expect(status.code).toBe(0);
    expect(status.out).toContain(VERSION);
    await until(
      async () => (await installed(["log", "packed/router1", "--all", "--local", socket])).out !== "",
      20_000,
    );
    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
  });

  it("refuses the demo, which would leave its keys in the system's folder", async () => {
    const { code, err } = await installed(["start"]);
    expect(code).toBe(2);
    expect(err).toContain("checkout");
    expect(readdirSync(join(tree, "usr/lib/towpath"))).not.toContain(".towpath");
  });

  it("brings two native libraries, both for its processor, and no compiler of TypeScript", () => {
    const library = join(tree, "usr/lib/towpath");
    const files = readdirSync(library, { recursive: true, encoding: "utf8" });
    expect(files.length).toBeGreaterThan(100);
    expect(files.filter((file) => file.endsWith(".node"))).toHaveLength(2);
    const unwanted = /(^|\/)(tsx|esbuild|typescript|vitest|@biomejs)(\/|$)|\.(ts|map)$|^test\//;
    expect(files.filter((file) => unwanted.test(file))).toEqual([]);
  });

  it("puts each file of firmware/system/usr where the system looks for it, as it is", () => {
    const from = join(ROOT, "firmware/system/usr");
    const files = readdirSync(from, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
    expect(files.length).toBeGreaterThan(6);
    for (const file of files) {
      const path = join(file.parentPath, file.name);
      expect(readFileSync(join(tree, "usr", relative(from, path)), "utf8")).toBe(readFileSync(path, "utf8"));
    }
  });

  it("has the same bytes when the same tree is built again", () => {
    expect(build(join(work, "again")).sha256).toBe(built.sha256);
  });
});

describe("npm run package", () => {
  it("says what to install where dpkg-deb is missing", async () => {
    const bin = join(temporaryFolder(), "bin");
    mkdirSync(bin);
    symlinkSync(process.execPath, join(bin, "node"));
    const { code, err } = await run(process.execPath, [SCRIPT], { env: { PATH: bin } });
    expect(code).toBe(1);
    expect(err).toContain("apt-get install dpkg");
  });

  it("refuses a processor and a version that no package can have", async () => {
    const cpu = await run("node", [SCRIPT, "--arch", "sparc"]);
    expect([cpu.code, cpu.err]).toEqual([2, expect.stringContaining("arm64, amd64")]);
    expect((await run("node", [SCRIPT, "--version", "latest"])).code).toBe(2);
  });
});
