import { closeSync, constants, mkdtempSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { portLines } from "../../firmware/cli-ports.ts";
import { type PortsReport, portsReport } from "../../firmware/ports-report.ts";
import { lockFile } from "../../src/linux/flock.ts";
import { holdersOf, lockersOf } from "../../src/linux/holders.ts";
import { machineFiles } from "../../src/linux/machine-files.ts";
import { type FakeMachine, fakeMachine } from "../fake-machine.ts";
import { openPty } from "../pty.ts";
import { siteOf } from "./site.ts";

function machine(fill: (made: FakeMachine) => void = () => undefined): FakeMachine {
  const made = fakeMachine();
  onTestFinished(made.end);
  fill(made);
  return made;
}

const problems = (report: PortsReport) =>
  report.adapters.map(({ node, problems }) => `${node}: ${problems.map(({ code }) => code).join(" ")}`.trim());

const SITE = siteOf(`consoles:
  router1: { port: { usb: "0403:6001", serial: "A" } }
  switch1: { port: { usb: "10c4:ea60", serial: "0001" } }
  spare: { port: { path: /dev/ttyUSB9 } }
`);

describe("towpath ports", () => {
  it("tells which console uses an adapter, and the line to paste for one that is free", () => {
    const { files } = machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" });
      made.adapter({ tty: "ttyUSB1", id: "0403:6001", port: "1-1.3", serial: "B" });
    });
    const report = portsReport(files, SITE);
    expect(report.adapters.map(({ consoles }) => consoles)).toEqual([["router1"], []]);
    const lines = portLines(report, true);
    expect(lines).toContain("/dev/ttyUSB0  0403:6001  FTDI  FT232R USB UART  serial A  ftdi_sio");
    expect(lines).toContain("  console  router1");
    expect(lines).toContain('  port: { usb: "0403:6001", serial: "B" }');
    expect(lines.at(-2)).toMatch(/^console switch1 {2}no adapter 10c4:ea60 .*\(console\.missing\)$/);
    expect(lines.at(-1)).toBe("console spare  /dev/ttyUSB9 is not there (console.missing)");
    expect(problems(report)).toEqual(["/dev/ttyUSB0:", "/dev/ttyUSB1:"]);
  });

  it("without adapters it says so and what to do; without a config it names no console", () => {
    const { files } = machine();
    expect(portLines(portsReport(files, null), false)[0]).toBe("no serial adapter is plugged in");
    const one = machine((made) => made.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" }));
    expect(portLines(portsReport(one.files, null), false).join("\n")).not.toContain("console");
  });

  it("twins, a missing serial number and two owners are told, each with what to do", () => {
    const { files } = machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: "10c4:ea60", port: "1-1.2", serial: "0001" });
      made.adapter({ tty: "ttyUSB1", id: "10c4:ea60", port: "1-1.3", serial: "0001" });
      made.adapter({ tty: "ttyUSB2", id: "1a86:7523", port: "1-1.4" });
    });
    const config = siteOf(`consoles:
  c1: { port: { hub: "1.4" } }
  c2: { port: { path: /dev/ttyUSB2 } }
  switch1: { port: { usb: "10c4:ea60", serial: "0001" } }
`);
    const report = portsReport(files, config);
    expect(problems(report)).toEqual([
      "/dev/ttyUSB0: twin",
      "/dev/ttyUSB1: twin",
      "/dev/ttyUSB2: no-serial two-owners",
    ]);
    expect(report.unbound).toMatchObject([{ console: "switch1", code: "console.quarantined" }]);
    expect(report.adapters[0]?.yaml).toBe('{ hub: "1.2", usb: "10c4:ea60" }');
  });

  it("another program that has the port open is named; the site's own controller is no problem", () => {
    const made = machine((one) => {
      one.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" });
      one.process(42, "minicom", ["/dev/ttyUSB0"]);
      one.process(43, "node", ["/dev/null", "/dev/ttyUSB0"]);
      one.file("var/lib/towpath/lock", "");
    });
    const { ino, dev } = statSync(join(made.root, "var/lib/towpath/lock"));
    const byte = (value: number) => value.toString(16).padStart(2, "0");
    made.file("proc/locks", `1: FLOCK  ADVISORY  WRITE 43 ${byte(dev >> 8)}:${byte(dev & 0xff)}:${ino} 0 EOF\n`);
    const [row] = portsReport(made.files, SITE).adapters;
    expect(row?.holders.map(({ pid }) => pid)).toEqual([42, 43]);
    expect(row?.problems.map(({ what }) => what)).toEqual(["is open in process 42: /usr/bin/minicom -D"]);
  });

  it("ModemManager is a problem only while it runs and udev does not keep it away", () => {
    const made = machine((one) => one.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" }));
    const now = () => problems(portsReport(made.files, null))[0];
    expect(now()).toBe("/dev/ttyUSB0:");
    made.process(7, "ModemManager");
    expect(now()).toBe("/dev/ttyUSB0: modem-manager");
    made.file("usr/lib/udev/rules.d/77-towpath.rules", 'SUBSYSTEM=="tty", ENV{ID_MM_DEVICE_IGNORE}="1"\n');
    expect(now()).toBe("/dev/ttyUSB0:");
    made.file("run/udev/data/c188:0", "E:ID_MM_CANDIDATE=1\n");
    expect(now()).toBe("/dev/ttyUSB0: modem-manager");
    made.file("run/udev/data/c188:0", "E:ID_MM_CANDIDATE=1\nE:ID_MM_DEVICE_IGNORE=1\n");
    expect(now()).toBe("/dev/ttyUSB0:");
  });

  it("what an adapter says of itself cannot abuse the terminal", () => {
    const { files } = machine((made) =>
      made.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A\u001b[2J", product: "x\u202ey" }),
    );
    const shown = portLines(portsReport(files, null), false).join("\n");
    expect(shown).toContain("x\\u202ey");
    expect([...shown].filter((char) => char === "\u001b" || char === "\u202e")).toEqual([]);
    expect(shown).toContain('serial: "A\\u001b[2J"');
  });
});

describe("who holds a file, on this machine", () => {
  it("is told by the open file and by the lock", async () => {
    const files = machineFiles();
    const folder = mkdtempSync(join(tmpdir(), "towpath-holders-"));
    const path = join(folder, "lock");
    const lock = lockFile(path);
    const pty = openPty();
    const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY);
    expect(holdersOf([pty.path], files).get(pty.path)).toMatchObject([{ pid: process.pid }]);
    expect(lockersOf(path, files)).toEqual([process.pid]);
    expect(lockersOf(pty.path, files)).toEqual([]);
    lock?.release();
    closeSync(fd);
    // A child that another test starts at this moment holds what it inherits until it begins its own program.
    await vi.waitFor(() => {
      expect(lockersOf(path, files)).toEqual([]);
      expect(holdersOf([pty.path], files).get(pty.path)).toEqual([]);
    });
    pty.close();
    rmSync(folder, { recursive: true });
  });
});
