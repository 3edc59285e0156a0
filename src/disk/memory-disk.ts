import type { Disk } from "./disk.ts";

/**
 * A disk in memory that can lose power: what was written and not synced survives a cut in any subset of its sectors.
 * It can also fail, in all the ways that a `DiskFault` names.
 */
export interface MemoryDisk extends Disk {
  /** Power cut. `keep` decides for each unsynced 512-byte sector whether it reached the medium. */
  cutPower(keep: () => boolean): void;
  /** Another disk with the same content, synced and not. */
  copy(): MemoryDisk;
  /** Thrown by every write, sync and creation until it is cleared. */
  fault: Error | null;
  /** Asked before each call; what it answers is what goes wrong. */
  onCall: ((call: DiskCall) => DiskFault | null) | null;
}

export interface DiskCall {
  readonly what: "read" | "write" | "sync" | "create" | "remove";
  readonly name: string;
  /** Of a write. */
  readonly offset?: number;
}

export interface DiskFault {
  readonly error: Error;
  /** Of a write: so many bytes get there before it fails. */
  readonly wrote?: number;
  /**
   * Of a sync: as kernels do, the pages that could not be written count as clean afterwards, so that the next sync says
   * ok about them. `keep` decides for each sector whether it reached the medium all the same.
   */
  readonly keep?: () => boolean;
}

const SECTOR = 512;

interface File {
  /** As programs see it. */
  readonly seen: Uint8Array;
  readonly durable: Uint8Array;
  readonly dirty: Set<number>;
}

export function createMemoryDisk(files = new Map<string, File>()): MemoryDisk {
  const file = (name: string): File => {
    const found = files.get(name);
    if (found === undefined) throw new Error(`no such file: ${name}`);
    return found;
  };
  const faultOf = (call: DiskCall): DiskFault | null =>
    disk.fault !== null && call.what !== "read" ? { error: disk.fault } : (disk.onCall?.(call) ?? null);
  const check = (call: DiskCall): void => {
    const fault = faultOf(call);
    if (fault !== null) throw fault.error;
  };
  const put = ({ seen, dirty }: File, offset: number, bytes: Uint8Array): void => {
    if (offset + bytes.length > seen.length) throw new Error("write past the end of a segment");
    if (bytes.length === 0) return;
    seen.set(bytes, offset);
    const last = Math.floor((offset + bytes.length - 1) / SECTOR);
    for (let sector = Math.floor(offset / SECTOR); sector <= last; sector++) dirty.add(sector);
  };
  const disk: MemoryDisk = {
    fault: null,
    onCall: null,
    list: () => [...files.keys()].sort(),
    size: (name) => file(name).seen.length,
    create(name, sizeBytes) {
      check({ what: "create", name });
      files.set(name, { seen: new Uint8Array(sizeBytes), durable: new Uint8Array(sizeBytes), dirty: new Set() });
    },
    createLater(name, sizeBytes, mayGo, done) {
      const may = mayGo();
      if (may === null) return done(new Error("given up"));
      if (!may) return void setImmediate(() => disk.createLater(name, sizeBytes, mayGo, done));
      done(
        caught(() => {
          if (!files.has(name)) disk.create(name, sizeBytes);
        }),
      );
    },
    remove(name) {
      check({ what: "remove", name });
      files.delete(name);
    },
    read(name, offset, length) {
      check({ what: "read", name });
      return file(name).seen.slice(offset, offset + length);
    },
    write(name, offset, bytes) {
      const fault = faultOf({ what: "write", name, offset });
      put(file(name), offset, fault === null ? bytes : bytes.subarray(0, fault.wrote ?? 0));
      if (fault !== null) throw fault.error;
    },
    sync(name) {
      const { seen, durable, dirty } = file(name);
      const fault = faultOf({ what: "sync", name });
      const { keep } = fault ?? {};
      if (fault !== null && keep === undefined) throw fault.error;
      copySectors(seen, durable, keep === undefined ? dirty : new Set([...dirty].filter(keep)));
      dirty.clear();
      if (fault !== null) throw fault.error;
    },
    syncLater: (name, done) => void setImmediate(() => done(caught(() => disk.sync(name)))),
    reserve: (sizeBytes, done) => done(sizeBytes),
    close: () => undefined,
    cutPower(keep) {
      for (const { seen, durable, dirty } of files.values()) {
        copySectors(seen, durable, new Set([...dirty].filter(() => keep())));
        dirty.clear();
        seen.set(durable);
      }
    },
    copy() {
      const same = [...files].map(([name, { seen, durable, dirty }]): [string, File] => [
        name,
        { seen: seen.slice(), durable: durable.slice(), dirty: new Set(dirty) },
      ]);
      return createMemoryDisk(new Map(same));
    },
  };
  return disk;
}

function caught(work: () => void): Error | null {
  try {
    work();
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function copySectors(from: Uint8Array, to: Uint8Array, sectors: ReadonlySet<number>): void {
  for (const sector of sectors) to.set(from.subarray(sector * SECTOR, (sector + 1) * SECTOR), sector * SECTOR);
}
