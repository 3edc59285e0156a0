import type { DiskCall, DiskFault, MemoryDisk } from "../../src/disk/memory-disk.ts";
import type { Random } from "../sim/random.ts";

/** The writer died at this call. */
export class Killed extends Error {}

/** What goes wrong with a disk in one life after another. */
export class FaultPlan {
  /** Segments that were begun and that no sync of their file has confirmed. */
  readonly begun = new Set<string>();
  /** A full disk was met: the oldest goes before the quota is used up. */
  squeezed = false;
  private readonly random: Random;
  private readonly counts: Record<string, number>;
  private killAt = Number.MAX_SAFE_INTEGER;
  private faulty = 0;
  private trouble: "none" | "full" | "read-only" = "none";

  constructor(random: Random, counts: Record<string, number>) {
    this.random = random;
    this.counts = counts;
  }

  /** Faults of one life: none, one now and then, or many; and at which call it is killed. */
  arm(disk: MemoryDisk): void {
    this.faulty = this.random.pick([0, 0, 0.02, 0.2]);
    this.killAt = this.random.chance(0.5) ? this.random.between(1, 60) : Number.MAX_SAFE_INTEGER;
    this.trouble = "none";
    disk.onCall = (call) => this.goWrong(call);
  }

  private goWrong(call: DiskCall): DiskFault | null {
    if (call.what === "read") return null;
    if (call.what === "write" && call.offset === 0) this.begun.add(call.name);
    const fault = this.faultOf(call);
    if (fault === null && call.what === "sync") this.begun.delete(call.name);
    return fault;
  }

  private faultOf(call: DiskCall): DiskFault | null {
    // The last write gets there in part; the dead write nothing.
    if (--this.killAt === 0) return { error: new Killed(), wrote: this.random.between(0, 3_000) };
    if (this.killAt < 0) return { error: new Killed() };
    if (!this.random.chance(this.faulty)) return this.lasting(call);
    const kind = this.random.pick(["EIO", "ENOSPC", "short", "EROFS", "dropped"] as const);
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    const error = new Error(kind);
    if (kind === "dropped" && call.what === "sync") return { error, keep: () => this.random.chance(0.5) };
    if (kind === "short" && call.what === "write") return { error, wrote: this.random.between(0, 3_000) };
    if (kind === "EROFS") this.trouble = "read-only";
    if (kind === "ENOSPC") this.trouble = "full";
    this.squeezed ||= call.what === "create" || this.trouble !== "none";
    return { error };
  }

  /** A full disk makes no files, a read-only one takes nothing, until that ends. */
  private lasting(call: DiskCall): DiskFault | null {
    if (this.trouble === "none" || this.random.chance(0.1)) {
      this.trouble = "none";
      return null;
    }
    if (this.trouble === "full" && call.what !== "create") return null;
    return { error: new Error(this.trouble) };
  }
}
