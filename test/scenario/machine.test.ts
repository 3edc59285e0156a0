import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openPty } from "../pty.ts";
import { temporaryFolder, towpath } from "./world.ts";

/** The commands that look at this machine, as a person runs them. */

function siteFile(folder: string, consoles: string): string {
  const file = join(folder, "site.yaml");
  writeFileSync(file, `site: one\nfleet: acme\ndata: data\nboard: sim\nconsoles:\n${consoles}`);
  return file;
}

describe("towpath ports and towpath doctor", () => {
  it("answer on any machine, with a console that is not there named and counted as bad", async () => {
    const config = siteFile(temporaryFolder(), '  c1: { port: { usb: "ffff:ffff", serial: "NOBODY" } }\n');
    const ports = await towpath(["ports", "--config", config, "--json"]);
    expect(ports.code).toBe(0);
    expect(JSON.parse(ports.out).unbound).toMatchObject([{ console: "c1", code: "console.missing" }]);
    const doctor = await towpath(["doctor", "--config", config, "--json"]);
    expect(doctor.code).toBe(4);
    const report: { ok: boolean; findings: { check: string; level: string }[] } = JSON.parse(doctor.out);
    expect(report.ok).toBe(false);
    expect(report.findings.filter(({ level }) => level === "bad").map(({ check }) => check)).toContain("serial.port");
  });

  it("a config that was named and cannot be read is exit 2, with its name", async () => {
    for (const verb of ["ports", "doctor"]) {
      const { code, err } = await towpath([verb, "--config", "/nonexistent/site.yaml"]);
      expect(code).toBe(2);
      expect(err).toContain("/nonexistent/site.yaml: cannot be read");
    }
  });

  it("the check of a config finds one terminal under two spellings", async () => {
    const folder = temporaryFolder();
    const pty = openPty();
    symlinkSync(pty.path, join(folder, "spare"));
    const consoles = `  c1: { port: { path: ${pty.path} } }\n  c2: { port: { path: spare } }\n`;
    const { code, err } = await towpath(["controller", "--config", siteFile(folder, consoles), "--check"]);
    expect(code).toBe(2);
    expect(err).toContain(`consoles.c2.port: is ${pty.path}, which consoles.c1.port is too. One owner each`);
    pty.close();
  });
});
