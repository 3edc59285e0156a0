import { describe, expect, it } from "vitest";
import { LogPrinter } from "../../src/operator/cli/log-printer.ts";
import { BadPattern, CostlyPattern, compileSearch, withoutOrders } from "../../src/operator/grep.ts";
import { cut } from "./chunks.ts";

const badAt = (pattern: string): number | null => {
  try {
    compileSearch(pattern, false);
    return null;
  } catch (error) {
    return error instanceof BadPattern ? error.at : Number.NaN;
  }
};

describe("a pattern", () => {
  it.each([
    ["a**", 2],
    ["(oops", 0],
    ["(a)(b", 3],
    ["a)b", 1],
    ["[z-a]", 0],
    ["x[", 1],
    ["ok", null],
    ["panic|oops", null],
    ["^\\[ *\\d+\\.\\d+\\]", null],
  ])("%s: where it goes wrong is told", (pattern, at) => expect(badAt(pattern)).toBe(at));

  it("that backtracks without end is given up, and the lines before it were searched", () => {
    const search = compileSearch("(a+)+$", false, 100);
    expect(search.matching(["aaa", "b"])).toEqual([true, false]);
    const began = performance.now();
    expect(() => search.matching(["aaa", `${"a".repeat(60)}b`])).toThrow(CostlyPattern);
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  it("finds text although the terminal was told to colour it", () => {
    expect(withoutOrders("\u001b[1;31mpa\u001b[0mnic \u001b]0;title\u0007now\u001b(B \u009b2Kend")).toBe(
      "panic now end",
    );
    expect(withoutOrders("cut off \u001b[3")).toBe("cut off \u001b[3");
  });
});

describe("log --grep", () => {
  const bytes = Buffer.from("quiet\r\nkernel \u001b[31mpanic\u001b[0m: ✓\r\nquiet\nPANIC again");
  const grepped = (cuts: readonly number[], mode: "text" | "timestamps" | "json", ignoreCase = false) => {
    const written: string[] = [];
    const search = compileSearch("panic", ignoreCase);
    const printer = new LogPrinter(mode, (piece) => written.push(String(piece)), { search, note: () => undefined });
    printer.learnClocks([{ boot: 1, mono: 0, wall: 0 }]);
    for (const one of cut(bytes, cuts)) printer.chunk(one);
    printer.end();
    return written.join("");
  };

  it("prints the lines that match, wherever the pieces were cut", () => {
    for (const at of bytes.keys()) expect(grepped([at], "text")).toBe("kernel \\x1b[31mpanic\\x1b[0m: ✓\n");
  });

  it("prints them with their time or as JSON, and the one that has not ended yet", () => {
    expect(grepped([], "timestamps")).toBe("1970-01-01T00:00:00.007Z kernel \\x1b[31mpanic\\x1b[0m: ✓\n");
    expect(
      grepped([], "json", true)
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).offset),
    ).toEqual([7, 41]);
  });
});
