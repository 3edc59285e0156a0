/**
 * When a connection is tried again. Full jitter, so that a fleet that lost its broker at one moment does not come back
 * at one moment: after an outage of any length the tries are spread over about as long a time, up to the cap. Where it
 * was the broker that turned us away, every other site was turned away too, and the cap is higher.
 */
export interface Rhythm {
  readonly firstMs: number;
  readonly capMs: number;
  /** The cap where a broker was reached and did not serve. */
  readonly outageMs: number;
}

export const SITE_RHYTHM: Rhythm = { firstMs: 1_000, capMs: 300_000, outageMs: 600_000 };
export const PERSON_RHYTHM: Rhythm = { firstMs: 500, capMs: 60_000, outageMs: 60_000 };

/** Never quite at once, whatever the dice say. */
const LEAST = 0.2;

export class Backoff {
  private readonly rhythm: Rhythm;
  private readonly random: () => number;
  private failures = 0;

  constructor(rhythm: Rhythm, random: () => number) {
    this.rhythm = rhythm;
    this.random = random;
  }

  /** @param outage the broker was reached, and refused or hung up. */
  next(outage: boolean): number {
    const { firstMs, capMs, outageMs } = this.rhythm;
    const limit = Math.min(outage ? outageMs : capMs, firstMs * 2 ** this.failures++);
    return Math.round(Math.max(firstMs * LEAST, limit * this.random()));
  }

  /** A connection that lasted. */
  reset(): void {
    this.failures = 0;
  }
}
