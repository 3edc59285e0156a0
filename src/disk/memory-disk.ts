import type { Disk } from "./disk.ts";

/**
 * A disk in memory that can lose power: what was written and not synced survives a cut in any subset of its sectors.
 * It can also fail: `fault` is thrown by the next write or sync until it is cleared.
 */
export interface MemoryDisk extends Disk {
  /** Power cut. `keep` decides for each unsynced 512-byte sector whether it reached the medium. */
  cutPower(keep: () => boolean): void;
  fault: Error | null;
}

const SECTOR = 512;

export function createMemoryDisk(): MemoryDisk {
  const seen = new Map<string, Uint8Array>();
  const durable = new Map<string, Uint8Array>();
  const dirty = new Map<string, Set<number>>();
  const file = (name: string): Uint8Array => {
    const bytes = seen.get(name);
    if (bytes === undefined) throw new Error(`no such file: ${name}`);
    return bytes;
  };
  const disk: MemoryDisk = {
    fault: null,
    list: () => [...seen.keys()].sort(),
    size: (name) => file(name).length,
    create(name, sizeBytes) {
      if (disk.fault) throw disk.fault;
      seen.set(name, new Uint8Array(sizeBytes));
      durable.set(name, new Uint8Array(sizeBytes));
      dirty.set(name, new Set());
    },
    read: (name, offset, length) => file(name).slice(offset, offset + length),
    write(name, offset, bytes) {
      if (disk.fault) throw disk.fault;
      if (offset + bytes.length > file(name).length) throw new Error("write past the end of a segment");
      file(name).set(bytes, offset);
      const last = Math.floor((offset + bytes.length - 1) / SECTOR);
      for (let sector = Math.floor(offset / SECTOR); sector <= last; sector++) dirty.get(name)?.add(sector);
    },
    sync(name) {
      if (disk.fault) throw disk.fault;
      copySectors(file(name), durable.get(name), dirty.get(name) ?? new Set());
      dirty.get(name)?.clear();
    },
    close: () => undefined,
    cutPower(keep) {
      for (const [name, bytes] of seen) {
        const survivors = new Set([...(dirty.get(name) ?? [])].filter(() => keep()));
        copySectors(bytes, durable.get(name), survivors);
        dirty.get(name)?.clear();
        bytes.set(durable.get(name) ?? bytes);
      }
    },
  };
  return disk;
}

function copySectors(from: Uint8Array, to: Uint8Array | undefined, sectors: ReadonlySet<number>): void {
  for (const sector of sectors) to?.set(from.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector * SECTOR);
}
