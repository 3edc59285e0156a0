import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import type { FromWorker } from "../../src/journal/journal.ts";
import { createPreparer } from "../../src/journal/preparer.ts";
import { type CaptureItem, JournalStore } from "../../src/journal/store.ts";

/** Room on the card: held early, prepared ahead, given back when the quota shrinks. */

const LARGE = { captureBytes: 4e6, ledgerBytes: 1e6 };
const SMALL = { captureBytes: 1e6, ledgerBytes: 1e6 };
const MAX = Number.MAX_SAFE_INTEGER;

function say(store: JournalStore, from: number, bytes: number): void {
  for (let offset = from; offset < from + bytes; offset += 10_000) {
    const content = { data: Buffer.alloc(10_000, (offset / 10_000) % 251) };
    const item: CaptureItem = { track: "a/rx", boot: 1, offset, monoMs: offset, content };
    store.appendCapture([item]);
    if ((offset / 10_000) % 7 === 0) store.sync("capture");
  }
  store.sync("capture");
}

function prepare(store: JournalStore, disk: ReturnType<typeof createMemoryDisk>) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setImmediate"] });
  onTestFinished(() => void vi.useRealTimers());
  const told: FromWorker[] = [];
  let idle = true;
  const preparer = createPreparer(
    { store, disk },
    () => idle,
    (message) => void told.push(message),
  );
  onTestFinished(() => preparer.stop());
  const setIdle = (on: boolean): void => {
    idle = on;
  };
  return { told, setIdle, pass: (ms: number) => vi.advanceTimersByTimeAsync(ms) };
}

const captureFiles = (disk: { list(): string[] }) => disk.list().filter((name) => name.startsWith("capture"));

describe("room for the journal", () => {
  it("the next segment of each ring is there before it is wanted, but not while somebody waits for the card", async () => {
    const disk = createMemoryDisk();
    const store = new JournalStore(disk, LARGE);
    say(store, 0, 10_000);
    const { pass, setIdle } = prepare(store, disk);
    setIdle(false);
    await pass(3_000);
    expect(disk.list()).toEqual(["capture-0000.seg"]);
    setIdle(true);
    await pass(3_000);
    expect(disk.list()).toEqual(["capture-0000.seg", "capture-0001.seg", "ledger-0000.seg"]);
    disk.onCall = (call) => {
      if (call.what === "create") throw new Error("made while a console speaks");
      return null;
    };
    say(store, 10_000, 600_000);
    expect(store.capture.ring.segments()).toHaveLength(2);
  });

  it("the whole quota is asked for at once, and who gets less is told how much", async () => {
    const disk = createMemoryDisk();
    const asked: number[] = [];
    disk.reserve = (bytes, done) => {
      asked.push(bytes);
      done(100_000);
    };
    const store = new JournalStore(disk, LARGE);
    const { pass, told } = prepare(store, disk);
    await pass(1_000);
    expect(asked[0]).toBeGreaterThan(4.9e6);
    expect(told).toMatchObject([{ type: "note", code: "journal.room" }]);
    expect(JSON.stringify(told)).toContain("room for 100000");
  });

  it("a smaller quota frees the oldest, keeps the newest, and says so", async () => {
    const disk = createMemoryDisk();
    say(new JournalStore(disk, LARGE), 0, 3_600_000);
    expect(captureFiles(disk)).toHaveLength(8);
    const store = new JournalStore(disk, SMALL);
    const { pass, told } = prepare(store, disk);
    await pass(1_000);
    expect(captureFiles(disk)).toHaveLength(2);
    expect(told.filter((one) => one.type === "note" && one.code === "journal.trimmed")).toHaveLength(1);
    const range = store.readCapture("a/rx", 1, 0, MAX, MAX);
    expect(range?.next).toBe(3_600_000);
    expect(range?.first).toBeGreaterThan(2_500_000);
    expect(range?.gaps).toEqual([]);
    say(store, 3_600_000, 3_000_000);
    const size = captureFiles(disk).reduce((sum, name) => sum + disk.size(name), 0);
    expect(size).toBeLessThanOrEqual(1e6 + 128 * 1024);
  });

  it("a larger quota grows, and what was there stays", () => {
    const disk = createMemoryDisk();
    say(new JournalStore(disk, SMALL), 0, 900_000);
    const store = new JournalStore(disk, LARGE);
    const before = store.readCapture("a/rx", 1, 0, MAX, MAX)?.first;
    say(store, 900_000, 2_000_000);
    const range = store.readCapture("a/rx", 1, 0, MAX, MAX);
    expect([range?.first, range?.next]).toEqual([before, 2_900_000]);
  });
});
