import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Board, outletWhile, readBoard } from "../../src/config/board.ts";
import { checkConfig } from "../../src/config/config.ts";

const BOARDS = join(import.meta.dirname, "../../boards");
const yaml = (file: string) => parse(readFileSync(join(BOARDS, file), "utf8"));
const names = readdirSync(BOARDS).filter((file) => file.endsWith(".yaml"));
const part = (name: string) => yaml(`parts/${name}.yaml`);

function board(value: unknown): Board {
  const read = readBoard(value, part);
  if (!read.ok) throw new Error(read.what);
  return read.board;
}

const PI = { ...part("pi4"), pulls: { up: ["GPIO5"], down: ["GPIO6"] } };
const PRODUCT = {
  ...part("waveshare-8ch"),
  relays: { 1: { line: "GPIO5" }, 2: { line: "GPIO6" } },
  inputs: {},
  undriven: { up: "energised", down: "released", none: "unknown" },
  railLost: "released",
};
const made = (pi: object, product: object) => ({
  name: "x",
  kind: "gpiochip",
  pi: { ...PI, ...pi },
  relays: { ...PRODUCT, ...product },
  proven: "read",
  source: "a test",
});

describe("boards", () => {
  it("every board that is shipped can be read, and its file has its name", () => {
    expect(names.length).toBeGreaterThan(1);
    expect(names.map((file) => board(yaml(file)).name)).toEqual(names.map((file) => file.replace(".yaml", "")));
  });

  it("while nobody drives a line, the Pi's pull and the product's input decide what the relay does", () => {
    const { relays } = board(made({}, {}));
    expect([relays[1]?.pull, relays[1]?.while.booting]).toEqual(["up", "energised"]);
    expect([relays[2]?.pull, relays[2]?.while.booting]).toEqual(["down", "released"]);
  });

  it("a restart that takes the 3.3 V away tells the worse of both", () => {
    const lost = board(
      made({ rail3v3: { rebooting: "lost", proven: "read", source: "a test" } }, { railLost: "unknown" }),
    );
    expect([lost.relays[1]?.while.rebooting, lost.relays[2]?.while.rebooting]).toEqual(["energised", "unknown"]);
    const kept = board(
      made({ rail3v3: { rebooting: "kept", proven: "read", source: "a test" } }, { railLost: "unknown" }),
    );
    expect(kept.relays[2]?.while.rebooting).toBe("released");
    const unknown = board(
      made({ rail3v3: { rebooting: "unknown", proven: "read", source: "a test" } }, { railLost: "unknown" }),
    );
    expect(unknown.relays[2]?.while.rebooting).toBe("unknown");
  });

  it("a product that decides by itself is believed", () => {
    const latching = board(made({}, { while: { booting: "held", rebooting: "held" }, off: "held" }));
    expect(latching.relays[1]?.while).toEqual({ off: "held", booting: "held", rebooting: "held", crashed: "held" });
  });

  it("a line by offset is on the product's own chip, a line by name on the header", () => {
    const { relays, inputs } = board(
      made(
        { reserved: { GPIO6: "the fan" } },
        {
          chip: { label: "1-003f", overlay: "pca953x,addr=0x3f" },
          relays: { 1: { line: "#2" }, 2: { line: "#0" } },
          inputs: { s1: { line: "GPIO5" } },
          undriven: { up: "energised", down: "released", none: "unknown" },
        },
      ),
    );
    expect([relays[1]?.chip, relays[1]?.pin, relays[1]?.while.booting]).toEqual(["1-003f", null, "unknown"]);
    expect([inputs.s1?.chip, inputs.s1?.pin]).toEqual(["pinctrl-bcm2711", 29]);
  });

  it("an outlet follows from the relay and the contact its load is on", () => {
    const [relay] = Object.values(board(made({}, {})).relays);
    if (relay === undefined) throw new Error("no relay");
    expect((["off", "booting", "crashed"] as const).map((moment) => outletWhile(relay, "nc", moment))).toEqual([
      "on",
      "off",
      "stays as it is",
    ]);
    expect(outletWhile(relay, "no", "booting")).toBe("on");
    expect(outletWhile({ ...relay, while: { ...relay.while, off: "unknown" } }, "no", "off")).toContain("not known");
  });

  it("two things on one line, a line that the Pi needs, a missing part are refused by name", () => {
    const wrong = (value: unknown) => {
      const read = readBoard(value, () => undefined);
      return read.ok ? "" : read.what;
    };
    expect(wrong(made({}, { inputs: { s1: { line: "GPIO5" } } }))).toContain("GPIO5");
    expect(wrong(made({ reserved: { GPIO6: "the fan" } }, {}))).toContain("the fan");
    expect(wrong({ ...made({}, {}), pi: "pi9" })).toContain("pi9");
    expect(wrong(made({}, { relays: { 1: { line: "GPIO5", pin: 30 } } }))).toBe(
      "pin 30 of the header is GND, not GPIO5: GPIO5 is pin 29",
    );
    expect(wrong({ ...made({}, {}), kind: "magic" })).toContain("kind");
  });

  it("--check refuses an NC contact where the line opens it during boot, and takes NO there", () => {
    const checked = (contact: string) =>
      checkConfig(`site: one\nfleet: acme\ndata: d\nboard: x\noutlets:\n  a1: { relay: 1, contact: ${contact} }\n`, {
        resolve: (path) => `/${path}`,
        readBoard: () => JSON.stringify(made({}, {})),
        readPart: () => null,
        boards: [],
        insecureLab: false,
      });
    const refused = checked("nc");
    expect(refused.ok ? [] : refused.problems.map(({ where, what }) => [where, /GPIO5.*boots/.test(what)])).toEqual([
      ["outlets.a1.contact", true],
    ]);
    expect(checked("no").ok).toBe(true);
  });
});
