import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { opensNcAtBoot, outletWhile } from "../../src/config/board.ts";
import { checkConfig } from "../../src/config/config.ts";
import { HEADER_PINS, headerPin } from "../../src/config/header.ts";
import { boardText, PARTS, PIS, PRODUCTS, SETS, shippedBoard } from "../wiring/shipped.ts";

/** What `--check` says of every relay of a board, each with its load on this contact. */
function check(name: string, contact: "nc" | "no"): string[] {
  const outlets = Object.keys(shippedBoard(name).relays).map((n) => `  a${n}: { relay: ${n}, contact: ${contact} }\n`);
  const site = `site: one\nfleet: acme\ndata: d\nboard: ${name}\noutlets:\n${outlets.join("")}`;
  const checked = checkConfig(site, {
    resolve: (path) => `/${path}`,
    readBoard: (one) => boardText(one),
    readPart: (part) => boardText(`parts/${part}`),
    boards: [...SETS],
    insecureLab: false,
  });
  return checked.ok ? [] : checked.problems.map(({ where, what }) => `${where}: ${what}`);
}

describe("the boards that are shipped", () => {
  it("every relay product goes with every Pi, under both names", () => {
    expect(PRODUCTS.length).toBeGreaterThan(5);
    expect(SETS).toEqual(PIS.flatMap((pi) => PRODUCTS.map((product) => `${pi}-${product}`)).sort());
    for (const name of SETS) {
      const { parts } = shippedBoard(name);
      expect(`${parts?.pi.name}-${parts?.product.name}`).toBe(name);
    }
  });

  it("every part names the page, file or data sheet its facts were read in", () => {
    expect([...PIS, ...PRODUCTS].sort()).toEqual([...PARTS]);
    expect(PIS).toEqual(["pi3", "pi4", "pi5", "zero2w"]);
    for (const name of PARTS) {
      const { source, proven } = parse(boardText(`parts/${name}`));
      expect([name, proven, source.length > 40]).toEqual([name, "read", true]);
    }
  });

  it("no relay and no input is on a line that the Pi needs itself", () => {
    for (const { name, relays, inputs, parts } of SETS.map(shippedBoard)) {
      const lines = [...Object.values(relays), ...Object.values(inputs)].map(({ line }) => line);
      expect(lines.length).toBeGreaterThan(5);
      expect([name, lines.filter((line) => Object.hasOwn(parts?.pi.reserved ?? {}, line))]).toEqual([name, []]);
    }
  });

  it("every wire has its pin written down, and it is the pin of its line", () => {
    for (const product of PRODUCTS) {
      const { relays, inputs } = parse(boardText(`parts/${product}`));
      const wires: { line: string; pin?: number }[] = [...Object.values(relays), ...Object.values(inputs)].flatMap(
        (one) => (isWire(one) ? [one] : []),
      );
      expect(wires.length).toBe(Object.keys(relays).length + Object.keys(inputs).length);
      for (const { line, pin } of wires) {
        if (line.startsWith("#")) expect([product, line, pin]).toEqual([product, line, undefined]);
        else expect([product, line, HEADER_PINS[(pin ?? 0) - 1]]).toEqual([product, line, line]);
      }
    }
  });

  it("supply wires go to supply pins only", () => {
    const module = shippedBoard("pi4-optocoupler-8ch").parts?.product.supplyWires ?? {};
    expect(Object.entries(module).map(([terminal, pin]) => [terminal, HEADER_PINS[pin - 1]])).toEqual([
      ["VCC", "3.3 V"],
      ["GND", "GND"],
    ]);
  });

  it("a product is wired the same on every Pi", () => {
    for (const product of PRODUCTS) {
      const wired = PIS.map((pi) => {
        const { relays, inputs, energised } = shippedBoard(`${pi}-${product}`);
        const pins = Object.entries(relays).map(([n, { line, pin }]) => [n, line, pin]);
        return { energised, pins, inputs: Object.entries(inputs).map(([n, { line, pin }]) => [n, line, pin]) };
      });
      for (const one of wired) expect(one).toEqual(wired[0]);
    }
  });
});

const isWire = (one: unknown): one is { line: string; pin?: number } =>
  typeof one === "object" && one !== null && "line" in one && typeof one.line === "string";

describe("the header", () => {
  it("has forty pins: GPIO 2 to 27 and the EEPROM's two once each, eight grounds, two of each supply", () => {
    const lines = ["ID_SDA", "ID_SCL", ...Array.from({ length: 26 }, (_, n) => `GPIO${n + 2}`)];
    const supplies = [...Array(8).fill("GND"), "3.3 V", "3.3 V", "5 V", "5 V"];
    expect([...HEADER_PINS].sort()).toEqual([...lines, ...supplies].sort());
  });

  it("has its well-known corners", () => {
    const known = { GPIO2: 3, GPIO14: 8, GPIO17: 11, GPIO18: 12, GPIO10: 19, ID_SDA: 27, GPIO5: 29, GPIO21: 40 };
    expect(Object.keys(known).map(headerPin)).toEqual(Object.values(known));
    expect([headerPin("GND"), headerPin("#3"), headerPin("GPIO28")]).toEqual([null, null, null]);
    expect([1, 2, 6, 9, 17, 39].map((pin) => HEADER_PINS[pin - 1])).toEqual([
      "3.3 V",
      "5 V",
      "GND",
      "GND",
      "3.3 V",
      "GND",
    ]);
  });
});

describe("what --check says of a load on NC", () => {
  const refused: Record<string, number[]> = {
    "keyestudio-4ch": [1, 3],
    "optocoupler-8ch": [],
    "pimoroni-automation-hat": [],
    "sb-pirelay-4ch": [3, 4],
    "sequent-8relays": [1, 2, 3, 4, 5, 6, 7, 8],
    "waveshare-3ch": [],
    "waveshare-8ch": [],
  };

  it("every product has a verdict here", () => expect(Object.keys(refused)).toEqual(PRODUCTS));

  it.each([...SETS])("%s: exactly the relays whose line may open the contact at boot are refused", (name) => {
    const relays = refused[name.slice(name.indexOf("-") + 1)] ?? [];
    expect(check(name, "nc").map((problem) => problem.split(":")[0])).toEqual(
      relays.map((relay) => `outlets.a${relay}.contact`),
    );
    expect(check(name, "no")).toEqual([]);
    const opens = Object.entries(shippedBoard(name).relays).filter(([, relay]) => opensNcAtBoot(relay) !== null);
    expect(opens.map(([number]) => Number(number))).toEqual(relays);
  });

  it("tells the pull that opens it, or that the product decides and nobody knows how", () => {
    expect(check("pi4-sb-pirelay-4ch", "nc")[0]).toContain("GPIO6 is pulled up while the Pi boots");
    expect(check("pi5-sequent-8relays", "nc")[0]).toContain("not known");
  });

  it("a restart is told for the Pi it is on: known where the 3.3 V stays, not known where it goes or nobody measured", () => {
    const restart = (name: string) => {
      const [relay] = Object.values(shippedBoard(name).relays);
      return relay === undefined ? "" : outletWhile(relay, "nc", "rebooting");
    };
    expect(PIS.map((pi) => restart(`${pi}-waveshare-8ch`))).toEqual([
      "on",
      "not known: on or off",
      "not known: on or off",
      "not known: on or off",
    ]);
    expect(PIS.map((pi) => restart(`${pi}-optocoupler-8ch`))).toEqual(["on", "on", "on", "on"]);
    expect(restart("pi4-sequent-8relays")).toBe("stays as it is");
  });
});
