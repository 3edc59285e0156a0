import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { readSegment } from "../../src/journal/segment.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { seeded } from "../sim/random.ts";
import { newTally } from "./crash-marks.ts";
import { CrashStory } from "./crash-model.ts";

/** The same stories that `npm run torture:disk` tells by the hundred thousand. */

const STORIES = process.env.TOWPATH_LONG ? 2_000 : 25;
const FUZZED = process.env.TOWPATH_LONG ? 1_000_000 : 100_000;
const QUOTA = { captureBytes: 4096, ledgerBytes: 4096, segmentBytes: 1024 };

describe("a journal on a disk that loses power and fails", () => {
  it("loses nothing that was synced, returns nothing that was not written, and declares what is missing", () => {
    const tally = newTally();
    for (let seed = 1; seed <= STORIES; seed++) new CrashStory(seeded(seed), tally, `seed ${seed}`).run(6);
    expect(tally.problems).toEqual([]);
    // A disk on which nothing goes wrong would pass too.
    expect(tally.kills).toBeGreaterThan(STORIES / 2);
    for (const kind of ["EIO", "ENOSPC", "EROFS", "short", "dropped"])
      expect(tally.faults[kind] ?? 0, kind).toBeGreaterThan(STORIES / 2);
    expect(tally.syncedBytes).toBeGreaterThan(STORIES * 10_000);
  });
});

/** A healthy journal of a few small segments, as its files. */
function sample(): Map<string, Uint8Array> {
  const disk = createMemoryDisk();
  const store = new JournalStore(disk, QUOTA);
  for (let seq = 1; seq < 20; seq++) {
    store.appendLedger([{ seq, boot: 1, mono: seq, json: JSON.stringify({ seq, text: "r".repeat(seq * 5) }) }], "{}");
    const data = Buffer.from("x".repeat(100 + seq));
    store.appendCapture([{ track: "a/rx", boot: 1, offset: seq * 200, monoMs: seq, content: { data } }]);
    store.sync("ledger");
    store.sync("capture");
  }
  return new Map(disk.list().map((name) => [name, disk.read(name, 0, disk.size(name))]));
}

/** Opens what is there and asks all of it. */
function readAll(files: ReadonlyMap<string, Uint8Array>): number {
  const disk = createMemoryDisk();
  for (const [name, bytes] of files) {
    disk.create(name, bytes.length);
    disk.write(name, 0, bytes);
  }
  const store = new JournalStore(disk, QUOTA);
  const limit = Number.MAX_SAFE_INTEGER;
  const read = store.readCapture("a/rx", 1, 0, limit, limit)?.pieces.length ?? 0;
  store.stat();
  store.readLastLedger(5);
  return read + store.readLedger(0, limit, limit).length;
}

describe("recovery from a card on which anything may stand", () => {
  const files = sample();
  const names = [...files.keys()];

  it("survives flipped bits anywhere, and what it gives is what was written", () => {
    const whole = readAll(files);
    const random = seeded(7);
    for (let round = 0; round < FUZZED / 50; round++) {
      const hurt = new Map(files);
      for (let flip = 0; flip < 1 + (round % 4); flip++) {
        const name = random.pick(names);
        const bytes = Uint8Array.from(hurt.get(name) ?? []);
        const at = random.between(0, bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 8));
        hurt.set(name, bytes);
      }
      expect(readAll(hurt)).toBeLessThanOrEqual(whole);
    }
  });

  it("a segment gives a prefix of what was written to it, whatever bits are flipped", () => {
    const bytes = files.get("capture-0001.seg") ?? new Uint8Array();
    const disk = createMemoryDisk();
    disk.create("s", bytes.length);
    disk.write("s", 0, bytes);
    const all = [...readSegment(disk, "s", bytes.length)].map((one) => `${one.record.position} ${one.crc}`);
    expect(all.length).toBeGreaterThan(3);
    const random = seeded(9);
    let cut = 0;
    for (let round = 0; round < FUZZED * 0.96; round++) {
      const at = random.between(0, bytes.length);
      const was = bytes[at] ?? 0;
      disk.write("s", at, Uint8Array.of(was ^ random.between(1, 256)));
      let index = 0;
      for (const one of readSegment(disk, "s", bytes.length))
        if (`${one.record.position} ${one.crc}` !== all[index++])
          throw new Error(`byte ${at}: record ${index} is not the one`);
      if (index < all.length) cut++;
      disk.write("s", at, Uint8Array.of(was));
    }
    expect(cut).toBeGreaterThan(FUZZED / 2);
  });

  it("survives files of chance, of any length, with heads that look right", () => {
    const chance = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 3 });
    const length = fc.constantFrom(0, 1, 35, 36, 37, 300);
    fc.assert(
      fc.property(chance, length, (contents, kept) => {
        const hurt = new Map(
          contents.map((bytes, index) => {
            const name = `${index % 2 === 0 ? "ledger" : "capture"}-000${index}.seg`;
            const head = (files.get(name) ?? new Uint8Array()).subarray(0, kept);
            return [name, Uint8Array.from([...head, ...bytes])];
          }),
        );
        expect(readAll(hurt)).toBeLessThan(100);
      }),
      { numRuns: FUZZED / 50 },
    );
  });
});
