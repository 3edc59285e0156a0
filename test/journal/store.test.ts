import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { createPacker, createUnpacker } from "../../src/journal/packing.ts";
import { type CaptureItem, JournalStore } from "../../src/journal/store.ts";
import { seeded } from "../sim/random.ts";

const QUOTA = { captureBytes: 512 * 1024, ledgerBytes: 512 * 1024 };

const data = (track: string, offset: number, text: string, monoMs = 1, boot = 5): CaptureItem => ({
  track,
  boot,
  offset,
  monoMs,
  content: { data: Buffer.from(text) },
});

function textOf(store: JournalStore, track: string, boot = 5): string {
  const range = store.readCapture(track, boot, 0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  return (range?.pieces ?? []).map((piece) => Buffer.from(piece.data).toString()).join("");
}

function ledger(store: JournalStore, from: number, to: number): void {
  for (let seq = from; seq < to; seq++) {
    const json = JSON.stringify({ seq, words: "x".repeat(200) });
    store.appendLedger([{ seq, boot: 5, mono: seq, json }], JSON.stringify({ seq }));
  }
}

/** The newest snapshot and what follows, as the last sequence number that is known. */
function lastKnown(store: JournalStore): number {
  const { snapshot, records } = store.recovered;
  return Math.max(
    snapshot ? (JSON.parse(snapshot) as { seq: number }).seq : 0,
    ...records.map((json) => (JSON.parse(json) as { seq: number }).seq),
  );
}

describe("handing capture to the worker", () => {
  it("one block carries every item's bytes, in order, and the gaps between them", () => {
    const item = fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => ({ data: bytes })),
      fc.constant({ gap: { cause: "replug" as const, length: null } }),
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 20 }), (contents) => {
        const items = contents.map(
          (content, at): CaptureItem => ({ track: "a/rx", boot: 1, offset: at, monoMs: at, content }),
        );
        const [pack, unpack] = [createPacker(), createUnpacker()];
        // The names are told with the first of them only.
        unpack(pack(items));
        const back = unpack(pack(items));
        expect(back.map(({ content }) => ("data" in content ? [...content.data] : content))).toEqual(
          items.map(({ content }) => ("data" in content ? [...content.data] : content)),
        );
        expect(back.map(({ offset }) => offset)).toEqual(items.map(({ offset }) => offset));
      }),
    );
  });
});

describe("the journal", () => {
  it("gives back each console's bytes in order, by offset, with their times", () => {
    const store = new JournalStore(createMemoryDisk(), QUOTA);
    store.appendCapture([data("a/rx", 0, "hello ", 10), data("b/rx", 0, "other"), data("a/rx", 6, "world", 20)]);
    const range = store.readCapture("a/rx", null, 3, 9, 100);
    expect(range?.pieces.map((piece) => [piece.offset, piece.monoMs, Buffer.from(piece.data).toString()])).toEqual([
      [3, 10, "lo "],
      [6, 20, "wor"],
    ]);
    expect(range).toMatchObject({ boot: 5, first: 0, next: 11, end: 9 });
    expect(store.offsetAt("a/rx", 5, 15)).toBe(6);
  });

  it("keeps gaps beside the bytes, never among them", () => {
    const store = new JournalStore(createMemoryDisk(), QUOTA);
    store.appendCapture([
      data("a/rx", 0, "before"),
      { track: "a/rx", boot: 5, offset: 6, monoMs: 2, content: { gap: { cause: "replug", length: null } } },
      data("a/rx", 6, "after"),
    ]);
    expect(textOf(store, "a/rx")).toBe("beforeafter");
    expect(store.readCapture("a/rx", 5, 0, 99, 99)?.gaps).toMatchObject([{ cause: "replug", length: null, offset: 6 }]);
    expect(store.stat()["a/rx"]).toMatchObject({ bytes: 11, gaps: 1 });
  });

  it("goes on where it was after a restart, without a boot's offsets starting anew", () => {
    const disk = createMemoryDisk();
    new JournalStore(disk, QUOTA).appendCapture([data("a/rx", 0, "one ")]);
    const again = new JournalStore(disk, QUOTA);
    expect(again.recovered.tracks["a/rx"]).toEqual({ boot: 5, next: 4 });
    again.appendCapture([data("a/rx", 4, "two")]);
    expect(textOf(new JournalStore(disk, QUOTA), "a/rx")).toBe("one two");
  });

  it("overwrites the oldest when the quota is full, and a flooded console costs no decision", () => {
    const store = new JournalStore(createMemoryDisk(), QUOTA);
    ledger(store, 1, 5);
    const line = "y".repeat(1_000);
    for (let count = 0; count < 2_000; count++) store.appendCapture([data("a/rx", count * 1_000, line)]);
    const range = store.readCapture("a/rx", 5, 0, 10, 10);
    expect(range?.first).toBeGreaterThan(0);
    expect(range?.next).toBe(2_000_000);
    expect(store.stat()["a/rx"]?.bytes).toBeLessThan(QUOTA.captureBytes);
    expect(store.readLedger(0, 99, 99)).toHaveLength(4);
  });

  it("recovers the ledger from its newest snapshot when older segments are long overwritten", () => {
    const disk = createMemoryDisk();
    const store = new JournalStore(disk, QUOTA);
    ledger(store, 1, 6_000);
    const again = new JournalStore(disk, QUOTA);
    expect(lastKnown(again)).toBe(5_999);
    expect(again.recovered.records.length).toBeLessThan(1_000);
  });

  it("loses nothing that was synced, and returns nothing that was not written, by a power cut that keeps any sectors", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.record({ grow: fc.nat(40), sync: fc.boolean() }), { minLength: 1, maxLength: 40 }),
        (seed, steps) => {
          const random = seeded(seed);
          const disk = createMemoryDisk();
          let store = new JournalStore(disk, { captureBytes: 256 * 1024, ledgerBytes: 256 * 1024 });
          let seq = 0;
          let synced = 0;
          let offset = 0;
          let syncedOffset = 0;
          for (const { grow, sync } of steps) {
            ledger(store, seq + 1, seq + 1 + grow);
            seq += grow;
            const text = Array.from({ length: grow * 30 }, (_, at) =>
              String.fromCharCode(97 + ((offset + at) % 26)),
            ).join("");
            store.appendCapture([data("a/rx", offset, text)]);
            offset += text.length;
            if (sync) {
              store.sync("ledger");
              store.sync("capture");
              synced = seq;
              syncedOffset = offset;
            } else if (random.chance(0.3)) {
              disk.cutPower(() => random.chance(0.5));
              store = new JournalStore(disk, { captureBytes: 256 * 1024, ledgerBytes: 256 * 1024 });
              const known = lastKnown(store);
              expect(known, "ledger").toBeGreaterThanOrEqual(synced);
              expect(known, "ledger").toBeLessThanOrEqual(seq);
              const next = store.recovered.tracks["a/rx"]?.next ?? 0;
              expect(next, "capture").toBeGreaterThanOrEqual(syncedOffset);
              expect(next, "capture").toBeLessThanOrEqual(offset);
              const range = store.readCapture("a/rx", 5, 0, next, next);
              for (const piece of range?.pieces ?? []) {
                for (const [at, byte] of piece.data.entries()) expect(byte).toBe(97 + ((piece.offset + at) % 26));
              }
              seq = synced = known;
              offset = syncedOffset = next;
            }
          }
          return true;
        },
      ),
      { numRuns: 80 },
    );
  });

  it("keeps what a failing disk refused, and writes it when the disk is back", () => {
    const disk = createMemoryDisk();
    const store = new JournalStore(disk, QUOTA);
    store.appendCapture([data("a/rx", 0, "good ")]);
    disk.fault = new Error("EIO");
    expect(() => store.appendCapture([data("a/rx", 5, "held ")])).toThrow("EIO");
    expect(() => ledger(store, 1, 2)).toThrow("EIO");
    disk.fault = null;
    store.appendCapture([data("a/rx", 10, "after")]);
    store.drain();
    expect(textOf(store, "a/rx")).toBe("good held after");
    expect(store.readLedger(0, 9, 9)).toHaveLength(1);
  });

  it("declares as a gap what a failing disk made it lose", () => {
    const disk = createMemoryDisk();
    const store = new JournalStore(disk, { captureBytes: 64_000_000, ledgerBytes: 512 * 1024 });
    disk.fault = new Error("EIO");
    const big = "z".repeat(1024 * 1024);
    let offset = 0;
    for (let count = 0; count < 12; count++) {
      try {
        store.appendCapture([data("a/rx", offset, big)]);
      } catch {
        // The disk refuses; that is what this is about.
      }
      offset += big.length;
    }
    disk.fault = null;
    store.sync("capture");
    store.appendCapture([data("a/rx", offset, "after")]);
    const { bytes = 0, gaps = 0 } = store.stat()["a/rx"] ?? {};
    const range = store.readCapture("a/rx", 5, 0, offset + 5, 1);
    const all = store.readCapture("a/rx", 5, 0, offset + 5, Number.MAX_SAFE_INTEGER);
    const declared = (all?.gaps ?? []).reduce((sum, gap) => sum + (gap.length ?? 0), 0);
    expect(gaps).toBe(1);
    expect(bytes + declared).toBe(offset + 5);
    expect(range?.next).toBe(offset + 5);
  });

  it("a corrupted segment costs what follows in it, and nothing else", () => {
    const disk = createMemoryDisk();
    const store = new JournalStore(disk, QUOTA);
    const line = "w".repeat(1_000);
    for (let count = 0; count < 200; count++) store.appendCapture([data("a/rx", count * 1_000, line)]);
    store.sync("capture");
    disk.write("capture-0000.seg", 30_000, Buffer.from("garbage"));
    const again = new JournalStore(disk, QUOTA);
    expect(again.recovered.tracks["a/rx"]?.next).toBe(200_000);
    const { bytes = 0 } = again.stat()["a/rx"] ?? {};
    expect(bytes).toBeGreaterThan(90_000);
    expect(bytes).toBeLessThan(200_000);
  });
});
