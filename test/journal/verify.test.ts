import { describe, expect, it } from "vitest";
import { createMemoryDisk, type MemoryDisk } from "../../src/disk/memory-disk.ts";
import { inspect } from "../../src/journal/inspect.ts";
import { encodeRecord, KIND } from "../../src/journal/record.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { missingAtEnd } from "../../src/operator/cli/journal.ts";

/** What a person is told of a card that lies. */

const QUOTA = { captureBytes: 2 * 1024 * 1024, ledgerBytes: 1024 * 1024 };
const SAID = 600_000;

/** A life of several segments that ended in order. */
function ended(): MemoryDisk {
  const disk = createMemoryDisk();
  const store = new JournalStore(disk, QUOTA);
  for (let offset = 0; offset < SAID; offset += 10_000) {
    const content = { data: Buffer.alloc(10_000, "x") };
    store.appendCapture([{ track: "r1/rx", boot: 7, offset, monoMs: offset, content }]);
    store.sync("capture");
  }
  const heads = { "r1/rx": SAID };
  const records = [
    { kind: "start", start: 1, version: "x".repeat(500) },
    { kind: "stop", start: 1, heads, towards: "other" },
  ];
  const lines = records.map((record, at) => ({ seq: at + 1, boot: 7, mono: 1, ...record }));
  for (const line of lines) store.appendLedger([{ ...line, json: JSON.stringify(line) }], "{}");
  store.finish();
  return disk;
}

const unreadable = (disk: MemoryDisk) => inspect(new JournalStore(disk, QUOTA)).unreadable;

describe("a journal that is verified", () => {
  it("names each file whose first sector is spoilt, the oldest and the newest too", () => {
    const names = ended().list();
    expect(names.filter((name) => name.startsWith("capture")).length).toBeGreaterThan(2);
    for (const name of names) {
      const disk = ended();
      expect(unreadable(disk)).toEqual([]);
      disk.write(name, 0, Buffer.alloc(512));
      expect(unreadable(disk)).toEqual([expect.stringContaining(`${name}: its first record does not check out`)]);
    }
  });

  it("says nothing of a file that waits for its use, nor of a segment that was half begun when the power went", () => {
    const disk = ended();
    disk.create("capture-0009.seg", 256 * 1024);
    disk.create("capture-0010.seg", 256 * 1024);
    const newest = new JournalStore(disk, QUOTA).capture.ring.segments().at(-1)?.generation ?? 0;
    const payload = Buffer.alloc(600, "{");
    const begun = Buffer.alloc(36 + payload.length);
    encodeRecord(begun, 0, { kind: KIND.head, track: 0, boot: 1, position: 1, monoMs: 0, payload }, newest + 1, 0);
    disk.write("capture-0010.seg", 0, begun.subarray(0, 512));
    expect(unreadable(disk)).toEqual([]);
  });

  it("after a clean end tells what is missing of a console whose last segment is gone", () => {
    const disk = ended();
    expect(missingAtEnd(new JournalStore(disk, QUOTA))).toEqual([]);
    const newest = new JournalStore(disk, QUOTA).capture.ring.segments().at(-1);
    if (newest === undefined) throw new Error("no segment");
    disk.write(newest.name, 0, Buffer.alloc(newest.sizeBytes));
    const [problem, ...more] = missingAtEnd(new JournalStore(disk, QUOTA));
    expect(problem).toMatch(/^r1\/rx: bytes \d+ to 600000 of boot 7 are missing/);
    expect(more).toEqual([]);
  });
});
