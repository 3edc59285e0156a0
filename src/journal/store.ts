import { randomBytes } from "node:crypto";
import type { Disk } from "../disk/disk.ts";
import type { CaptureItem, TrackHead, TrackStat } from "./capture-item.ts";
import { CaptureLog } from "./capture-log.ts";
import { type LedgerLine, LedgerLog } from "./ledger-log.ts";
import type { Range } from "./range.ts";
import type { SyncJob } from "./ring.ts";
import { segmentation } from "./segment.ts";

/** The journal over one folder: the ledger ring and the capture ring. Blocking; the worker calls it. */

export type { CaptureItem, TrackHead, TrackStat } from "./capture-item.ts";
export type { LedgerLine } from "./ledger-log.ts";

export const RING_NAMES = ["ledger", "capture"] as const;
export type RingName = (typeof RING_NAMES)[number];

export interface Recovered {
  /** JSON of the newest snapshot, and of the records after it. */
  readonly snapshot: string | null;
  readonly records: readonly string[];
  readonly tracks: Readonly<Record<string, TrackHead>>;
}

export interface Quota {
  readonly captureBytes: number;
  readonly ledgerBytes: number;
  /** As large as the quota asks for, unless said. */
  readonly segmentBytes?: number;
}

export interface RingStat {
  readonly segments: number;
  readonly usedBytes: number;
}

export class JournalStore {
  readonly ledger: LedgerLog;
  readonly capture: CaptureLog;
  readonly recovered: Recovered;

  constructor(disk: Disk, quota: Quota, salt: () => Uint8Array = () => randomBytes(8)) {
    this.ledger = new LedgerLog(disk, { ...layout(quota, quota.ledgerBytes), salt });
    this.capture = new CaptureLog(disk, { ...layout(quota, quota.captureBytes), salt });
    const clean = this.ledger.endedCleanly();
    if (clean === true) this.capture.trustAll();
    // Also where no ledger is left to say how it ended.
    else for (const name of RING_NAMES) this[name].ring.distrust();
    this.recovered = { ...this.ledger.recovered, tracks: this.capture.trackHeads() };
  }

  /** Records in order; `snapshot` is the state with them in it, for the head of a segment that may begin after them. */
  appendLedger(records: readonly LedgerLine[], snapshot: string): void {
    this.ledger.append(records, snapshot);
    this.ledger.drain();
  }

  appendCapture(items: readonly CaptureItem[]): void {
    this.capture.append(items);
    this.capture.drain();
  }

  /** Writes what is held. Throws when the disk refuses; nothing is dropped by that, the next call tries again. */
  drain(which: RingName | null = null): void {
    if (which !== "capture") this.ledger.drain();
    if (which !== "ledger") this.capture.drain();
  }

  /** Makes room for these names in the next segment head, so that a track is known before its first byte. */
  announce(names: readonly string[]): void {
    this.capture.announce(names);
    this.capture.drain();
  }

  sync(which: RingName): void {
    this.drain(which);
    this[which].ring.sync();
    // What is on the medium makes room in memory: what was lost for want of it can be declared.
    this.drain(which);
  }

  /** A sync of what is written now, or null when the medium has it all. */
  startSync(which: RingName): SyncJob | null {
    return this[which].ring.startSync();
  }

  /** The next life learns that this one ended in order. */
  finish(): void {
    this.ledger.drain();
    this.ledger.appendEnd();
    this.sync("ledger");
    this.sync("capture");
  }

  warm(): boolean {
    return this.capture.warm();
  }

  trackHeads(): Record<string, TrackHead> {
    return this.capture.trackHeads();
  }

  readCapture(track: string, boot: number | null, from: number, to: number, limit: number): Range | null {
    return this.capture.readCapture(track, boot, from, to, limit);
  }

  offsetAt(track: string, boot: number | null, monoMs: number): number {
    return this.capture.offsetAt(track, boot, monoMs);
  }

  readLedger(from: number, to: number, limit: number): string[] {
    return this.ledger.read(from, to, limit);
  }

  readLastLedger(count: number): string[] {
    return this.ledger.readLast(count);
  }

  stat(): Record<string, TrackStat> {
    return this.capture.stat();
  }

  ringStat(): Record<RingName, RingStat> {
    const of = (which: RingName) => {
      const segments = this[which].ring.segments();
      return { segments: segments.length, usedBytes: segments.reduce((total, one) => total + one.end, 0) };
    };
    return { ledger: of("ledger"), capture: of("capture") };
  }
}

function layout({ segmentBytes }: Quota, quotaBytes: number): { segmentBytes: number; segments: number } {
  if (segmentBytes === undefined) return segmentation(quotaBytes);
  return { segmentBytes, segments: Math.max(4, Math.floor(quotaBytes / segmentBytes)) };
}
