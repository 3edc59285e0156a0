import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkConfig } from "../../src/config/config.ts";
import { readNetUplinks } from "../../src/config/uplinks.ts";

const BOARD = readFileSync(join(import.meta.dirname, "../../boards/sim.yaml"), "utf8");
const here = {
  resolve: (path: string) => `/etc/towpath/${path}`,
  readBoard: (name: string) => (name === "sim" ? BOARD : null),
  readPart: () => null,
  boards: ["sim"],
  insecureLab: false,
};

const HEAD = "site: one\nfleet: acme\ndata: d\nboard: sim\n";
const check = (text: string, more: Partial<typeof here> = {}) => checkConfig(text, { ...here, ...more });
const places = (text: string) => {
  const checked = check(text);
  return checked.ok ? [] : checked.problems.map(({ where }) => where);
};
const said = (text: string) => {
  const checked = check(text);
  return checked.ok ? "" : checked.problems.map(({ where, what, todo }) => `${where}: ${what}. ${todo}`).join("\n");
};

describe("site.yaml", () => {
  it("the smallest one, and empty maps, are legal", () => {
    expect(check(HEAD).ok).toBe(true);
    expect(check(`${HEAD}outlets: {}\ndevices:\nconsoles:\n`).ok).toBe(true);
  });

  it("gives outlets their defaults", () => {
    const checked = check(`${HEAD}outlets:\n  a1: { relay: 1, contact: nc }\n`);
    expect(checked.ok && checked.config.plan.outlets.a1).toEqual({
      name: "a1",
      relay: 1,
      contact: "nc",
      offTimeMs: 5_000,
      onDelayMs: 0,
      offDelayMs: 0,
      powerRestore: "as-wired",
      minOffMs: 2_000,
      minOnMs: 10_000,
      rate: { max: 6, perMs: 3_600_000 },
      observe: null,
    });
    expect(checked.ok && checked.config.socket).toBe("/etc/towpath/d/towpath.sock");
  });

  it("tells every problem at once: unknown keys, wrong references, two owners, wrong kinds", () => {
    const text = `${HEAD}bogus: 1
outlets:
  a1: { relay: 1, contact: nc, colour: red }
  a2: { relay: 1, contact: sideways }
devices:
  r1: { outlets: [a9], consoles: [nope], after: [r2] }
  r2: { after: [r1] }
consoles:
  c1: { port: { path: /dev/a } }
  c2: { port: { path: /dev/a } }
controller: { path: [zz] }
`;
    expect(places(text).sort()).toEqual(
      [
        "bogus",
        "consoles.c2.port",
        "controller.path",
        "devices.r1.after",
        "devices.r1.consoles",
        "devices.r1.outlets",
        "outlets.a1.colour",
        "outlets.a2.contact",
        "outlets.a2.relay",
      ].sort(),
    );
  });

  it("a number where text is meant is refused with that reason", () => {
    expect(said("site: 7\nfleet: acme\ndata: d\nboard: sim\n")).toContain(
      "site: a number (or true/false) where text is meant. Put it in quotes.",
    );
    expect(said(`${HEAD}consoles:\n  c1: { port: { usb: "0403:6001", serial: 0001 } }\n`)).toContain(
      "consoles.c1.port.serial: a number",
    );
  });

  it("says where broken YAML is broken, and that a key came twice", () => {
    expect(said("site: [")).toContain("line 1");
    expect(said(`${HEAD}site: two\n`)).toMatch(/line 5: .*unique/);
  });

  it("what root's part wrote down of the uplinks is read back, and what another wrote is not believed", () => {
    const uplinks = { primary: { interface: "eth0" }, lte: { interface: "wwan0", source: "fixed" } } as const;
    expect(readNetUplinks(JSON.parse(JSON.stringify(uplinks)))).toEqual(uplinks);
    expect(readNetUplinks({ primary: null, lte: null })).toEqual({ primary: null, lte: null });
    for (const other of [null, {}, { primary: null }, { primary: null, lte: { interface: "a b", source: "fixed" } }])
      expect(readNetUplinks(other)).toBeNull();
  });

  it("a modem, a budget or a listener that cannot be is told with its place", () => {
    const wrong = `${HEAD}uplinks:
  lte: { interface: wwan0, modem: 490154203237518, budget: 100MB, modemOutlet: a9 }
access:
  listeners:
    - { console: c9, raw: "127.0.0.1:4001" }
    - { console: c1, telnet: "127.0.0.1:4001" }
    - { console: c1, rfc2217: "localhost:4001" }
outlets:
  a1: { relay: 1, contact: nc }
consoles:
  c1: { port: { path: /dev/a } }
`;
    const told = said(wrong);
    expect(told).toMatch(/uplinks\.lte\.modem: .*quotes/);
    expect(told).toContain("write 100MB/month or 4MB/day");
    expect(told).toContain("write an address and a port");
    const named = wrong
      .replace("modem: 490154203237518, budget: 100MB", 'modem: "490154203237518"')
      .replace("localhost", "[::1]");
    expect(said(named)).toContain('there is no outlet "a9"');
    expect(said(named)).toContain('there is no console "c9"');
    expect(said(named)).toMatch(/access.listeners.*127\.0\.0\.1:4001/s);
    expect(said(named.replace("[::1]", "0.0.0.0"))).toContain("0.0.0.0:4001 is every address, the LTE side too");
  });

  it("outlets that are never both on must not be put on by wiring or after a power cut", () => {
    const outlets = (first: string, second: string) =>
      `${HEAD}outlets:\n  a1: { relay: 1, ${first} }\n  a2: { relay: 2, ${second} }\ninterlocks: [[a1, a2]]\n`;
    expect(check(outlets("contact: nc", "contact: no")).ok).toBe(true);
    expect(said(outlets("contact: nc", "contact: nc"))).toContain("both on whenever the controller is off");
    const always = "contact: no, powerRestore: always-on";
    expect(said(outlets(always, always))).toContain("both always-on after a power cut");
    const one = `${HEAD}outlets:\n  a1: { relay: 1, contact: no }\n`;
    expect(places(`${one}interlocks: [[a1]]\n`)).toEqual(["interlocks.0"]);
    expect(said(`${one}interlocks: [[a1, a9]]\n`)).toContain('there is no outlet "a9"');
    expect(said(`${one}interlocks: [[a1, a1]]\n`)).toContain("named twice");
  });

  it("a console vouches only for an outlet that feeds its device", () => {
    const text = (device: string) =>
      `${HEAD}outlets:\n  a1: { relay: 1, contact: nc, observe: { console: c1 } }\ndevices:\n  r1: ${device}\nconsoles:\n  c1: { port: { path: /dev/a } }\n`;
    expect(check(text("{ outlets: [a1], consoles: [c1] }")).ok).toBe(true);
    expect(places(text("{ outlets: [], consoles: [c1] }"))).toEqual(["outlets.a1.observe.console"]);
  });

  it("ports are named by USB identity or by socket, and a wrong spelling says how it is written", () => {
    const port = (text: string) => `${HEAD}consoles:\n  c1: { port: ${text} }\n`;
    const good = [
      '{ usb: "0403:6001" }',
      '{ usb: "0403:6001", serial: "A50285BI", interface: 0 }',
      '{ hub: "1.2" }',
      '{ hub: "0000:01:00.0/1.2", usb: "0403:6001", interface: 1, channel: 2 }',
    ];
    expect(good.filter((text) => !check(port(text)).ok)).toEqual([]);
    const checked = check(port('{ usb: "0403:6001", serial: "A50285BI" }'));
    expect(checked.ok && checked.config.consoles[0]?.port).toEqual({ usb: "0403:6001", serial: "A50285BI" });
    expect(said(port('{ usb: "0403:600A" }'))).toContain("consoles.c1.port.usb: write it as `towpath ports` does");
    expect(said(port("{ hub: 1.2 }"))).toContain("consoles.c1.port.hub: a number (or true/false) where text is meant");
    expect(said(port('{ hub: "1-1.2" }'))).toContain("consoles.c1.port.hub: write the socket");
    expect(places(port('{ usb: "0403:6001", colour: red }'))).toEqual(["consoles.c1.port.colour"]);
  });

  it("a board that is not there names those that are", () => {
    expect(said("site: one\nfleet: acme\ndata: d\nboard: pi9\n")).toContain('there is no board "pi9". Use one of: sim');
  });

  it("relays and inputs beyond the board are refused", () => {
    expect(places(`${HEAD}outlets:\n  a1: { relay: 17, contact: nc, observe: { input: s17 } }\n`)).toEqual([
      "outlets.a1.relay",
      "outlets.a1.observe.input",
    ]);
  });

  it("plaintext leaves this machine only in a lab", () => {
    const link = (url: string) => `${HEAD}link: { brokers: [ "${url}" ] }\n`;
    expect(places(link("mqtt://10.0.0.1:1883"))).toEqual(["link.brokers.0"]);
    expect(check(link("mqtt://127.0.0.1:1883")).ok).toBe(true);
    expect(check(link("mqtts://10.0.0.1:8883")).ok).toBe(true);
    expect(check(link("mqtt://10.0.0.1:1883"), { insecureLab: true }).ok).toBe(true);
    expect(check(link("http://x")).ok).toBe(false);
  });

  it("whatever the text is, it is read or refused, never thrown at", () => {
    fc.assert(
      fc.property(fc.string(), (text) => void check(text)),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => void check(JSON.stringify(value))),
      { numRuns: 500 },
    );
    const piece = fc.constantFrom(
      "outlets:",
      "  a1: { relay: 1, contact: nc }",
      "devices:",
      "  d: { outlets: [a1] }",
      "consoles: 5",
      "site: x",
      "{",
      "- a",
      "link: {}",
      "controller: { poweredBy: [a1] }",
    );
    fc.assert(
      fc.property(fc.array(piece), (lines) => void check(HEAD + lines.join("\n"))),
      { numRuns: 1_000 },
    );
  });
});
