import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readUnit, SYSTEM, systemText } from "./unit-file.ts";

const ROOT = join(import.meta.dirname, "../..");

describe("towpath.service", () => {
  const unit = readUnit("systemd/system/towpath.service");
  const one = (key: string): string | undefined => unit.get(key)?.at(-1);
  const words = (key: string): string[] => (unit.get(key) ?? []).flatMap((value) => value.split(/\s+/));

  it("starts node itself, so that the main process is the one that says READY=1", () => {
    expect(one("Service.Type")).toBe("notify");
    expect(one("Service.NotifyAccess")).toBe("main");
    const [node, program, ...args] = words("Service.ExecStart");
    expect(node).toBe("/usr/bin/node");
    expect(existsSync(join(ROOT, program?.replace("/usr/lib/towpath/", "") ?? "missing"))).toBe(true);
    expect(args).toEqual(["controller", "--config", "/etc/towpath/site.yaml"]);
  });

  it("says only such things to node as every node understands: another word and it would not start", () => {
    const [options, ...more] = words("Service.Environment");
    expect(options).toBe("NODE_OPTIONS=--max-semi-space-size=1");
    expect(more).toEqual(["MALLOC_ARENA_MAX=1"]);
    const env = { ...process.env, NODE_OPTIONS: options?.replace("NODE_OPTIONS=", "") };
    expect(execFileSync(process.execPath, ["-p", "6 * 7"], { env, encoding: "utf8" })).toBe("42\n");
  });

  it("starts where every network is dead", () => {
    const order = [...words("Unit.After"), ...words("Unit.Wants"), ...words("Unit.Requires"), ...words("Unit.BindsTo")];
    expect(order.length).toBeGreaterThan(0);
    expect(order.filter((name) => /network|nss-lookup|time-sync|NetworkManager/.test(name))).toEqual([]);
  });

  it("never gives up, whatever it died of", () => {
    expect(one("Service.Restart")).toBe("always");
    expect(one("Unit.StartLimitIntervalSec")).toBe("0");
    expect(unit.has("Service.RestartPreventExitStatus")).toBe(false);
  });

  it("comes back a second after a crash, also after the hundredth, so that consoles lose little", () => {
    expect(Number(one("Service.RestartSec"))).toBeLessThanOrEqual(1);
    expect(unit.has("Service.RestartSteps")).toBe(false);
  });

  it("tries a config that cannot run again in its own time, not every second", () => {
    expect(one("Service.ExecStopPost")).toContain('"$$EXIT_STATUS" != 2');
  });

  it("is killed when its loop hangs", () => {
    expect(Number(one("Service.WatchdogSec"))).toBe(60);
  });

  it("leaves the lines of 64 relays and 48 consoles in systemd's store, so that no restart moves a relay", () => {
    expect(Number(one("Service.FileDescriptorStoreMax"))).toBeGreaterThanOrEqual(64 + 48);
    expect(one("Service.FileDescriptorStorePreserve")).toBe("yes");
  });

  it("touches no relay when it is stopped", () => {
    expect(unit.has("Service.ExecStop")).toBe(false);
    expect(unit.has("Service.ExecReload")).toBe(false);
    expect(one("Service.KillMode")).toBe("mixed");
  });

  it("goes on when the card drops off the bus, and mounts it again with each start", () => {
    expect(words("Unit.Wants")).toContain("var-lib-towpath.mount");
    expect(words("Unit.After")).toContain("var-lib-towpath.mount");
    for (const key of ["Requires", "BindsTo", "Requisite", "RequiresMountsFor"])
      expect(unit.has(`Unit.${key}`)).toBe(false);
  });

  it("starts with its last good config when site.yaml was lost, and not at all before there was one", () => {
    expect(unit.get("Unit.ConditionPathExists")).toEqual([
      "|/etc/towpath/site.yaml",
      "|/var/lib/towpath/config.last-good.json",
    ]);
  });

  it("may open serial ports, relays and expanders, and no other device", () => {
    expect(one("Service.DevicePolicy")).toBe("closed");
    const devices = (unit.get("Service.DeviceAllow") ?? []).map((value) => value.split(" ")[0]);
    expect(devices.sort()).toEqual(
      [
        "char-gpiochip",
        "char-i2c",
        "char-pts",
        "char-ttyACM",
        "char-ttyAMA",
        "char-ttyS",
        "char-ttySC",
        "char-ttyUSB",
      ].sort(),
    );
    // Drivers that load with the first adapter are loaded before, or the name above would mean nothing at the start.
    for (const driver of ["usbserial", "cdc_acm", "i2c_dev"])
      expect(words("Unit.After")).toContain(`modprobe@${driver}.service`);
  });

  it("has no rights beyond its data folder, its ports and its sockets", () => {
    expect(one("Service.User")).toBe("towpath");
    expect(unit.get("Service.CapabilityBoundingSet")).toEqual([""]);
    expect(one("Service.NoNewPrivileges")).toBe("yes");
    expect(one("Service.ProtectSystem")).toBe("strict");
    expect(one("Service.StateDirectory")).toBe("towpath");
    // The local socket of a site whose card is read-only.
    expect(one("Service.RuntimeDirectory")).toBe("towpath");
    expect(words("Service.RestrictAddressFamilies").sort()).toEqual(["AF_INET", "AF_INET6", "AF_NETLINK", "AF_UNIX"]);
  });

  it("leaves V8, the boot number, and the search for who holds a port what they need", () => {
    expect(one("Service.MemoryDenyWriteExecute")).toBe("no");
    // ProcSubset=pid would hide /proc/sys/kernel/random/boot_id, ProtectProc= the names of other programs.
    expect(unit.has("Service.ProcSubset")).toBe(false);
    expect(unit.has("Service.ProtectProc")).toBe(false);
    expect(unit.has("Service.PrivateDevices")).toBe(false);
  });

  it("has every group that it names from sysusers.d", () => {
    const made = systemText("sysusers.d/towpath.conf")
      .split("\n")
      .filter((line) => /^[ug] /.test(line))
      .map((line) => line.split(/\s+/)[1]);
    for (const group of [...words("Service.SupplementaryGroups"), one("Service.Group")]) expect(made).toContain(group);
  });
});

describe("towpath-collect.service", () => {
  const unit = readUnit("systemd/system/towpath-collect.service");
  const one = (key: string): string | undefined => unit.get(key)?.at(-1);

  it("starts node itself with the settings of one file, and not at all without it", () => {
    expect(one("Service.Type")).toBe("notify");
    const [node, program, ...args] = one("Service.ExecStart")?.split(/\s+/) ?? [];
    expect(node).toBe("/usr/bin/node");
    expect(existsSync(join(ROOT, program?.replace("/usr/lib/towpath/", "") ?? "missing"))).toBe(true);
    expect(args).toEqual(["collect", "--dir", "/var/lib/towpath-collect", "$COLLECT_FLAGS"]);
    expect(one("Service.EnvironmentFile")).toBe(one("Unit.ConditionPathExists"));
  });

  it("has in its example every setting that the command knows by that name", () => {
    const example = readFileSync(join(SYSTEM, "../share/doc/towpath/examples/collect.env.example"), "utf8");
    const names = [...example.matchAll(/^([A-Z_]+)=/gm)].map(([, name = ""]) => name);
    const settings = readFileSync(join(ROOT, "src/operator/settings.ts"), "utf8");
    const known = [...settings.matchAll(/pick\("[^"]+", "([A-Z_]+)"\)|env\.TOWPATH_([A-Z]+)/g)].map(
      ([, picked, read]) => `TOWPATH_${picked ?? read}`,
    );
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => name !== "COLLECT_FLAGS" && !known.includes(name))).toEqual([]);
  });

  it("never gives up, and writes nowhere but in its folder", () => {
    expect(one("Service.Restart")).toBe("always");
    expect(one("Unit.StartLimitIntervalSec")).toBe("0");
    expect(one("Service.ProtectSystem")).toBe("strict");
    expect(one("Service.StateDirectory")).toBe("towpath-collect");
    expect(unit.get("Service.CapabilityBoundingSet")).toEqual([""]);
    expect(one("Service.NoNewPrivileges")).toBe("yes");
  });

  it("lets a hook end before it is killed", () => {
    expect(Number(one("Service.TimeoutStopSec"))).toBeGreaterThan(35);
  });
});

describe("the rest of the system", () => {
  it("restarts a Pi that hangs: its watchdog counts to 15 s and no further", () => {
    const seconds = Number(readUnit("systemd/system.conf.d/50-towpath.conf").get("Manager.RuntimeWatchdogSec")?.[0]);
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(15);
  });

  it("keeps the system's own log off the card", () => {
    const journald = readUnit("systemd/journald.conf.d/50-towpath.conf");
    expect(journald.get("Journal.Storage")).toEqual(["volatile"]);
    expect(journald.get("Journal.ForwardToConsole")).toEqual(["no"]);
  });

  it("lets at most as much wait for the card as it can write before a command's record is due", () => {
    const dirty = Number(/^vm\.dirty_bytes = (\d+)$/m.exec(systemText("sysctl.d/50-towpath.conf"))?.[1]);
    const cardBytesPerSecond = 10e6;
    expect(dirty / cardBytesPerSecond).toBeLessThan(2);
  });

  it("restarts after a panic but not after an oops, because a restart moves relays", () => {
    const sysctl = systemText("sysctl.d/50-towpath.conf");
    expect(sysctl).toMatch(/^kernel\.panic = [1-9]\d*$/m);
    expect(sysctl).toMatch(/^kernel\.panic_on_oops = 0$/m);
  });

  it("keeps others from reading the broker's key and what was recorded", () => {
    const folders = systemText("tmpfiles.d/towpath.conf")
      .split("\n")
      .filter((line) => line.startsWith("d "))
      .map((line) => line.split(/\s+/).slice(1, 5));
    expect(folders).toEqual([
      ["/etc/towpath", "0750", "root", "towpath"],
      ["/var/lib/towpath", "0750", "towpath", "towpath"],
    ]);
  });
});
