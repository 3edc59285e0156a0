import { forgetOldest } from "./held.ts";
import { readClockRecord } from "./messages.ts";

/** The site's wall time of a moment of its mono, boot by boot, as it told it. Nothing here orders anything. */

const BOOTS_LIMIT = 64;

export class SiteClocks {
  /** Wall time minus mono, ms. */
  private readonly shifts = new Map<number, number>();

  learn(boot: number, monoMs: number, wallMs: number, trust: string | undefined): void {
    if (trust === "none") return;
    this.shifts.delete(boot);
    this.shifts.set(boot, wallMs - monoMs);
    forgetOldest(this.shifts, BOOTS_LIMIT);
  }

  /** From a record of the ledger, if it is one that tells the time. */
  learnFrom(record: unknown): void {
    const clock = readClockRecord(record);
    if (clock !== null) this.learn(clock.boot, clock.mono, clock.wall, clock.trust);
  }

  wallOf(boot: number, monoMs: number): number | null {
    const shift = this.shifts.get(boot);
    return shift === undefined ? null : Math.round(shift + monoMs);
  }
}
