import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Disk, openDisk, writeWhole } from "../../src/disk/disk.ts";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { JournalStore } from "../../src/journal/store.ts";

/** What every disk does, the one in memory and the real one. */
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "towpath-disk-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const DISKS: Record<string, () => Disk> = {
  "in memory": createMemoryDisk,
  "on a file system": () => {
    const disk = openDisk(folder(), "write");
    onTestFinished(() => disk.close());
    return disk;
  },
};

for (const [name, make] of Object.entries(DISKS)) {
  describe(`a disk ${name}`, () => {
    it("makes files of zeros, lists them in order, and says how large they are", () => {
      const disk = make();
      disk.create("b.seg", 70_000);
      disk.create("a.seg", 10);
      expect(disk.list()).toEqual(["a.seg", "b.seg"]);
      expect([disk.size("a.seg"), disk.size("b.seg")]).toEqual([10, 70_000]);
      expect([...disk.read("b.seg", 69_990, 100)]).toEqual(Array(10).fill(0));
    });

    it("reads what was written where it was written, synced or not", () => {
      const disk = make();
      disk.create("a.seg", 5_000);
      disk.write("a.seg", 600, Buffer.from("hello"));
      disk.write("a.seg", 602, Buffer.from("LL"));
      expect(Buffer.from(disk.read("a.seg", 599, 7)).toString("latin1")).toBe("\0heLLo\0");
      disk.sync("a.seg");
      expect(Buffer.from(disk.read("a.seg", 600, 5)).toString()).toBe("heLLo");
    });

    it("makes a file later, when nothing else is to be done, and syncs later, and tells", async () => {
      const disk = make();
      let busy = true;
      const made = new Promise((resolve) => disk.createLater("a.seg", 600_000, () => !busy, resolve));
      await new Promise((resolve) => setTimeout(resolve, 30));
      expect(disk.list()).not.toContain("a.seg");
      busy = false;
      expect(await made).toBeNull();
      expect(disk.size("a.seg")).toBe(600_000);
      disk.write("a.seg", 5, Buffer.from("there"));
      expect(await new Promise((resolve) => disk.syncLater("a.seg", resolve))).toBeNull();
      expect(await new Promise((resolve) => disk.syncLater("none.seg", resolve))).toBeInstanceOf(Error);
      // Who needed it sooner made it: that one stays.
      expect(await new Promise((resolve) => disk.createLater("a.seg", 10, () => true, resolve))).toBeNull();
      expect(disk.size("a.seg")).toBe(600_000);
    });

    it("removes a file, and nothing else", () => {
      const disk = make();
      disk.create("a.seg", 10);
      disk.create("b.seg", 10);
      disk.remove("a.seg");
      expect(disk.list()).toEqual(["b.seg"]);
      expect(() => disk.read("a.seg", 0, 1)).toThrow();
    });

    it("refuses a file that is not there", () => {
      expect(() => make().read("none.seg", 0, 1)).toThrow();
    });

    it("carries a journal from one life to the next", () => {
      const disk = make();
      const quota = { captureBytes: 300_000, ledgerBytes: 300_000 };
      const first = new JournalStore(disk, quota);
      first.appendLedger([{ seq: 1, boot: 5, mono: 9, json: '{"seq":1}' }], "{}");
      first.appendCapture([{ track: "a/rx", boot: 5, offset: 0, monoMs: 1, content: { data: Buffer.from("kept") } }]);
      first.sync("ledger");
      const again = new JournalStore(disk, quota);
      expect(again.recovered.records).toEqual(['{"seq":1}']);
      expect(again.recovered.tracks).toEqual({ "a/rx": { boot: 5, next: 4 } });
    });
  });
}

describe("room on a card", () => {
  it("is held for files that come later, and given to them as they are made", async () => {
    const path = folder();
    const disk = openDisk(path, "write");
    onTestFinished(() => disk.close());
    const hold = (bytes: number) => new Promise<number>((resolve) => disk.reserve(bytes, resolve));
    const held = () => statSync(join(path, "room.reserve")).blocks * 512;
    expect(await hold(3_000_000)).toBe(3_000_000);
    expect(held()).toBeGreaterThanOrEqual(3_000_000);
    disk.create("a.seg", 1_000_000);
    expect(statSync(join(path, "room.reserve")).size).toBe(2_000_000);
    expect(await hold(500_000)).toBe(500_000);
    expect(held()).toBeLessThan(600_000);
    disk.create("b.seg", 500_000);
    expect(readdirSync(path).sort()).toEqual(["a.seg", "b.seg"]);
  });
});

describe("a file that is written whole", () => {
  it("is the new one or the old one, never a part, and leaves nothing beside it", () => {
    const file = join(folder(), "state.json");
    writeFileSync(file, "old");
    expect(() => writeWhole(join(file, "below"), "x")).toThrow();
    expect(readFileSync(file, "utf8")).toBe("old");
    writeWhole(file, "new", 0o600);
    expect(readFileSync(file, "utf8")).toBe("new");
  });
});
