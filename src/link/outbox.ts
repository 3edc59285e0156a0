/**
 * What waits for one connection, by how much it matters. A reply never waits behind more than a little bulk; when it is
 * full, what matters least gives way: the journal still has it.
 */

export const URGENCIES = [
  "reply",
  "alarm",
  "state",
  "stream",
  "watched",
  "telemetry",
  "unwatched",
  "backfill",
] as const;
export type Urgency = (typeof URGENCIES)[number];

export interface Parcel {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retained: boolean;
  readonly urgency: Urgency;
  /** Told once it was acknowledged, or given up. */
  readonly settled?: (() => void) | undefined;
}

export interface OutboxLimits {
  /** Messages under way at once. */
  readonly window: number;
  /** Kept free of bulk, for what matters more. */
  readonly reserved: number;
  /** Bytes of bulk under way at once: what a reply may have to wait behind. */
  readonly bulkBytes: number;
  readonly queueBytes: number;
  /** Of what is read again from the journal anyhow, only so much waits here. */
  readonly shippedBytes: number;
}

export const OUTBOX_LIMITS: OutboxLimits = {
  window: 32,
  reserved: 8,
  bulkBytes: 64 * 1024,
  queueBytes: 4 * 1024 * 1024,
  shippedBytes: 64 * 1024,
};

const BULK: ReadonlySet<Urgency> = new Set(["watched", "telemetry", "unwatched", "backfill"]);
const SHIPPED: ReadonlySet<Urgency> = new Set(["unwatched", "backfill"]);

/** How much a site's topic matters when nobody says. */
export function urgencyOf(topic: string): Urgency {
  const kind = /\/(?:up|dn)\/([a-z]+)(?:\/|$)/.exec(topic)?.[1];
  if (kind === "capture") return "watched";
  if (kind === "telemetry") return "telemetry";
  if (kind === "stream") return "stream";
  if (kind === "event") return "alarm";
  return kind === "state" || kind === "birth" || kind === "link" ? "state" : "reply";
}

export class Outbox {
  private readonly limits: OutboxLimits;
  private readonly waiting = new Map<Urgency, Parcel[]>(URGENCIES.map((one) => [one, []]));
  private readonly waitingIn = new Map<Urgency, number>();
  private readonly underWay = new Set<Parcel>();
  private window: number;

  constructor(limits: OutboxLimits = OUTBOX_LIMITS) {
    this.limits = limits;
    this.window = limits.window;
  }

  /** A new connection: the broker may want fewer messages under way. */
  open(brokersWindow: number): void {
    this.window = Math.max(1, Math.min(this.limits.window, brokersWindow));
  }

  /** False when it is full of what matters as much. */
  push(parcel: Parcel): boolean {
    const queue = this.of(parcel.urgency);
    // Of what is retained only the newest counts.
    const older = parcel.retained ? queue.findIndex((one) => one.retained && one.topic === parcel.topic) : -1;
    if (older >= 0) {
      const before = queue[older];
      queue[older] = parcel;
      this.count(parcel.urgency, parcel.payload.length - (before?.payload.length ?? 0));
      before?.settled?.();
      return true;
    }
    if (SHIPPED.has(parcel.urgency) && !this.roomy()) return false;
    if (!this.makeRoom(parcel)) return false;
    queue.push(parcel);
    this.count(parcel.urgency, parcel.payload.length);
    return true;
  }

  private count(urgency: Urgency, bytes: number): void {
    this.waitingIn.set(urgency, (this.waitingIn.get(urgency) ?? 0) + bytes);
  }

  private makeRoom(parcel: Parcel): boolean {
    const { queueBytes } = this.limits;
    const fits = () => this.waitingBytes() + parcel.payload.length <= queueBytes;
    for (const urgency of [...URGENCIES].reverse()) {
      if (urgency === parcel.urgency) break;
      const queue = this.of(urgency);
      while (!fits() && queue.length > 0) {
        const given = queue.pop();
        this.count(urgency, -(given?.payload.length ?? 0));
        given?.settled?.();
      }
    }
    return fits();
  }

  /** True when shipped chunks are welcome. */
  roomy(): boolean {
    let bytes = 0;
    for (const urgency of SHIPPED) bytes += this.waitingIn.get(urgency) ?? 0;
    return bytes < this.limits.shippedBytes;
  }

  /** The next one to send, which is then under way; null: nothing may go now. */
  take(): Parcel | null {
    const urgency = URGENCIES.find((one) => this.of(one).length > 0);
    const next = urgency && this.of(urgency)[0];
    if (urgency === undefined || next === undefined || !this.mayGo(next)) return null;
    this.of(urgency).shift();
    this.count(urgency, -next.payload.length);
    this.underWay.add(next);
    return next;
  }

  private mayGo(parcel: Parcel): boolean {
    if (this.underWay.size >= this.window) return false;
    if (!BULK.has(parcel.urgency)) return true;
    const bulk = this.bulkUnderWay();
    if (bulk === 0) return true;
    const reserved = Math.min(this.limits.reserved, this.window - 1);
    return this.underWay.size < this.window - reserved && bulk + parcel.payload.length <= this.limits.bulkBytes;
  }

  /** Bytes of bulk that were sent and not acknowledged. */
  bulkUnderWay(): number {
    let bytes = 0;
    for (const one of this.underWay) if (BULK.has(one.urgency)) bytes += one.payload.length;
    return bytes;
  }

  waitingBytes(): number {
    let bytes = 0;
    for (const one of this.waitingIn.values()) bytes += one;
    return bytes;
  }

  finished(parcel: Parcel): void {
    if (this.underWay.delete(parcel)) parcel.settled?.();
  }

  /** The connection is gone, and with it what was on its way; what waits is as stale. */
  clear(): void {
    const all = [...this.underWay, ...[...this.waiting.values()].flat()];
    this.underWay.clear();
    this.waitingIn.clear();
    for (const queue of this.waiting.values()) queue.length = 0;
    for (const one of all) one.settled?.();
  }

  private of(urgency: Urgency): Parcel[] {
    return this.waiting.get(urgency) ?? [];
  }
}
