import { execFileSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { freePort, run, start, temporaryFolder, until } from "./world.ts";

/** A checkout of its own, so that the demo of whoever runs the tests is left alone. */
function checkout(): string {
  const folder = join(temporaryFolder(), "towpath");
  const root = join(import.meta.dirname, "../..");
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  execFileSync("mkdir", ["-p", folder]);
  execFileSync("tar", [
    "-cf",
    join(folder, "all.tar"),
    "-C",
    root,
    "--ignore-failed-read",
    ...files
      .trim()
      .split("\n")
      .filter((file) => existsSync(join(root, file))),
  ]);
  execFileSync("tar", ["-xf", join(folder, "all.tar"), "-C", folder]);
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}

describe("the demo", () => {
  it("starts from nothing, is found by the command without flags, and ends cleanly on Ctrl-C", async () => {
    const folder = checkout();
    const port = await freePort();
    const demo = start("node", ["src/towpath.mjs", "start", "--port", String(port)], { cwd: folder });
    onTestFinished(() => void demo.child.kill("SIGKILL"));
    await until(() => demo.log().includes("npx towpath status"), 30_000, demo.log);
    const command = (args: string[]) => run("node", ["src/towpath.mjs", ...args], { cwd: folder });
    await until(async () => (await command(["log", "demo/router1"])).out.includes("login:"), 30_000);
    const status = await command(["status"]);
    expect(status).toMatchObject({ code: 0, err: "" });
    for (const device of ["router1", "switch1", "server1"]) expect(status.out).toContain(device);
    const cycled = await command(["power", "cycle", "demo/server1", "--yes"]);
    expect(cycled.code, cycled.err).toBe(0);
    expect(cycled.out).toContain("verified");
    expect(await command(["sim", "server1", "panic"])).toMatchObject({ code: 0 });
    await until(async () => (await command(["log", "demo/server1"])).out.includes("Kernel panic"), 10_000);
    const busy = await run("node", ["src/towpath.mjs", "start", "--port", String(port)], { cwd: folder });
    expect(busy).toMatchObject({ code: 2 });
    expect(busy.err).toContain(`npm start -- --port ${port + 1}`);
    demo.child.kill("SIGINT");
    expect(await demo.ended).toBe(0);
    expect((await command(["status"])).err).toContain("npm start");
    const again = start("node", ["src/towpath.mjs", "start", "--port", String(port)], { cwd: folder });
    onTestFinished(() => void again.child.kill("SIGKILL"));
    await until(() => again.log().includes("npx towpath status"), 30_000, again.log);
    expect((await command(["events", "demo", "--json"])).out).toContain('"kind":"outcome"');
  });

  it("says which port is taken by a stranger, and the way out", async () => {
    const folder = checkout();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const ran = await run("node", ["src/towpath.mjs", "start", "--port", String(port)], { cwd: folder });
    expect(ran).toMatchObject({ code: 2 });
    expect(ran.err).toContain(`port ${port} on 127.0.0.1 is taken`);
  });
});
