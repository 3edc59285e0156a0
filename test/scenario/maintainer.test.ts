import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Ran, run, temporaryFolder } from "./world.ts";

/** The scripts that dpkg runs, by a real shell, on a system of stand-ins that write down how they were called. */

const SCRIPTS = join(import.meta.dirname, "../../firmware/system/maintainer");
const STAND_INS = [
  "systemctl",
  "systemd-sysusers",
  "systemd-tmpfiles",
  "systemd-sysctl",
  "deb-systemd-helper",
  "udevadm",
];

interface System {
  readonly root: string;
  calls(): string[];
  script(name: string, ...args: readonly string[]): Promise<Ran>;
}

/** `answers`: what a call ends with, where it is not 0; `lives`: whether systemd runs (not in a chroot). */
async function system(answers: Readonly<Record<string, number>> = {}, lives = true): Promise<System> {
  const root = temporaryFolder();
  for (const folder of ["bin", "run/udev", "etc/towpath", "var/lib/towpath", ...(lives ? ["run/systemd/system"] : [])])
    mkdirSync(join(root, folder), { recursive: true });
  const log = join(root, "calls");
  writeFileSync(log, "");
  const cases = Object.entries(answers).map(([call, code]) => `"${call}"*) exit ${code};;`);
  const standIn = `#!/bin/sh\necho "\${0##*/} $*" >> ${log}\ncase "\${0##*/} $*" in\n${cases.join("\n")}\nesac\n`;
  for (const name of STAND_INS) writeFileSync(join(root, "bin", name), standIn, { mode: 0o755 });
  const udev = createServer().listen(join(root, "run/udev/control"));
  onTestFinished(() => void udev.close());
  return {
    root,
    calls: () => readFileSync(log, "utf8").trim().split("\n").filter(Boolean),
    script(name, ...args) {
      const text = readFileSync(join(SCRIPTS, name), "utf8")
        .replaceAll("/usr/lib/systemd/", `${root}/bin/`)
        .replaceAll("/usr/bin/", `${root}/bin/`)
        .replaceAll(/(?<=[\s"])\/(run|etc|var)\//g, `${root}/$1/`);
      const file = join(root, name);
      writeFileSync(file, text);
      return run("sh", [file, ...args], { env: { PATH: `${root}/bin:/usr/bin:/bin` } });
    },
  };
}

const configure = (one: System): void => writeFileSync(join(one.root, "etc/towpath/site.yaml"), "site: mine\n");
const moves = (calls: readonly string[]): string[] =>
  calls.filter((call) => /^systemctl (re)?(start|stop|kill|try-restart)/.test(call));

describe("installing", () => {
  it("starts nothing before there is a site.yaml, and says what comes next", async () => {
    const one = await system();
    const { code, out } = await one.script("postinst", "configure", "");
    expect(code).toBe(0);
    expect(moves(one.calls())).toEqual([]);
    expect(out).toContain("site.yaml.example");
    expect(out).toContain("--check");
  });

  it("makes the groups before udev reads the rules that name them", async () => {
    const one = await system();
    await one.script("postinst", "configure", "");
    const calls = one.calls();
    expect(calls.indexOf("systemd-sysusers towpath.conf")).toBe(0);
    expect(calls.indexOf("udevadm control --reload")).toBeGreaterThan(0);
  });

  it("starts a site that is configured, and leaves its config as it is", async () => {
    const one = await system();
    configure(one);
    await one.script("postinst", "configure", "");
    expect(moves(one.calls())).toEqual(["systemctl start towpath.service"]);
    expect(readFileSync(join(one.root, "etc/towpath/site.yaml"), "utf8")).toBe("site: mine\n");
  });

  it("ends well and says where to look when the controller does not start", async () => {
    const one = await system({ "systemctl start": 1 });
    configure(one);
    const { code, err } = await one.script("postinst", "configure", "");
    expect(code).toBe(0);
    expect(err).toContain("journalctl -u towpath");
  });

  it("into an image, where no systemd runs, makes the user and touches nothing that runs", async () => {
    const one = await system({}, false);
    configure(one);
    expect((await one.script("postinst", "configure", "")).code).toBe(0);
    expect(one.calls().filter((call) => /^(systemctl|udevadm)/.test(call))).toEqual([]);
    expect(one.calls()).toContain("systemd-sysusers towpath.conf");
  });

  it("never tells udev that ports in use are new", async () => {
    const one = await system();
    await one.script("postinst", "configure", "0.1.0");
    const triggers = one.calls().filter((call) => call.startsWith("udevadm trigger"));
    expect(triggers.length).toBeGreaterThan(0);
    for (const trigger of triggers) expect(trigger).toContain("--action=change");
  });
});

describe("upgrading", () => {
  it("takes the relays' lines over in one restart: no stop goes before it", async () => {
    const one = await system();
    configure(one);
    await one.script("prerm", "upgrade", "0.2.0");
    await one.script("postrm", "upgrade", "0.2.0");
    await one.script("postinst", "configure", "0.1.0");
    expect(moves(one.calls())).toEqual(["systemctl restart towpath.service"]);
    expect(one.calls().filter((call) => call.includes("fdstore"))).toEqual([]);
  });

  it("leaves a controller alone that somebody has stopped and disabled", async () => {
    const one = await system({ "systemctl --quiet is-active": 3, "systemctl --quiet is-enabled": 1 });
    configure(one);
    await one.script("postinst", "configure", "0.1.0");
    expect(moves(one.calls())).toEqual([]);
  });
});

describe("removing", () => {
  it("stops first, says what becomes of the relays, then lets the lines go", async () => {
    const one = await system();
    const { out } = await one.script("prerm", "remove");
    expect(out).toContain("NC contacts close, NO contacts open");
    expect(one.calls()).toEqual([
      "systemctl stop towpath.service",
      "systemctl stop towpath-net.socket towpath-net.service",
      "systemctl clean --what=fdstore towpath.service",
    ]);
  });

  it("keeps config and records; a purge says so and deletes them", async () => {
    const one = await system();
    configure(one);
    const record = join(one.root, "var/lib/towpath/site.key");
    writeFileSync(record, "key");
    const removed = await one.script("postrm", "remove");
    expect(removed.out).toContain("stay");
    expect([existsSync(record), existsSync(join(one.root, "etc/towpath/site.yaml"))]).toEqual([true, true]);
    const purged = await one.script("postrm", "purge");
    expect(purged.out).toContain("deleting");
    expect([existsSync(record), existsSync(join(one.root, "etc/towpath"))]).toEqual([false, false]);
  });
});
