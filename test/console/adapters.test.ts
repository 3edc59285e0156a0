import { describe, expect, it, onTestFinished } from "vitest";
import { adaptersMark, scanAdapters, usbControllers } from "../../src/console/adapters.ts";
import { type PortBinding, portYaml, resolvePort, suggestPort, twinsOf } from "../../src/console/binding.ts";
import { createLocator } from "../../src/console/locator.ts";
import { type FakeMachine, fakeMachine } from "../fake-machine.ts";

const FTDI = "0403:6001";

function machine(fill: (made: FakeMachine) => void): FakeMachine {
  const made = fakeMachine();
  onTestFinished(made.end);
  fill(made);
  return made;
}

const where = (made: FakeMachine, port: PortBinding) => {
  const found = resolvePort(port, scanAdapters(made.files));
  return found.ok ? found.node : `${found.code}: ${found.detail}`;
};

describe("what is plugged in, read from sysfs", () => {
  it("a USB adapter tells who made it, which it is and in which socket it sits", () => {
    const { files } = machine((made) =>
      made.adapter({
        ...{ tty: "ttyUSB0", id: FTDI, port: "1-1.2", serial: "A50285BI", latencyMs: 16 },
        byId: "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
        byPath: "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0",
      }),
    );
    expect(scanAdapters(files)).toEqual([
      {
        node: "/dev/ttyUSB0",
        driver: "ftdi_sio",
        number: "188:0",
        latencyMs: 16,
        byId: ["/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"],
        byPath: ["/dev/serial/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.2:1.0-port0"],
        usb: {
          id: FTDI,
          manufacturer: "FTDI",
          product: "FT232R USB UART",
          serial: "A50285BI",
          interface: 0,
          channel: 0,
          hub: "1.2",
          controller: "0000:01:00.0",
          powerControl: "on",
        },
      },
    ]);
  });

  it("the socket keeps its name when the buses start in another order", () => {
    const hubs = ["1-1.2", "3-1.2"].map((port) => {
      const { files } = machine((made) => made.adapter({ tty: "ttyUSB0", id: FTDI, port }));
      return scanAdapters(files)[0]?.usb?.hub;
    });
    expect(hubs).toEqual(["1.2", "1.2"]);
  });

  it("a ttyACM, a port of a four-port chip and the board's own UART are found; UARTs that never answered are not", () => {
    const { files } = machine((made) => {
      made.adapter({ tty: "ttyACM0", id: "2341:0043", port: "1-1.3", serial: "85736" });
      made.adapter({ tty: "ttyUSB10", id: "0403:6011", port: "1-1.4", interface: 10 });
      made.adapter({ tty: "ttyUSB9", id: "9710:7840", port: "1-1.1", channel: 3, driver: "mos7840" });
      made.uart("ttyAMA0", 32);
      made.uart("ttyS1", 0);
      made.file("sys/class/tty/tty1/dev", "4:1\n");
    });
    const found = scanAdapters(files).map((one) => [one.node, one.driver, one.usb?.interface, one.usb?.channel]);
    expect(found).toEqual([
      ["/dev/ttyACM0", "cdc_acm", 0, null],
      ["/dev/ttyAMA0", "uart-pl011", undefined, undefined],
      ["/dev/ttyUSB9", "mos7840", 0, 3],
      ["/dev/ttyUSB10", "ftdi_sio", 10, 0],
    ]);
  });

  it("a machine without any has none, and the mark changes when one comes, goes or is replaced", () => {
    const made = machine(() => undefined);
    expect(scanAdapters(made.files)).toEqual([]);
    expect(usbControllers(made.files)).toEqual([]);
    const marks = [adaptersMark(made.files)];
    made.adapter({ tty: "ttyUSB0", id: FTDI, port: "1-1.2", serial: "A" });
    marks.push(adaptersMark(made.files));
    expect(adaptersMark(made.files)).toBe(marks[1]);
    made.adapter({ tty: "ttyUSB1", id: FTDI, port: "1-1.3", serial: "B" });
    marks.push(adaptersMark(made.files));
    made.unplug("ttyUSB0");
    marks.push(adaptersMark(made.files));
    expect(new Set(marks).size).toBe(4);
  });
});

describe("which adapter a port means", () => {
  const two = () =>
    machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: FTDI, port: "1-1.2", serial: "A50285BI" });
      made.adapter({ tty: "ttyUSB1", id: FTDI, port: "1-1.3", serial: "B7" });
    });

  it("the one with the serial number, in whichever socket it sits", () => {
    expect(where(two(), { usb: FTDI, serial: "A50285BI" })).toBe("/dev/ttyUSB0");
    expect(where(two(), { usb: FTDI, serial: "B7", interface: 0 })).toBe("/dev/ttyUSB1");
    const moved = machine((made) => made.adapter({ tty: "ttyUSB7", id: FTDI, port: "3-2", serial: "A50285BI" }));
    expect(where(moved, { usb: FTDI, serial: "A50285BI" })).toBe("/dev/ttyUSB7");
  });

  it("none where it is missing; others of its kind are named", () => {
    expect(where(two(), { usb: FTDI, serial: "C9" })).toBe(
      "console.missing: no adapter 0403:6001 with the serial number C9 is plugged in; there are 0403:6001 with other serial numbers: A50285BI, B7",
    );
    expect(where(two(), { usb: "10c4:ea60" })).toBe("console.missing: no adapter 10c4:ea60 is plugged in");
    expect(where(two(), { hub: "1.4" })).toBe("console.missing: no adapter is plugged in at hub 1.4");
  });

  it("twins are not opened, and the line that binds them by socket is told", () => {
    const twins = machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: "10c4:ea60", port: "1-1.2", serial: "0001" });
      made.adapter({ tty: "ttyUSB1", id: "10c4:ea60", port: "1-1.3", serial: "0001", byId: "usb-CP2102_0001" });
    });
    const told = where(twins, { usb: "10c4:ea60", serial: "0001", interface: 0 });
    expect(told).toMatch(/^console\.quarantined: 2 adapters fit .*cannot be told apart/);
    expect(told).toContain('hub: "1.2" or "1.3", usb: "10c4:ea60"');
    expect(where(twins, { path: "/dev/serial/by-id/usb-CP2102_0001" })).toMatch(/^console\.quarantined/);
    expect(where(twins, { path: "/dev/ttyUSB1" })).toBe("/dev/ttyUSB1");
    const trip = { path: "/dev/ttyUSB1", usb: "10c4:ea60" };
    expect(where(twins, trip)).toBe("/dev/ttyUSB1");
    expect(where(twins, { ...trip, serial: "0001" })).toBe("/dev/ttyUSB1");
    expect(where(twins, { ...trip, serial: "0002" })).toMatch(/^console\.quarantined: .*0001.*not 10c4:ea60 0002/);
    expect(where(twins, { ...trip, usb: FTDI })).toMatch(/^console\.quarantined: at \/dev\/ttyUSB1 sits 10c4:ea60/);
    expect(where(twins, { path: "/dev/ttyUSB9", usb: FTDI })).toMatch(/^console\.missing/);
    expect(where(twins, { hub: "1.3", usb: "10c4:ea60" })).toBe("/dev/ttyUSB1");
  });

  it("adapters without a serial number are twins as soon as there are two of them", () => {
    const one = machine((made) => made.adapter({ tty: "ttyUSB0", id: "1a86:7523", port: "1-1.2" }));
    expect(where(one, { usb: "1a86:7523" })).toBe("/dev/ttyUSB0");
    one.adapter({ tty: "ttyUSB1", id: "1a86:7523", port: "1-1.3" });
    expect(where(one, { usb: "1a86:7523" })).toMatch(/^console\.quarantined/);
    const adapters = scanAdapters(one.files);
    expect(adapters.map((adapter) => twinsOf(adapter, adapters).length)).toEqual([1, 1]);
  });

  it("a stranger in the socket is not opened", () => {
    expect(where(two(), { hub: "1.2", usb: "1a86:7523" })).toBe(
      "console.quarantined: at hub 1.2 sits 0403:6001 (FT232R USB UART), not 1a86:7523: put the right adapter there, or correct usb: if the exchange was meant",
    );
    expect(where(two(), { hub: "1.2", usb: FTDI })).toBe("/dev/ttyUSB0");
    expect(where(two(), { hub: "1.2" })).toBe("/dev/ttyUSB0");
  });

  it("of a chip with several ports the interface or channel must say which", () => {
    const quad = machine((made) => {
      for (const number of [0, 1, 2, 3])
        made.adapter({ tty: `ttyUSB${number}`, id: "0403:6011", port: "1-1.2", serial: "Q", interface: number });
    });
    expect(where(quad, { usb: "0403:6011", serial: "Q", interface: 2 })).toBe("/dev/ttyUSB2");
    expect(where(quad, { usb: "0403:6011", serial: "Q" })).toContain("add one of: interface: 0");
    expect(where(quad, { hub: "1.2", interface: 7 })).toContain("console.missing: the adapter at hub 1.2 has no such");
    const channels = machine((made) => {
      for (const channel of [0, 1]) made.adapter({ tty: `ttyUSB${channel}`, id: "9710:7840", port: "1-1.2", channel });
    });
    expect(where(channels, { hub: "1.2", interface: 0 })).toContain("several ports");
    expect(where(channels, { hub: "1.2", channel: 1 })).toBe("/dev/ttyUSB1");
  });

  it("two controllers with the same socket number: the short name is refused, the long one is exact", () => {
    const pi5 = machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: FTDI, port: "1-1", controller: "xhci-hcd.0" });
      made.adapter({ tty: "ttyUSB1", id: FTDI, port: "3-1", controller: "xhci-hcd.1" });
    });
    expect(usbControllers(pi5.files)).toEqual(["xhci-hcd.0", "xhci-hcd.1"]);
    expect(where(pi5, { hub: "1" })).toContain('hub: "xhci-hcd.0/1" or "xhci-hcd.1/1"');
    expect(where(pi5, { hub: "xhci-hcd.1/1", usb: FTDI })).toBe("/dev/ttyUSB1");
  });

  it("every line that is proposed leads back to its adapter, alone", () => {
    const full = machine((made) => {
      made.adapter({ tty: "ttyUSB0", id: FTDI, port: "1-1.1", serial: "A" });
      made.adapter({ tty: "ttyUSB1", id: "10c4:ea60", port: "1-1.2", serial: "0001" });
      made.adapter({ tty: "ttyUSB2", id: "10c4:ea60", port: "1-1.3", serial: "0001" });
      for (const number of [0, 1])
        made.adapter({ tty: `ttyUSB${3 + number}`, id: "0403:6010", port: "1-1.4.1", serial: "D", interface: number });
      for (const channel of [0, 1])
        made.adapter({ tty: `ttyUSB${5 + channel}`, id: "9710:7840", port: "1-1.4.2", channel });
      made.adapter({ tty: "ttyUSB7", id: "1a86:7523", port: "3-1.2", controller: "xhci-hcd.1" });
      made.uart("ttyAMA0", 32);
    });
    const adapters = scanAdapters(full.files);
    expect(adapters).toHaveLength(9);
    const proposed = adapters.map((adapter) => suggestPort(adapter, adapters, usbControllers(full.files).length));
    expect(proposed.map((port) => where(full, port))).toEqual(adapters.map(({ node }) => node));
    expect(proposed.slice(1, 5).map(portYaml)).toEqual([
      '{ usb: "0403:6001", serial: "A" }',
      '{ hub: "0000:01:00.0/1.2", usb: "10c4:ea60" }',
      '{ hub: "0000:01:00.0/1.3", usb: "10c4:ea60" }',
      '{ usb: "0403:6010", serial: "D", interface: 0 }',
    ]);
  });
});

describe("the locator", () => {
  it("looks at most twice a second, whoever asks, and sees what came since", () => {
    let now = 0;
    const made = machine((one) => one.adapter({ tty: "ttyUSB0", id: FTDI, port: "1-1.2", serial: "A" }));
    const locator = createLocator(() => now, made.files);
    const port = { usb: FTDI, serial: "B" };
    expect(locator.locate({ usb: FTDI, serial: "A" })).toBe("/dev/ttyUSB0");
    made.adapter({ tty: "ttyUSB1", id: FTDI, port: "1-1.3", serial: "B" });
    now = 499;
    expect(locator.locate(port)).toMatchObject({ code: "console.missing" });
    now = 500;
    expect(locator.locate(port)).toBe("/dev/ttyUSB1");
    expect(locator.adapters().map(({ node }) => node)).toEqual(["/dev/ttyUSB0", "/dev/ttyUSB1"]);
  });
});
