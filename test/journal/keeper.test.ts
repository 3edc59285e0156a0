import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createMemoryDisk, type DiskCall, type DiskFault, type MemoryDisk } from "../../src/disk/memory-disk.ts";
import { Handover } from "../../src/journal/handover.ts";
import type { FromWorker } from "../../src/journal/journal.ts";
import { Keeper } from "../../src/journal/keeper.ts";
import { createPacker } from "../../src/journal/packing.ts";
import { type CaptureItem, JournalStore, type Quota } from "../../src/journal/store.ts";

/** The worker without its thread, on a disk that fails when it is told to. Time is the test's. */

const QUOTA = { captureBytes: 64_000_000, ledgerBytes: 1024 * 1024 };
const MAX = Number.MAX_SAFE_INTEGER;

function rig(disk = createMemoryDisk(), quota: Quota = QUOTA) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const synced: string[] = [];
  const stalled: (() => void)[] = [];
  let stalls = false;
  const plain = disk.syncLater;
  disk.syncLater = (name, done) => {
    synced.push(name);
    if (stalls) stalled.push(() => plain(name, done));
    else plain(name, done);
  };
  const told: FromWorker[] = [];
  const store = new JournalStore(disk, quota);
  const keeper = new Keeper(store, disk, (message) => void told.push(message));
  const pack = createPacker();
  let seq = 0;
  let offset = 0;
  return {
    disk,
    store,
    synced,
    told,
    keeper,
    stall: (on: boolean) => {
      stalls = on;
      for (const go of on ? [] : stalled.splice(0)) go();
    },
    decide(token: number) {
      seq++;
      const records = [{ seq, boot: 1, mono: seq, json: JSON.stringify({ seq }) }];
      keeper.handle({ type: "ledger", records, snapshot: JSON.stringify({ seq }), sync: true, token });
    },
    hear(bytes: number, options: { urgent?: boolean; atMs?: number; from?: number } = {}) {
      offset = options.from ?? offset;
      const data = Buffer.alloc(bytes, offset % 251);
      const item: CaptureItem = { track: "a/rx", boot: 1, offset, monoMs: offset, content: { data } };
      offset += bytes;
      const { urgent = false, atMs = 0 } = options;
      keeper.handle({ type: "capture", packed: pack([item]), urgent, atMs, cost: bytes });
    },
    offset: () => offset,
    pass: (ms: number) => vi.advanceTimersByTimeAsync(ms),
    of: <T extends FromWorker["type"]>(type: T) =>
      told.filter((one): one is Extract<FromWorker, { type: T }> => one.type === type),
  };
}

function failing(disk: MemoryDisk, when: (call: DiskCall) => DiskFault | null): void {
  disk.onCall = when;
}

const eio = (what: DiskCall["what"]) => (call: DiskCall) => (call.what === what ? { error: new Error("EIO") } : null);

describe("when the journal syncs", () => {
  it("within 5 s, at 64 KiB, within 1 s while someone watches, and at once on a panic", async () => {
    const { hear, synced, pass, keeper } = rig();
    hear(100);
    await pass(4_900);
    expect(synced).toHaveLength(0);
    await pass(200);
    expect(synced).toHaveLength(1);
    for (let count = 0; count < 7; count++) hear(10_000);
    await pass(1);
    expect(synced).toHaveLength(2);
    keeper.handle({ type: "watched", untilMs: 60_000 });
    hear(100, { atMs: 1 });
    await pass(1_100);
    expect(synced).toHaveLength(3);
    hear(100, { urgent: true, atMs: 70_000 });
    await pass(1);
    expect(synced).toHaveLength(4);
  });

  it("while a sync hangs for 10 s what arrives is written and can be read, and a decision waits for its own sync only", async () => {
    const { hear, pass, stall, store, decide, of } = rig();
    stall(true);
    hear(70_000);
    await pass(10);
    for (let count = 0; count < 100; count++) {
      hear(1_000);
      await pass(100);
    }
    expect(store.readCapture("a/rx", 1, 0, MAX, MAX)?.next).toBe(170_000);
    stall(false);
    decide(7);
    await pass(1);
    expect(of("finished")).toEqual([{ type: "finished", token: 7, ok: true }]);
    expect(of("storage")).toEqual([]);
  });

  it("a decision that comes during a sync is confirmed by the next one, not by that", async () => {
    const { decide, pass, stall, of } = rig();
    stall(true);
    decide(1);
    await pass(1);
    decide(2);
    await pass(1);
    expect(of("finished")).toEqual([]);
    stall(false);
    await pass(1);
    expect(of("finished").map(({ token }) => token)).toEqual([1, 2]);
  });
});

describe("a ring that nobody has read since the start", () => {
  const small = { captureBytes: 4_000_000, ledgerBytes: 1024 * 1024, segmentBytes: 128 * 1024 };
  const byteAt = (offset: number) => (offset * 7 + (offset >> 8)) % 251;
  const say = (store: JournalStore, from: number, to: number): void => {
    for (let offset = from; offset < to; offset += 5_000) {
      const content = { data: Buffer.alloc(5_000, byteAt(offset)) };
      store.appendCapture([{ track: "a/rx", boot: 1, offset, monoMs: offset, content }]);
      if (offset % 60_000 === 0) store.sync("capture");
    }
  };
  const filled = (bytes: number) => {
    const disk = createMemoryDisk();
    say(new JournalStore(disk, small), 0, bytes);
    return disk;
  };

  it("is read between decisions: one that comes behind 16 readers is confirmed after a few segments, and they hear what is true", async () => {
    const disk = filled(2_500_000);
    const { keeper, decide, pass, told, store } = rig(disk, small);
    let reads = 0;
    let readsBefore = 0;
    disk.onCall = ({ what }) => {
      if (what === "read" && !told.some(({ type }) => type === "finished")) readsBefore++;
      if (what === "read") reads++;
      return null;
    };
    for (let token = 1; token <= 14; token++)
      keeper.handle({ type: "read", token, track: "a/rx", boot: 1, from: token * 100_000, to: MAX, limit: 10 });
    keeper.handle({ type: "stat", token: 15 });
    keeper.handle({ type: "offset-at", token: 16, track: "a/rx", boot: 1, monoMs: 1_000_000 });
    decide(77);
    await pass(100);
    expect(told[0]).toEqual({ type: "finished", token: 77, ok: true });
    expect(told).toHaveLength(17);
    expect(reads).toBeGreaterThan(19);
    expect(readsBefore).toBeLessThan(8);
    for (const one of told) {
      if (one.type === "range") expect(one.range).toEqual(store.readCapture("a/rx", 1, one.token * 100_000, MAX, 10));
      if (one.type === "stat") expect(one.stat).toEqual(store.stat());
      if (one.type === "offset") expect(one.offset).toBe(1_000_000);
    }
  });

  it("does not keep waiting who watches what is said now", () => {
    const { keeper, hear, of, told } = rig(filled(2_500_000), small);
    keeper.handle({ type: "read", token: 1, track: "a/rx", boot: 1, from: MAX, to: MAX, limit: 100 });
    expect(of("range")).toMatchObject([{ token: 1, range: { next: 2_500_000, pieces: [] } }]);
    hear(10, { from: 2_500_000 });
    keeper.handle({ type: "read", token: 2, track: "a/rx", boot: 1, from: 2_500_000, to: MAX, limit: 100 });
    expect(of("range")[1]?.range?.pieces.map(({ data }) => data.length)).toEqual([10]);
    keeper.handle({ type: "read", token: 3, track: "a/rx", boot: 1, from: 0, to: MAX, limit: 100 });
    expect(told.filter(({ type }) => type === "range")).toHaveLength(2);
  });

  it("may go round while a reader pauses: what he gets is what was said, and all that the ring still holds of it", () => {
    const disk = filled(3_500_000);
    for (let pauses = 1; pauses < 60; pauses += 7) {
      const store = new JournalStore(disk.copy(), small);
      const steps = store.capture.reading("a/rx", 1, 0, 3_400_000, MAX);
      let step = steps.next();
      for (let pause = 0; pause < pauses && step.done !== true; pause++) step = steps.next();
      say(store, 3_500_000, 5_000_000);
      while (step.done !== true) step = steps.next();
      const range = step.value;
      expect(range?.gaps).toEqual([]);
      let reached = range?.first ?? 0;
      for (const { offset, data } of range?.pieces ?? []) {
        expect(offset).toBe(reached);
        expect([data[0], data.at(-1)]).toEqual([byteAt(offset), byteAt(offset)]);
        reached += data.length;
      }
      expect(reached).toBe(3_400_000);
    }
  });
});

describe("a card that fails", () => {
  it("one failed sync is mended by writing it again elsewhere: nobody is told, nothing is lost", async () => {
    const { disk, decide, pass, of, store } = rig();
    decide(1);
    await pass(1);
    let failures = 1;
    failing(disk, (call) =>
      call.what === "sync" && failures-- > 0 ? { error: new Error("EIO"), keep: () => false } : null,
    );
    decide(2);
    await pass(20);
    expect(of("finished")).toEqual([1, 2].map((token) => ({ type: "finished", token, ok: true })));
    expect(of("storage")).toEqual([]);
    disk.cutPower(() => false);
    expect(new JournalStore(disk, QUOTA).recovered.snapshot).not.toBeNull();
    expect(new JournalStore(disk, QUOTA).readLedger(0, MAX, MAX)).toHaveLength(2);
    expect(store.readLedger(0, MAX, MAX)).toHaveLength(2);
  });

  it("two in a row are a degraded storage, told once each way; the decision hears no, and is on the card afterwards", async () => {
    const { disk, decide, hear, pass, of } = rig();
    failing(disk, eio("sync"));
    decide(1);
    await pass(10);
    expect(of("finished")).toEqual([{ type: "finished", token: 1, ok: false }]);
    for (let count = 0; count < 10; count++) {
      hear(1_000);
      await pass(1_000);
    }
    expect(of("storage").map(({ state }) => state)).toEqual(["degraded"]);
    failing(disk, () => null);
    await pass(7_000);
    expect(of("storage").map(({ state }) => state)).toEqual(["degraded", "ok"]);
    disk.cutPower(() => false);
    const after = new JournalStore(disk, QUOTA);
    expect(after.readLedger(0, MAX, MAX)).toHaveLength(1);
    expect(after.stat()["a/rx"]).toMatchObject({ bytes: 10_000, gaps: 0 });
  });

  it("a card that takes nothing for minutes costs what does not fit in memory, declared to the byte", async () => {
    const { disk, hear, pass, of, offset, decide } = rig();
    hear(500);
    await pass(6_000);
    failing(disk, (call) => (call.what === "read" ? null : { error: new Error("EROFS") }));
    for (let count = 0; count < 240; count++) {
      hear(50_000);
      await pass(500);
      if (count % 24 === 0) decide(count + 1);
    }
    failing(disk, () => null);
    await pass(7_000);
    hear(500);
    await pass(7_000);
    expect(of("storage").map(({ state }) => state)).toEqual(["degraded", "ok"]);
    disk.cutPower(() => false);
    const after = new JournalStore(disk, QUOTA);
    const range = after.readCapture("a/rx", 1, 0, MAX, MAX);
    const held = (range?.pieces ?? []).reduce((sum, { data }) => sum + data.length, 0);
    const lost = (range?.gaps ?? []).reduce((sum, { length }) => sum + (length ?? 0), 0);
    expect(range?.gaps.map(({ cause }) => cause)).toEqual(["overrun"]);
    expect(held).toBeGreaterThan(7_000_000);
    expect(held + lost).toBe(offset());
    expect(after.readLedger(0, MAX, MAX)).toHaveLength(10);
  });
});

describe("handing over to a worker that has stopped taking", () => {
  it("is bounded, and what did not fit is a gap of exact length in its place", () => {
    const posted: CaptureItem[] = [];
    const costs: number[] = [];
    const handover = new Handover((items, _urgent, _atMs, cost) => {
      posted.push(...items);
      costs.push(cost);
    }, 10_000);
    let offset = 0;
    const say = (track: string, length: number): void => {
      handover.give([{ track, boot: 1, offset, monoMs: offset, content: { data: Buffer.alloc(length) } }], false, 1);
      offset += length;
    };
    for (let count = 0; count < 20; count++) say("a/rx", 1_000);
    const before = posted.length;
    expect(before).toBeLessThan(10);
    for (const cost of costs.splice(0)) handover.taken(cost);
    say("a/rx", 1_000);
    const contents = posted.slice(before).map(({ offset, content }) => ({ offset, ...content }));
    expect(contents[0]).toEqual({ offset: before * 1_000, gap: { cause: "overrun", length: (20 - before) * 1_000 } });
    expect(contents[1]).toMatchObject({ offset: 20_000 });
  });
});
