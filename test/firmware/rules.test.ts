import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { applyRules, type Device, type Outcome, parseRules } from "./udev.ts";
import { SYSTEM, systemText } from "./unit-file.ts";

const rules = parseRules(systemText("udev/rules.d/60-towpath.rules"));
const apply = (device: Device): Outcome => applyRules(rules, device);

/** A port as it looks after 60-serial.rules. */
function port(what: {
  kernel?: string;
  vendor: string;
  driver: string;
  interfaces?: string;
  action?: Device["action"];
  env?: Record<string, string>;
}): Device {
  return {
    action: what.action ?? "add",
    subsystem: "tty",
    kernel: what.kernel ?? "ttyUSB0",
    drivers: [what.driver, "usb", "hub", "xhci_hcd"],
    env: { ID_VENDOR_ID: what.vendor, ID_USB_INTERFACES: what.interfaces ?? ":ffffff:", ...what.env },
  };
}

const ignored = ({ env }: Outcome): boolean => env.ID_MM_DEVICE_IGNORE === "1" && env.ID_MM_PORT_IGNORE === "1";

describe("ModemManager", () => {
  it("leaves every common console adapter alone", () => {
    const adapters = {
      "0403": "ftdi_sio",
      "10c4": "cp210x",
      "1a86": "ch341",
      "067b": "pl2303",
      "9710": "mos7840",
      "04e2": "xr_serial",
    };
    for (const [vendor, driver] of Object.entries(adapters))
      expect([vendor, ignored(apply(port({ vendor, driver })))]).toEqual([vendor, true]);
  });

  it("leaves an adapter of an unknown maker alone, when its driver is of adapters", () => {
    expect(ignored(apply(port({ vendor: "abcd", driver: "cp210x" })))).toBe(true);
  });

  it("leaves a console with a USB socket of its own alone, also of a maker nobody has heard of", () => {
    for (const vendor of ["05a6", "abcd"]) {
      const acm = port({ kernel: "ttyACM0", vendor, driver: "cdc_acm", interfaces: ":020201:0a0000:" });
      expect(ignored(apply(acm))).toBe(true);
    }
  });

  it("keeps its modems: by their driver, their maker, or a network function beside the port", () => {
    const modems = [
      port({ vendor: "2c7c", driver: "option", interfaces: ":ffffff:ff0000:" }),
      port({ vendor: "abcd", driver: "option" }),
      port({ vendor: "1546", driver: "cdc_acm", kernel: "ttyACM0", interfaces: ":020201:0a0000:" }),
      ...[":020600:", ":020d00:", ":020e00:", ":e00103:", ":ef0401:"].map((network) =>
        port({ vendor: "abcd", driver: "cdc_acm", kernel: "ttyACM0", interfaces: `:020201:0a0000${network}0a0000:` }),
      ),
    ];
    for (const modem of modems) {
      const outcome = apply(modem);
      expect(ignored(outcome)).toBe(false);
      expect(outcome.programs).toEqual([]);
    }
  });

  it("keeps a modem behind an adapter's chip, when the site says so", () => {
    const adapter = { vendor: "0403", driver: "ftdi_sio" };
    expect(ignored(apply(port({ ...adapter, env: { TOWPATH_MODEM: "1" } })))).toBe(false);
    expect(ignored(apply(port({ ...adapter, env: { ID_MM_DEVICE_PROCESS: "1" } })))).toBe(false);
  });

  it("leaves a modem-like console alone, when the site says so", () => {
    expect(ignored(apply(port({ vendor: "2c7c", driver: "option", env: { TOWPATH_CONSOLE: "1" } })))).toBe(true);
  });

  it("finds it said at the whole device too", () => {
    const device = (vendor: string, interfaces: string): Device => ({
      action: "add",
      subsystem: "usb",
      kernel: "1-1.3",
      driver: "usb",
      env: { DEVTYPE: "usb_device", ID_VENDOR_ID: vendor, ID_USB_INTERFACES: interfaces },
    });
    expect(apply(device("0403", ":ffffff:")).env.ID_MM_DEVICE_IGNORE).toBe("1");
    expect(apply(device("2c7c", ":ff0000:ffffff:")).env.ID_MM_DEVICE_IGNORE).toBeUndefined();
  });

  it("is told in time: after the identity is known, before its own rules look", () => {
    const [own = "", ...more] = readdirSync(join(SYSTEM, "udev/rules.d"));
    expect(more).toEqual([]);
    expect([own > "60-serial.rules", own < "77-mm-usb-device-blacklist.rules"]).toEqual([true, true]);
  });

  it("is not told by the maker of the hub above: attributes of parents are not asked", () => {
    expect(rules.flat().filter(({ key }) => key === "ATTRS")).toEqual([]);
  });
});

describe("a fresh port", () => {
  it("is set raw and without echo before anybody but udev can open it", () => {
    const [program, ...more] = apply(port({ vendor: "0403", driver: "ftdi_sio" })).programs;
    expect(more).toEqual([]);
    expect(program).toMatch(/^\/usr\/bin\/stty -F \$devnode -drain raw -echo .*-hupcl clocal$/);
    expect(rules.flat().filter(({ key }) => key === "RUN")).toEqual([]);
  });

  it("is left alone by a later trigger, which would reach into a port in use", () => {
    expect(apply(port({ vendor: "0403", driver: "ftdi_sio", action: "change" })).programs).toEqual([]);
  });

  it("that is no USB port is left alone: it may be the Pi's own console", () => {
    const own = apply({ action: "add", subsystem: "tty", kernel: "ttyAMA0", drivers: ["uart-pl011"] });
    expect(own.programs).toEqual([]);
    expect(ignored(own)).toBe(false);
  });
});

describe("hardware", () => {
  it("gives relays and expanders to their groups", () => {
    const chip = apply({ action: "add", subsystem: "gpio", kernel: "gpiochip0" });
    expect([chip.group, chip.mode]).toEqual(["gpio", "0660"]);
    expect(apply({ action: "add", subsystem: "i2c-dev", kernel: "i2c-1" }).group).toBe("i2c");
  });

  it("lets no adapter and no hub sleep", () => {
    const usb = {
      action: "add",
      subsystem: "usb",
      kernel: "1-1",
      driver: "usb",
      attributes: ["power/control"],
    } as const;
    for (const vendor of ["0403", "05e3"]) {
      const outcome = apply({ ...usb, env: { DEVTYPE: "usb_device", ID_VENDOR_ID: vendor } });
      expect(outcome.attributes).toEqual({ "power/control": "on" });
    }
  });

  it("keeps FTDI's latency at 16 ms", () => {
    const ftdi = { action: "add", subsystem: "usb-serial", kernel: "ttyUSB0", driver: "ftdi_sio" } as const;
    expect(apply({ ...ftdi, attributes: ["latency_timer"] }).attributes).toEqual({ latency_timer: "16" });
  });

  it("that goes away is left alone", () => {
    expect(ignored(apply(port({ vendor: "0403", driver: "ftdi_sio", action: "remove" })))).toBe(false);
  });
});
