import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { doctorLines } from "../../firmware/cli-doctor.ts";
import { diagnose, examine } from "../../firmware/doctor/diagnose.ts";
import { chipsInSysfs, type Facts, machineFacts } from "../../firmware/doctor/facts.ts";
import type { SiteConfig } from "../../src/config/config.ts";
import { scanAdapters } from "../../src/console/adapters.ts";
import { type FakeMachine, fakeMachine } from "../fake-machine.ts";
import { siteOf } from "./site.ts";

const NOW = Date.UTC(2026, 10, 23);
const OUTLETS = "outlets:\n  a1: { relay: 3, contact: nc }\n";
const ROUTER = 'consoles:\n  router1: { port: { usb: "0403:6001", serial: "A" } }\n';
const ON_PINS = siteOf(OUTLETS, { board: "pi4-waveshare-8ch" });
const SIMULATED = siteOf(OUTLETS);
const SERIAL = siteOf(ROUTER);

interface Patient extends FakeMachine {
  readonly facts: Facts;
}

function patient(fill: (made: FakeMachine) => void = () => undefined, more: Partial<Facts> = {}): Patient {
  const made = fakeMachine();
  onTestFinished(made.end);
  fill(made);
  const facts: Facts = {
    files: made.files,
    nowMs: NOW,
    adapters: () => scanAdapters(made.files),
    space: () => ({ freeBytes: 20e9, totalBytes: 30e9 }),
    chips: () => chipsInSysfs(made.files),
    heldLines: () => null,
    ...more,
  };
  return { ...made, facts };
}

/** The findings of one check as `level: what`. */
const of = (check: string, { facts }: Patient, config: SiteConfig) =>
  diagnose(facts, config)
    .filter((one) => one.check === check)
    .map(({ level, what }) => `${level}: ${what}`);

/** A controller that holds the lock of the data folder. */
function running(made: FakeMachine, env: string, pid = 812): void {
  made.file("var/lib/towpath/lock", "");
  const { ino, dev } = statSync(join(made.root, "var/lib/towpath/lock"));
  const byte = (value: number) => value.toString(16).padStart(2, "0");
  made.file("proc/locks", `1: FLOCK  ADVISORY  WRITE ${pid} ${byte(dev >> 8)}:${byte(dev & 0xff)}:${ino} 0 EOF\n`);
  made.process(pid, "node");
  made.file(`proc/${pid}/environ`, env);
  made.file(`proc/${pid}/cgroup`, "0::/system.slice/towpath.service\n");
}

describe("doctor: the service", () => {
  it("runs, does not run, or runs where nothing starts it again", () => {
    expect(of("service", patient(), SIMULATED)).toEqual(["note: no controller runs on /var/lib/towpath"]);
    const good = patient((made) => running(made, "NOTIFY_SOCKET=/run/systemd/notify\0"));
    expect(of("service", good, SIMULATED)).toEqual(["ok: process 812 runs under systemd as towpath.service"]);
    const bare = patient((made) => running(made, "HOME=/root\0"));
    expect(of("service", bare, SIMULATED)[0]).toMatch(/^warn: .*\(it is in towpath\.service\)$/);
    bare.file("proc/812/cgroup", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/shell.scope\n");
    expect(of("service", bare, SIMULATED)[0]).toMatch(/^warn: .*not under systemd$/);
  });
});

describe("doctor: the relay lines", () => {
  const persist = "sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs";
  const env = "NOTIFY_SOCKET=/run/systemd/notify\0FDSTORE=64\0";
  const unit = (made: FakeMachine, text: string, version: number) => {
    made.file("etc/systemd/system/towpath.service", `[Service]\n${text}\n`);
    made.file(`usr/lib/aarch64-linux-gnu/systemd/libsystemd-shared-${version}.so`, "");
  };

  it("are not asked for on the simulated board", () => {
    expect(of("lines", patient(), SIMULATED)).toEqual(["ok: the board is simulated: there are no lines"]);
    expect(of("lines.chip", patient(), SIMULATED)).toEqual([]);
  });

  it("what a release does: kept by the kernel, kept by systemd, or dropped", () => {
    const kept = patient((made) => made.file(persist, "Y\n"));
    expect(of("lines.release", kept, ON_PINS)).toEqual(["ok: this kernel leaves a line as it is when its holder goes"]);
    const stored = patient((made) => {
      made.file(persist, "N\n");
      running(made, env);
      unit(made, "FileDescriptorStoreMax=64\nFileDescriptorStorePreserve=yes", 257);
    });
    expect(of("lines.release", stored, ON_PINS)).toEqual([
      "ok: systemd holds the lines over a crash, a restart and a stop",
    ]);
    const old = patient((made) => {
      running(made, "NOTIFY_SOCKET=/run/systemd/notify\0");
      unit(made, "FileDescriptorStoreMax=64\nFileDescriptorStorePreserve=yes", 252);
    });
    expect(of("lines.release", old, ON_PINS)[0]).toMatch(/^warn: .*a stop lets them go/);
    const bare = patient((made) => running(made, "HOME=/root\0"));
    expect(of("lines.release", bare, ON_PINS)[0]).toMatch(/^warn: nobody holds the lines/);
    const normallyOpen = siteOf('outlets:\n  a7: { relay: 3, contact: "no" }\n', { board: "pi4-waveshare-8ch" });
    expect(of("lines.release", bare, normallyOpen)[0]).toMatch(/^bad: .*and a7 \(NO\) lose power/);
    expect(of("lines.release", patient(), ON_PINS)[0]).toMatch(/^note: .*is not told/);
  });

  it("their chip is found by its label, is missing, is there twice, or cannot be told", () => {
    const chip = (made: FakeMachine, number: number, label: string) => {
      made.file(`sys/class/gpio/gpiochip${number}/label`, `${label}\n`);
      made.file(`sys/class/gpio/gpiochip${number}/ngpio`, "58\n");
    };
    const right = patient((made) => chip(made, 512, "pinctrl-bcm2711"));
    expect(of("lines.chip", right, ON_PINS)).toEqual(["ok: the gpiochip pinctrl-bcm2711 is there"]);
    const wrong = patient((made) => chip(made, 571, "pinctrl-rp1"));
    expect(of("lines.chip", wrong, ON_PINS)).toEqual([
      "bad: no gpiochip is labelled pinctrl-bcm2711; there are: pinctrl-rp1",
    ]);
    chip(right, 600, "pinctrl-bcm2711");
    expect(of("lines.chip", right, ON_PINS)).toEqual(["bad: 2 gpiochips are labelled pinctrl-bcm2711"]);
    const silent = patient((made) => made.file("dev/gpiochip0", ""));
    expect(of("lines.chip", silent, ON_PINS)[0]).toMatch(/^note: /);
  });

  it("a line that another program holds is named; our own is not", () => {
    const held = (consumer: string) =>
      patient(undefined, { heldLines: () => [{ chip: "pinctrl-bcm2711", line: "GPIO13", consumer }] });
    expect(of("lines.held", held("onewire"), ON_PINS)).toEqual(['bad: GPIO13 (relay 3 of a1) is held by "onewire"']);
    expect(of("lines.held", held("towpath a1"), ON_PINS)[0]).toMatch(/^ok: /);
  });
});

describe("doctor: the consoles", () => {
  const adapter = { tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" };
  const plugged = (made: FakeMachine) => void made.adapter(adapter);

  it("a port is there, is missing, or is in doubt", () => {
    expect(of("serial.port", patient(plugged), SERIAL)).toEqual(["ok: console router1 is /dev/ttyUSB0"]);
    expect(of("serial.port", patient(), SERIAL)[0]).toMatch(/^bad: console router1: no adapter/);
    const twins = patient((made) => {
      plugged(made);
      made.adapter({ ...adapter, tty: "ttyUSB1", port: "1-1.3" });
    });
    expect(of("serial.port", twins, SERIAL)[0]).toMatch(/^bad: .*cannot be told apart/);
  });

  it("a port by number, and one port with two owners, are told with the line to write", () => {
    const config = siteOf(`${ROUTER}  c2: { port: { path: /dev/ttyUSB0 } }\n`);
    const found = diagnose(patient(plugged).facts, config).filter(({ check }) => check === "serial.port");
    expect(found.map(({ level }) => level)).toEqual(["ok", "warn", "bad"]);
    expect(found[1]?.todo).toBe('Write port: { usb: "0403:6001", serial: "A" }');
  });

  it("another program on a port is bad; the controller itself is not", () => {
    const made = patient(plugged);
    made.process(77, "minicom", ["/dev/ttyUSB0"]);
    const held = examine(made.facts, SERIAL).filter(({ check }) => check === "serial.holder");
    expect(held.map(({ what }) => what)).toEqual([
      "console router1: process 77 (/usr/bin/minicom -D) has /dev/ttyUSB0 open too",
    ]);
    const own = patient(plugged);
    running(own, "");
    rmSync(join(own.root, "proc/812"), { recursive: true });
    own.process(812, "node", ["/dev/ttyUSB0"]);
    expect(examine(own.facts, SERIAL).filter(({ check }) => check === "serial.holder")).toEqual([]);
  });

  it("the kernel's own console and a login on a port are bad", () => {
    const uart = siteOf("consoles:\n  c1: { port: { path: /dev/ttyAMA0 } }\n");
    const made = patient((one) => one.uart("ttyAMA0", 32));
    expect([...of("serial.kernel", made, uart), ...of("serial.getty", made, uart)]).toEqual([]);
    made.file("proc/consoles", "tty1                 -WU (EC p  )    4:1\nttyAMA0              -W- (E  p a)  204:64\n");
    made.file("run/systemd/generator/getty.target.wants/serial-getty@ttyAMA0.service", "");
    expect(of("serial.kernel", made, uart)[0]).toMatch(/^bad: console c1: the kernel prints/);
    expect(of("serial.getty", made, uart)[0]).toMatch(/^bad: console c1: a login/);
  });

  it("ModemManager is kept away, would come, or is there", () => {
    const made = patient(plugged);
    expect(of("serial.modem-manager", made, SERIAL)).toEqual([]);
    made.file("usr/sbin/ModemManager", "");
    expect(of("serial.modem-manager", made, SERIAL)[0]).toMatch(/^warn: /);
    made.process(7, "ModemManager");
    expect(of("serial.modem-manager", made, SERIAL)[0]).toMatch(/^bad: .*router1/);
    made.file("etc/udev/rules.d/70-towpath.rules", 'ENV{ID_MM_DEVICE_IGNORE}="1"\n');
    expect(of("serial.modem-manager", made, SERIAL)[0]).toMatch(/^ok: /);
  });

  it("sleep, short latency and free adapters are told", () => {
    const quiet = patient((made) => {
      made.adapter({ ...adapter, latencyMs: 16 });
      made.adapter({ ...adapter, tty: "ttyUSB5", port: "1-1.5", serial: "B", latencyMs: 0 });
    });
    const both = siteOf(`${ROUTER}  c2: { port: { usb: "0403:6001", serial: "B" } }\n`);
    const checks = ["serial.autosuspend", "serial.latency", "serial.free"];
    expect(checks.flatMap((check) => of(check, quiet, both))).toEqual([]);
    const loud = patient((made) => {
      made.adapter({ ...adapter, latencyMs: 1, powerControl: "auto" });
      made.adapter({ tty: "ttyUSB1", id: "1a86:7523", port: "1-1.3", product: "USB Serial" });
    });
    const told = checks.flatMap((check) => of(check, loud, SERIAL));
    expect(told[0]).toMatch(/^warn: .*to sleep/);
    expect(told[1]).toMatch(/^note: .*1000 times a second/);
    expect(told[2]).toBe("note: /dev/ttyUSB1 (USB Serial) belongs to no console");
  });
});

describe("doctor: the rights of the controller's user", () => {
  const gid = process.getgid?.() ?? 0;
  const status = (uid: number, groups: string) =>
    `Uid:\t${uid}\t${uid}\t${uid}\t${uid}\nGid:\t990\t990\t990\t990\nGroups:\t${groups}\n`;
  const machine = (own: string, mode: number) =>
    patient((made) => {
      made.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A" });
      made.file("dev/ttyUSB0", "", mode);
      made.file("proc/self/status", own);
      made.file("etc/group", `dialout:x:${gid}:towpath\ntowpath:x:991:\n`);
      made.file("etc/passwd", "towpath:x:990:991::/nonexistent:/usr/sbin/nologin\n");
    });

  it("a group that is missing is named, with the command", () => {
    const denied = machine(status(990, "991"), 0o660);
    denied.file("etc/group", `dialout:x:${gid}:\n`);
    expect(of("rights", denied, SERIAL)).toEqual(["bad: towpath may not open /dev/ttyUSB0 (group dialout)"]);
    const [found] = diagnose(denied.facts, SERIAL).filter(({ check }) => check === "rights");
    expect(found?.todo).toBe("sudo usermod -aG dialout towpath, then sudo systemctl restart towpath");
    const allowed = machine(status(990, `991 ${gid}`), 0o660);
    expect(of("rights", allowed, SERIAL)).toEqual(["ok: towpath may open all 1 devices it needs"]);
  });

  it("nobody is told to join a group that may not open it either, nor root", () => {
    const todo = (mode: number, group: string) => {
      const made = machine(status(990, "991"), mode);
      made.file("etc/group", `${group}:x:${gid}:\n`);
      return diagnose(made.facts, SERIAL).find(({ check }) => check === "rights")?.todo;
    };
    expect(todo(0o600, "dialout")).toMatch(/^Install Towpath's udev rule \(GROUP="dialout"/);
    expect(todo(0o660, "root")).toMatch(/^Install Towpath's udev rule/);
  });

  it("the running controller's own groups count, which its unit may have given it", () => {
    const made = machine("", 0o660);
    running(made, "");
    made.file("proc/812/status", status(990, "991"));
    expect(of("rights", made, SERIAL)[0]).toMatch(/^bad: towpath may not open/);
    made.file("proc/812/status", status(990, `991 ${gid}`));
    expect(of("rights", made, SERIAL)[0]).toMatch(/^ok: /);
  });

  it("where the service is not installed, whoever asks is meant", () => {
    const made = machine(status(1000, "1000"), 0o660);
    made.file("etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n");
    expect(of("rights", made, SERIAL)[0]).toMatch(/^bad: alice may not open/);
  });

  it("before it runs, the service's user is looked up, whoever asks", () => {
    expect(of("rights", machine(status(0, ""), 0o660), SERIAL)[0]).toBe("ok: towpath may open all 1 devices it needs");
    expect(of("rights", machine(status(0, ""), 0o600), SERIAL)[0]).toMatch(/^bad: towpath may not open/);
  });
});

describe("doctor: the card", () => {
  const mounts = (text: string) => patient((made) => made.file("proc/self/mounts", text));

  it("is writable, or is not and nothing is recorded", () => {
    const good = mounts("overlay / overlay ro 0 0\n/dev/mmcblk0p3 /var/lib/towpath ext4 rw,noatime 0 0\n");
    expect([...of("card.write", good, SERIAL), ...of("card.root", good, SERIAL)]).toEqual([]);
    const fell = mounts("/dev/mmcblk0p2 / ext4 rw 0 0\n/dev/mmcblk0p3 /var/lib ext4 ro 0 0\n");
    expect(of("card.write", fell, SERIAL)[0]).toMatch(/^bad: .*mounted at \/var\/lib\)/);
    const one = mounts("/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n");
    expect(of("card.root", one, SERIAL)[0]).toMatch(/^note: /);
  });

  it("has room for the whole journal, also for what it has not used yet", () => {
    const room = (freeBytes: number) => patient(undefined, { space: () => ({ freeBytes, totalBytes: 1e9 }) });
    expect(of("card.space", room(500e6), SERIAL)).toEqual(["ok: 500 MB free; the journal may grow by 288 MB"]);
    expect(of("card.space", room(300e6), SERIAL)).toEqual(["bad: 300 MB free, but the journal may grow by 288 MB"]);
    const grown = room(300e6);
    grown.file("var/lib/towpath/journal/capture-0001", "x".repeat(100_000_000));
    expect(of("card.space", grown, SERIAL)).toEqual(["ok: 300 MB free; the journal may grow by 188 MB"]);
  });

  it("errors that the file system counted, and a life that ends, are told", () => {
    const made = patient((one) => {
      one.file("sys/fs/ext4/mmcblk0p2/errors_count", "0\n");
      one.file("sys/block/mmcblk0/device/life_time", "0x01 0x02\n");
      one.file("sys/block/mmcblk0/device/pre_eol_info", "0x01\n");
    });
    expect(of("card.errors", made, SERIAL)).toEqual([]);
    expect(of("card.life", made, SERIAL)).toEqual(["ok: mmcblk0 has used about 20 % of its life"]);
    made.file("sys/fs/ext4/mmcblk0p2/errors_count", "3\n");
    made.file("sys/block/mmcblk0/device/life_time", "0x01 0x09\n");
    expect(of("card.errors", made, SERIAL)[0]).toMatch(/^bad: .*counted 3 errors/);
    expect(of("card.life", made, SERIAL)[0]).toMatch(/^warn: .*90 %/);
    made.file("sys/block/mmcblk0/device/pre_eol_info", "0x03\n");
    expect(of("card.life", made, SERIAL)[0]).toMatch(/^bad: /);
  });

  it("synced writes are timed and leave nothing behind; a folder that cannot be written is told", () => {
    const data = mkdtempSync(join(tmpdir(), "towpath-doctor-"));
    onTestFinished(() => rmSync(data, { recursive: true, force: true }));
    const sync = (config: SiteConfig) => examine(patient().facts, config).filter(({ check }) => check === "card.sync");
    expect(sync(siteOf("", { data }))[0]?.what).toMatch(/^a synced write takes [\d.]+ ms, at worst [\d.]+ ms of 20$/);
    expect(readdirSync(data)).toEqual([]);
    expect(sync(siteOf("", { data: `${data}/none` }))[0]?.what).toMatch(/cannot be written: ENOENT$/);
  });
});

describe("doctor: the machine", () => {
  it("its clock: kept, not vouched for, or plainly wrong", () => {
    const kept = patient((made) => made.file("run/systemd/timesync/synchronized", ""));
    expect(of("clock", kept, SERIAL)).toEqual(["ok: 2026-11-23T00:00:00.000Z, kept by a time server"]);
    expect(of("clock", patient(), SERIAL)[0]).toMatch(/^warn: /);
    const config = siteOf("link: { brokers: [ mqtts://mqtt.example.net:8883 ] }\n");
    expect(of("clock", patient(undefined, { nowMs: 0 }), config)[0]).toMatch(/^bad: .*TLS to the broker fails/);
  });

  it("its heat", () => {
    const at = (degrees: number) =>
      of(
        "heat",
        patient((made) => made.file("sys/class/thermal/thermal_zone0/temp", `${degrees}000\n`)),
        SERIAL,
      )[0];
    expect([at(45), at(71), at(83)].map((told) => told?.split(":")[0])).toEqual(["ok", "warn", "bad"]);
    expect(of("heat", patient(), SERIAL)[0]).toMatch(/^note: /);
  });

  it("its supply, by the hwmon driver and by the firmware's word", () => {
    const made = patient((one) => {
      one.file("sys/class/hwmon/hwmon0/name", "cpu_thermal\n");
      one.file("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
      one.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n");
    });
    expect(of("voltage", made, SERIAL)[0]).toMatch(/^ok: /);
    made.file("sys/devices/platform/soc/soc:firmware/get_throttled", "50000\n");
    expect(of("voltage", made, SERIAL)[0]).toMatch(/^warn: .*since the last start/);
    made.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    expect(of("voltage", made, SERIAL)[0]).toMatch(/^bad: /);
    expect(of("voltage", patient(), SERIAL)[0]).toMatch(/^note: /);
  });

  it("its watchdog: armed, not armed, asked for more than it can, or not there", () => {
    expect(of("watchdog", patient(), ON_PINS)[0]).toMatch(/^warn: no hardware watchdog/);
    const made = patient((one) => one.file("sys/class/watchdog/watchdog0/state", "inactive\n"));
    expect(of("watchdog", made, ON_PINS)[0]).toMatch(/^warn: .*not armed/);
    made.file("etc/systemd/system.conf", "[Manager]\n#RuntimeWatchdogSec=off\n");
    made.file("etc/systemd/system.conf.d/towpath.conf", "[Manager]\nRuntimeWatchdogSec=15s\n");
    made.file("sys/class/watchdog/watchdog0/state", "active\n");
    expect(of("watchdog", made, ON_PINS)).toEqual(["ok: the hardware watchdog is armed, 15 s"]);
    made.file("etc/systemd/system.conf.d/towpath.conf", "[Manager]\nRuntimeWatchdogSec=1min\n");
    expect(of("watchdog", made, ON_PINS)[0]).toMatch(/^warn: RuntimeWatchdogSec asks 60 s/);
  });
});

describe("towpath doctor", () => {
  it("shows the worst first, each with what to do, and counts", () => {
    const lines = doctorLines(diagnose(patient().facts, SERIAL));
    expect(lines[0]).toMatch(/^bad {3}console router1: no adapter/);
    expect(lines[1]).toMatch(/^ {6}→ Check cable and adapter/);
    expect(lines.at(-1)).toMatch(/^1 bad, \d+ to look after, \d+ fine$/);
  });

  it("says sensible things of the machine that it really runs on", () => {
    const findings = examine(machineFacts(), null);
    expect(findings.map(({ check }) => check)).toEqual(["config", "clock", "heat", "voltage", "watchdog"]);
    const wordless = [...findings, ...diagnose(machineFacts(), SERIAL)].filter(
      ({ level, what, todo }) => what === "" || (level !== "ok" && todo === ""),
    );
    expect(wordless).toEqual([]);
  });
});
