import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createRelayBank, type Lines } from "../../src/power/bank.ts";
import { openSimBoard } from "../../src/sim/board.ts";

/** What every relay bank does. The lines under it are the simulated board's, and bare ones that count each write. */
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "towpath-board-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

function bareLines(): Lines & { edges: string[] } {
  const levels = new Map<number, boolean>([[2, true]]);
  const edges: string[] = [];
  return {
    count: 4,
    edges,
    read: (relay) => levels.get(relay) ?? false,
    write(relay, high) {
      if ((levels.get(relay) ?? false) !== high) edges.push(`${relay} ${high ? "high" : "low"}`);
      levels.set(relay, high);
    },
  };
}

for (const polarity of ["high", "low"] as const) {
  describe(`a relay bank, energised ${polarity}`, () => {
    it("moves nothing by being made: the running level is adopted", () => {
      const lines = bareLines();
      const bank = createRelayBank(lines, polarity, [1, 2, 3]);
      expect(lines.edges).toEqual([]);
      expect(bank.levels()).toEqual({ 1: polarity === "low", 2: polarity === "high", 3: polarity === "low" });
    });

    it("drives one line to a level, and the same level again is no edge", () => {
      const lines = bareLines();
      const bank = createRelayBank(lines, polarity, [1, 2]);
      for (const energised of [true, true, false, false])
        expect(bank.set(1, energised)).toEqual({ energised, fault: null });
      // A low line is an energised relay there, so only the release is an edge.
      expect(lines.edges).toEqual(polarity === "high" ? ["1 high", "1 low"] : ["1 high"]);
    });

    it("says so when a line does not follow, throws or was not configured", () => {
      const lines = bareLines();
      const bank = createRelayBank({ ...lines, write: () => undefined }, polarity, [1]);
      expect(bank.set(1, polarity === "high").fault).toContain("reads back");
      expect(bank.set(4, true)).toEqual({ energised: null, fault: "no relay 4 was configured" });
      const broken = createRelayBank(lines, polarity, [1]);
      lines.write = () => {
        throw new Error("EIO");
      };
      expect(broken.set(1, polarity === "high").fault).toContain("EIO");
    });
  });
}

describe("the simulated board", () => {
  it("keeps its relays over the death of the controller, and has one line for each edge", () => {
    const data = folder();
    const first = openSimBoard(data, 16, () => 1_700_000_000_000);
    const bank = createRelayBank(first.lines, "high", [1, 2]);
    bank.set(1, true);
    bank.set(1, true);
    bank.set(2, true);
    bank.set(2, false);
    const again = openSimBoard(data, 16, () => 0);
    expect([again.lines.read(1), again.lines.read(2)]).toEqual([true, false]);
    createRelayBank(again.lines, "high", [1, 2]);
    expect(readFileSync(join(data, "sim-board.jsonl"), "utf8").trim().split("\n")).toEqual([
      '{"t":1700000000000,"relay":1,"energised":true}',
      '{"t":1700000000000,"relay":2,"energised":true}',
      '{"t":1700000000000,"relay":2,"energised":false}',
    ]);
  });

  it("a torn last line is an edge that was not made; no file is all released", () => {
    const data = folder();
    expect(existsSync(join(data, "sim-board.jsonl"))).toBe(false);
    expect(openSimBoard(data, 2, () => 0).lines.read(1)).toBe(false);
    appendFileSync(join(data, "sim-board.jsonl"), '{"t":1,"relay":1,"energised":true}\n{"t":2,"relay":1,"ener');
    const board = openSimBoard(data, 2, () => 0);
    expect(board.lines.read(1)).toBe(true);
    board.lines.write(1, false);
    expect(openSimBoard(data, 2, () => 0).lines.read(1)).toBe(false);
  });

  it("a stuck relay takes its line and keeps its contact", () => {
    const board = openSimBoard(folder(), 2, () => 0);
    board.setFault(1, "stuck");
    board.lines.write(1, true);
    expect([board.lines.read(1), board.contact(1)]).toEqual([true, false]);
    board.setFault(1, "ok");
    expect(board.contact(1)).toBe(true);
  });
});
