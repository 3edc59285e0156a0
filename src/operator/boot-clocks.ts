import type { ClockAt } from "./answers.ts";

/** What the site's clock said in each of its boots: turns the ms of a boot into times of day, and says what they are worth. */
export class BootClocks {
  private readonly clocks = new Map<number, ClockAt>();

  learn(clocks: readonly ClockAt[]): void {
    for (const clock of clocks) this.clocks.set(clock.boot, clock);
  }

  /** Unix ms, or null where the clock of that boot is not known. */
  wallMs(boot: number, monoMs: number): number | null {
    const clock = this.clocks.get(boot);
    const wall = clock === undefined ? Number.NaN : clock.wall + (monoMs - clock.mono);
    return Math.abs(wall) <= LAST_DATE_MS ? wall : null;
  }

  /** RFC 3339, UTC, milliseconds; null where nobody knows. */
  rfc3339(boot: number, monoMs: number): string | null {
    const wall = this.wallMs(boot, monoMs);
    return wall === null ? null : new Date(wall).toISOString();
  }

  /** For people: the time of day, or how long after the machine's start. */
  text(boot: number, monoMs: number): string {
    return this.rfc3339(boot, monoMs) ?? `boot+${(monoMs / 1_000).toFixed(3)}s`;
  }

  /** Why the times of a boot cannot be taken as they stand; null where they can. */
  doubt(boot: number): string | null {
    const clock = this.clocks.get(boot);
    if (clock === undefined)
      return `boot ${bootText(boot)}: no time of day is known; times are counted from the start of the machine`;
    if (clock.trust === "none")
      return `boot ${bootText(boot)}: nothing had set the site's clock; its times of day may be wrong, their distances are right`;
    if (clock.trust === "rtc")
      return `boot ${bootText(boot)}: times are by the site's battery clock, which no network has checked`;
    return null;
  }
}

/** Above the 32 bits of a boot a receiver counts how often its offsets began again. */
const ANEW = 2 ** 32;

/** A boot as people see it elsewhere. */
export function bootText(boot: number): string {
  const times = Math.floor(boot / ANEW);
  return times === 0 ? String(boot) : `${boot % ANEW} (counted anew${times > 1 ? `, ${times} times` : ""})`;
}

/** What `Date` can hold. */
const LAST_DATE_MS = 8.64e15;
