import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CollectedLedger, CollectedTrack, collectedConsoles, collectedSites } from "../../src/collect/reader.ts";
import { readStoredEntry } from "../../src/collect/stored-entry.ts";
import { inOrderOfLedger } from "../../src/operator/folder-source.ts";
import type { Chunk } from "../../src/protocol/chunk.ts";

/** A receiver's folder as its format says, written by hand. */
let dir = "";
const SITE = { fleet: "acme", site: "one" };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "towpath-collected-"));
  mkdirSync(join(dir, "acme/one/router1.rx"), { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const sizes = new Map<string, number>();
function store(day: string, boot: number, offset: number, text: string, mono = offset, marks: number[][] = []): void {
  const base = join(dir, "acme/one/router1.rx", day);
  const at = sizes.get(base) ?? 0;
  sizes.set(base, at + text.length);
  appendFileSync(`${base}.log`, text);
  index(day, { at, n: text.length, boot, offset, mono, wall: null, heard: 0, marks });
}

function index(day: string, entry: unknown): void {
  appendFileSync(join(dir, "acme/one/router1.rx", `${day}.idx`), `${JSON.stringify(entry)}\n`);
}

const track = () => new CollectedTrack(dir, SITE, "router1", "rx");
function read(boot: number, from: number, to: number) {
  const steps = [...track().read(boot, from, to)];
  const chunks: Chunk[] = steps.flatMap((step) => [...step.chunks]);
  return {
    text: Buffer.concat(chunks.map(({ data }) => data)).toString(),
    chunks,
    gaps: steps.flatMap((step) => [...step.gaps]),
  };
}

describe("a collector's folder", () => {
  it("shows boots in the order of the site's ledger, whenever their text arrived", () => {
    const order = (held: number[], ledger: number[]) =>
      inOrderOfLedger(
        held.map((boot) => ({ boot })),
        ledger,
      ).map(({ boot }) => boot);
    expect(order([9, 4, 7], [4, 7, 9])).toEqual([4, 7, 9]);
    expect(order([4, 5, 9], [4, 9])).toEqual([4, 5, 9]);
    expect(order([9, 4], [])).toEqual([9, 4]);
  });

  it("finds a boot that began while the rest of the one before was still coming, and each byte once", () => {
    store("2026-11-23", 1, 0, "old boot\n");
    store("2026-11-23", 2, 0, "NEW BOOT: kernel panic\n");
    store("2026-11-23", 1, 9, "tail of old boot\n");
    expect(track().boots()).toMatchObject([
      { boot: 1, first: 0, next: 26 },
      { boot: 2, first: 0, next: 23 },
    ]);
    expect(read(1, 0, 1_000).text).toBe("old boot\ntail of old boot\n");
    expect(read(2, 0, 1_000).text).toBe("NEW BOOT: kernel panic\n");
  });

  it("names its sites and consoles, and nothing that is none", () => {
    mkdirSync(join(dir, "acme/one/..bad.rx"), { recursive: true });
    mkdirSync(join(dir, "acme/one/spare.tx"), { recursive: true });
    appendFileSync(join(dir, "status.json"), "{}");
    expect(collectedSites(dir)).toEqual([SITE]);
    expect(collectedConsoles(dir, SITE, "rx")).toEqual(["router1"]);
    expect(collectedConsoles(dir, SITE, "tx")).toEqual(["spare"]);
    expect(collectedSites(join(dir, "nowhere"))).toEqual([]);
  });

  it("gives the bytes of a boot over days, any range of them, with times and gaps", () => {
    store("2026-11-22", 4, 0, "old boot\n");
    store("2026-11-22", 5, 0, "first ", 100, [[3, 50]]);
    index("2026-11-22", {
      at: 15,
      gap: { cause: "replug", length: null },
      boot: 5,
      offset: 6,
      mono: 300,
      wall: null,
      heard: 0,
    });
    store("2026-11-23", 5, 6, "second ", 400);
    index("2026-11-23", {
      at: 7,
      gap: { cause: "quota", length: 10 },
      boot: 5,
      offset: 13,
      mono: 500,
      wall: null,
      heard: 0,
    });
    store("2026-11-23", 5, 23, "third", 600);
    expect(track().boots()).toEqual([
      { boot: 4, first: 0, next: 9, firstMonoMs: 0 },
      { boot: 5, first: 0, next: 28, firstMonoMs: 100 },
    ]);
    const whole = read(5, 0, 28);
    expect(whole.text).toBe("first second third");
    expect(whole.gaps.map(({ cause, length, offset }) => [cause, length, offset])).toEqual([
      ["replug", null, 6],
      ["quota", 10, 13],
    ]);
    expect(read(5, 4, 25).text).toBe("t second th");
    expect(read(5, 4, 6).chunks[0]).toMatchObject({ offset: 4, monoMs: 150, marks: [] });
    expect(read(4, 0, 100).text).toBe("old boot\n");
  });

  it("finds a time inside a piece and between pieces", () => {
    store("2026-11-22", 5, 0, "abcdef", 100, [[3, 50]]);
    store("2026-11-23", 5, 6, "ghi", 400);
    const at = (mono: number) => track().offsetAt(5, mono);
    expect([at(0), at(100), at(101), at(150), at(151), at(400), at(401)]).toEqual([0, 0, 3, 3, 6, 6, 9]);
  });

  it("that is being written: what is not committed yet is not read", () => {
    store("2026-11-22", 5, 0, "whole\n");
    appendFileSync(join(dir, "acme/one/router1.rx/2026-11-22.log"), "torn");
    appendFileSync(join(dir, "acme/one/router1.rx/2026-11-22.idx"), '{"at":6,"n":4,"boot":5,"off');
    expect(track().boots()).toEqual([{ boot: 5, first: 0, next: 6, firstMonoMs: 0 }]);
    expect(read(5, 0, 100).text).toBe("whole\n");
  });

  it("any range of any pieces is the bytes of that range", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 6 }),
        fc.nat(50),
        fc.nat(50),
        (texts, one, other) => {
          rmSync(join(dir, "acme/one/router1.rx"), { recursive: true });
          mkdirSync(join(dir, "acme/one/router1.rx"));
          sizes.clear();
          const plain = texts.map((text) => text.replace(/[^ -~]/g, "x"));
          let offset = 0;
          for (const [number, text] of plain.entries()) {
            store(`2026-11-2${Math.floor(number / 2)}`, 5, offset, text);
            offset += text.length;
          }
          const [from, to] = [Math.min(one, other), Math.max(one, other)];
          expect(read(5, from, to).text).toBe(plain.join("").slice(from, to));
        },
      ),
      { numRuns: 100 },
    );
  });

  it("events are read to the end, and then what was added since", () => {
    const file = join(dir, "acme/one/events.jsonl");
    appendFileSync(file, '{"seq":1}\n{"seq":2}\n{"se');
    const ledger = new CollectedLedger(dir, SITE);
    expect([...ledger.records()]).toEqual([{ seq: 1 }, { seq: 2 }]);
    appendFileSync(file, 'q":3}\n');
    expect([...ledger.records()]).toEqual([{ seq: 3 }]);
    expect([...ledger.records()]).toEqual([]);
  });

  it("no line of an index makes the reader throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => {
        const entry = readStoredEntry(line);
        return entry === null || Number.isFinite(entry.next);
      }),
      { numRuns: 1_000 },
    );
    expect(readStoredEntry('{"at":0,"n":0,"boot":1,"offset":0,"mono":0}')).toBeNull();
    expect(
      readStoredEntry('{"at":0,"n":3,"boot":1,"offset":0,"mono":5,"marks":[[9,1],[1,-4],"x",[2,7]]}')?.marks,
    ).toEqual([{ at: 2, monoMs: 12 }]);
  });
});
