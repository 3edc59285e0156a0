import { describe, expect, it, onTestFinished } from "vitest";
import { boundPorts, sharedPortProblems } from "../../firmware/bound-ports.ts";
import { scanAdapters } from "../../src/console/adapters.ts";
import { fakeMachine } from "../fake-machine.ts";
import { siteOf } from "./site.ts";

describe("consoles on this machine", () => {
  it("one adapter under two spellings has two owners, and both are named", () => {
    const made = fakeMachine();
    onTestFinished(made.end);
    made.adapter({ tty: "ttyUSB0", id: "0403:6001", port: "1-1.2", serial: "A", byPath: "pci-usb-0:1.2:1.0-port0" });
    made.adapter({ tty: "ttyUSB1", id: "0403:6001", port: "1-1.3", serial: "B" });
    const config = siteOf(`consoles:
  c1: { port: { usb: "0403:6001", serial: "A" } }
  c2: { port: { path: /dev/serial/by-path/pci-usb-0:1.2:1.0-port0 } }
  c3: { port: { hub: "1.2" } }
  c4: { port: { usb: "0403:6001", serial: "B" } }
  c5: { port: { usb: "0403:6001", serial: "Z" } }
`);
    const ports = boundPorts(config, scanAdapters(made.files), made.files);
    expect(ports.map(({ located }) => (located.ok ? located.node : located.code))).toEqual([
      ...["/dev/ttyUSB0", "/dev/ttyUSB0", "/dev/ttyUSB0", "/dev/ttyUSB1", "console.missing"],
    ]);
    expect(sharedPortProblems(ports).map(({ where, what }) => `${where} ${what}`)).toEqual([
      "consoles.c2.port is /dev/ttyUSB0, which consoles.c1.port is too",
      "consoles.c3.port is /dev/ttyUSB0, which consoles.c1.port is too",
    ]);
  });
});
