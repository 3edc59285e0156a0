import type { Folder } from "../../src/collect/folder.ts";

/**
 * A folder in memory that dies and fills up: `budget` steps (writes, truncations, syncs, replacements) go well, the
 * next one is done in part and throws. What was written and not synced may be gone after `crash`.
 */
export interface FaultFolder extends Folder {
  /** Steps until the next fault; null: none. */
  budget: number | null;
  /** What the fault says; without a code it is the process that dies. */
  fault: () => Error;
  /** Free bytes that are told. */
  free: number;
  /** Power cut: unsynced bytes survive by chance, from the end on. */
  crash(random: () => number): void;
  text(path: string): Uint8Array;
  readonly paths: readonly string[];
}

export class Died extends Error {}

export function createFaultFolder(): FaultFolder {
  const files = new Map<string, Buffer>();
  const synced = new Map<string, Buffer>();
  const get = (path: string): Buffer => {
    const bytes = files.get(path);
    if (bytes === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
    return bytes;
  };
  /** True when this step is the one that fails. */
  const fails = (): boolean => {
    if (folder.budget === null) return false;
    folder.budget--;
    return folder.budget < 0;
  };
  const put = (path: string, at: number, bytes: Uint8Array): void => {
    const before = files.get(path) ?? Buffer.alloc(0);
    const next = Buffer.alloc(Math.max(before.length, at + bytes.length));
    before.copy(next);
    next.set(bytes, at);
    files.set(path, next);
  };
  const folder: FaultFolder = {
    budget: null,
    fault: () => new Died("died"),
    free: 1e12,
    get paths() {
      return [...files.keys()];
    },
    text: get,
    list(path) {
      const inside = [...files.keys()].filter((one) => one.startsWith(`${path}/`));
      return [...new Set(inside.map((one) => one.slice(path.length + 1).split("/")[0] ?? ""))].sort();
    },
    size: (path) => files.get(path)?.length ?? 0,
    read: (path, from, length) => Buffer.from(get(path).subarray(from, from + length)),
    write(path, at, bytes) {
      if (fails()) {
        put(path, at, bytes.subarray(0, Math.floor(bytes.length / 2)));
        throw folder.fault();
      }
      put(path, at, bytes);
    },
    truncate(path, sizeBytes) {
      if (fails()) throw folder.fault();
      files.set(path, get(path).subarray(0, sizeBytes));
    },
    async sync(path) {
      if (fails()) throw folder.fault();
      synced.set(path, get(path));
      return Promise.resolve();
    },
    replace(path, content) {
      if (fails()) throw folder.fault();
      files.set(path, Buffer.from(content));
    },
    freeBytes: () => folder.free,
    crash(random) {
      for (const [path, bytes] of files) {
        const safe = synced.get(path) ?? Buffer.alloc(0);
        let same = 0;
        while (same < safe.length && same < bytes.length && safe[same] === bytes[same]) same++;
        // What is as it was synced stays; behind it the medium has the old or some of the new.
        const base = same === safe.length || random() < 0.5 ? bytes : safe;
        const keep = base === safe ? safe.length : same + Math.floor(random() * (bytes.length - same + 1));
        files.set(path, Buffer.from(base.subarray(0, keep)));
      }
      for (const [path, bytes] of files) synced.set(path, bytes);
    },
  };
  return folder;
}
