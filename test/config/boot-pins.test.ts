import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { readBoard } from "../../src/config/board.ts";
import { bootPins } from "../../src/config/boot-pins.ts";

const yaml = (file: string) => parse(readFileSync(join(import.meta.dirname, "../../boards", `${file}.yaml`), "utf8"));

function pins(name: string, relays: number[]): string[] {
  const read = readBoard(yaml(name), (part) => yaml(`parts/${part}`));
  if (!read.ok) throw new Error(read.what);
  return bootPins(read.board, relays)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

describe("what a board asks of the firmware", () => {
  it("a relay that a low line energises is put high, one that a high line energises low", () => {
    expect(pins("pi4-waveshare-8ch", [1, 2])).toEqual(["[all]", "gpio=5,6=op,dh"]);
    expect(pins("pi5-sb-pirelay-4ch", [3, 4])).toEqual(["[all]", "gpio=5,6=op,dl"]);
  });

  it("only the relays that are used are driven, each once, in order", () => {
    expect(pins("pi3-waveshare-3ch", [1, 3, 1])).toEqual(["[all]", "gpio=21,26=op,dh"]);
  });

  it("an expander gets its bus and its overlay, and no level: the firmware cannot reach its lines", () => {
    expect(pins("zero2w-sequent-8relays", [1, 8])).toEqual([
      "[all]",
      "dtparam=i2c_arm=on",
      "dtoverlay=pca953x,addr=0x3f",
    ]);
  });

  it("nothing used, or a board without hardware, needs nothing", () => {
    expect(pins("pi4-waveshare-8ch", [])).toEqual([]);
    expect(pins("sim", [1])).toEqual([]);
  });

  it("says in the file itself that it holds nothing through a restart", () => {
    const read = readBoard(yaml("pi4-waveshare-8ch"), (part) => yaml(`parts/${part}`));
    expect(read.ok ? bootPins(read.board, [1]) : "").toMatch(/pi4-waveshare-8ch[\s\S]*holds a relay energised/);
  });

  it("a relay that the board does not have is a mistake of the program, not left out in silence", () => {
    expect(() => pins("pi4-waveshare-3ch", [4])).toThrow("no relay 4");
  });
});
