import { NONCE_TTL_MS } from "../../src/core/selection.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./time.ts";

/** A broker that nobody should trust: it drops, doubles, delays by hours, reorders, replays, retains, and is cut off. */

export type Way = "lte" | "primary";

export interface NetworkCounts {
  dropped: number;
  duplicated: number;
  delayed: number;
  replayed: number;
  retained: number;
  partitions: number;
  flaps: number;
}

export class Network {
  readonly counts: NetworkCounts = {
    dropped: 0,
    duplicated: 0,
    delayed: 0,
    replayed: 0,
    retained: 0,
    partitions: 0,
    flaps: 0,
  };
  /** Everything that was ever sent to the site. */
  private readonly tape: Uint8Array[] = [];
  private readonly rates: { drop: number; duplicate: number; delay: number; hours: number };
  private cutUntilMs = 0;
  calm = false;
  /** What was held back for longer never comes: the end of a story is judged when all is settled. */
  settledMs = Number.POSITIVE_INFINITY;
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly arrive: (via: Way, message: Uint8Array, retained: boolean) => void;

  constructor(time: VirtualTime, random: Random, arrive: Network["arrive"]) {
    this.time = time;
    this.random = random;
    this.arrive = arrive;
    const rate = (most: number) => (random.chance(0.6) ? random.next() * most : 0);
    this.rates = { drop: rate(0.3), duplicate: rate(0.4), delay: rate(0.3), hours: rate(0.1) };
  }

  carry(message: Uint8Array): void {
    this.tape.push(message);
    if (this.calm) return void this.time.after(50, () => this.arrive("lte", message, false));
    if (this.time.nowMs < this.cutUntilMs || this.random.chance(this.rates.drop)) return void this.counts.dropped++;
    const copies = this.random.chance(this.rates.duplicate) ? 2 : 1;
    if (copies === 2) this.counts.duplicated++;
    for (let copy = 0; copy < copies; copy++) this.deliver(message, this.lateness(), copy === 1 ? "primary" : "lte");
  }

  private lateness(): number {
    if (this.random.chance(this.rates.hours)) return this.random.between(600_000, 4 * 3_600_000);
    if (!this.random.chance(this.rates.delay)) return this.random.between(20, 600);
    this.counts.delayed++;
    return this.random.between(1_000, 3 * NONCE_TTL_MS);
  }

  private deliver(message: Uint8Array, ms: number, via: Way, retained = false): void {
    this.time.after(ms, () => {
      if (this.time.nowMs < this.settledMs) this.arrive(via, message, retained);
    });
  }

  /** Nothing gets through for a while. */
  partition(): void {
    this.counts.partitions++;
    this.cutUntilMs = this.time.nowMs + this.random.between(5_000, 200_000);
  }

  replay(): void {
    if (this.tape.length === 0) return;
    this.counts.replayed++;
    this.deliver(this.random.pick(this.tape), 0, this.random.pick(["lte", "primary"]));
  }

  retain(): void {
    if (this.tape.length === 0) return;
    this.counts.retained++;
    this.deliver(this.random.pick(this.tape), 0, "lte", true);
  }

  /** One bit of something that was sent, changed. */
  bend(): void {
    const original = this.tape.at(-1);
    if (original === undefined) return;
    const bent = Uint8Array.from(original);
    const at = this.random.between(0, bent.length);
    bent[at] = (bent[at] ?? 0) ^ (1 << this.random.between(0, 8));
    this.deliver(bent, 0, "lte");
  }
}
