import type { Disk } from "../disk/disk.ts";
import { filesOf, type Segment, segmentName } from "./segment.ts";

/** The files of a ring: which one a new segment gets, and how many the quota allows. */

/** So many old segments may be given up to writes that fail; then those are tried again. */
const VICTIMS = 2;
/** Files of an earlier quota are used as they are, but not one that nothing fits in. */
const LEAST_SEGMENT = 128 * 1024;

export interface Layout {
  readonly segmentBytes: number;
  readonly segments: number;
}

export class SegmentFiles {
  /** Files whose write or sync failed since the last sync that went well: taken last. */
  readonly suspects = new Set<string>();
  private readonly disk: Disk;
  private readonly prefix: string;
  private readonly layout: Layout;

  constructor(disk: Disk, prefix: string, layout: Layout) {
    this.disk = disk;
    this.prefix = prefix;
    this.layout = layout;
  }

  /** The file that the next segment will want, while it is not there. */
  spare(inUse: readonly Segment[]): { name: string; sizeBytes: number } | null {
    const there = filesOf(this.disk, this.prefix);
    const free = freeOf(there, inUse).filter((name) => !this.suspects.has(name));
    if (free.length > 0 || !this.hasRoom(there)) return null;
    return { name: unusedName(this.prefix, there), sizeBytes: this.layout.segmentBytes };
  }

  missingBytes(): number {
    return this.quota() - this.bytesOf(filesOf(this.disk, this.prefix));
  }

  /** Whether a segment can begin without overwriting one. */
  hasFree(inUse: readonly Segment[]): boolean {
    const there = filesOf(this.disk, this.prefix);
    return this.hasRoom(there) || freeOf(there, inUse).length > 0;
  }

  /** A file for the next segment: where none can be made, an old one serves. */
  claim(
    inUse: readonly Segment[],
    recyclable: readonly Segment[],
    failures: number,
  ): { name: string; sizeBytes: number } {
    let refused: unknown = new Error("no segment can be written");
    for (const name of this.candidates(inUse, recyclable, failures)) {
      try {
        if (!this.disk.list().includes(name)) this.disk.create(name, this.layout.segmentBytes);
        const sizeBytes = this.disk.size(name);
        if (sizeBytes >= Math.min(this.layout.segmentBytes, LEAST_SEGMENT)) return { name, sizeBytes };
      } catch (error) {
        refused = error;
      }
    }
    throw refused;
  }

  private candidates(inUse: readonly Segment[], recyclable: readonly Segment[], failures: number): string[] {
    const there = filesOf(this.disk, this.prefix);
    const made = this.hasRoom(there) ? [unusedName(this.prefix, there)] : [];
    const isSound = (name: string): boolean => !this.suspects.has(name);
    // Of some no sync ever confirmed anything: what they hold is written elsewhere again.
    const [vain, old] = [true, false].map((isVain) =>
      recyclable.filter((one) => (one.syncedEnd === 0) === isVain).map((one) => one.name),
    );
    const worthless = [...freeOf(there, inUse), ...(vain ?? [])];
    const tried = worthless.filter((name) => !isSound(name));
    const untried = [...worthless.filter(isSound), ...made];
    if (failures <= VICTIMS) return [...untried, ...(old ?? []).filter(isSound), ...tried, ...(old ?? [])];
    // It is not one bad place: the same few are tried in turn, and the rest is left alone.
    const few = (old ?? []).slice(0, VICTIMS + 1);
    const turn = failures % Math.max(1, few.length);
    return [...tried, ...untried, ...few.slice(turn), ...few.slice(0, turn)];
  }

  /** Removes files while they are more than the quota: unused ones, then these, in order. */
  trim(inUse: readonly Segment[], old: readonly Segment[]): string[] {
    const files = filesOf(this.disk, this.prefix);
    let over = this.bytesOf(files) - this.quota();
    const removed: string[] = [];
    for (const name of [...freeOf(files, inUse), ...old.map((one) => one.name)]) {
      if (over <= 0) break;
      over -= this.sizeOf(name);
      this.disk.remove(name);
      removed.push(name);
    }
    return removed;
  }

  private quota(): number {
    return this.layout.segments * this.layout.segmentBytes;
  }

  private hasRoom(there: readonly string[]): boolean {
    return there.length < 2 || this.bytesOf(there) + this.layout.segmentBytes <= this.quota();
  }

  private bytesOf(names: readonly string[]): number {
    return names.reduce((sum, name) => sum + this.sizeOf(name), 0);
  }

  private sizeOf(name: string): number {
    try {
      return this.disk.size(name);
    } catch {
      return this.layout.segmentBytes;
    }
  }
}

function freeOf(there: readonly string[], inUse: readonly Segment[]): string[] {
  const used = new Set(inUse.map((one) => one.name));
  return there.filter((name) => !used.has(name));
}

function unusedName(prefix: string, there: readonly string[]): string {
  for (let index = 0; ; index++) {
    const name = segmentName(prefix, index);
    if (!there.includes(name)) return name;
  }
}
