/**
 * How long a connection may be silent before the carrier forgets it is found out, not known: half of what an idle
 * connection did not survive, a minute more for each day that one did. Pure; each change takes effect with the next connect.
 */

export interface KeepaliveLimits {
  readonly startS: number;
  readonly floorS: number;
  readonly capS: number;
}

/** Below 240 s (Azure) and 350 s (AWS), which drop idle connections at these; above what carriers ask for at most. */
export const LTE_KEEPALIVE: KeepaliveLimits = { startS: 230, floorS: 60, capS: 1_740 };

const LONGER_S = 60;
const LONGER_AFTER_MS = 86_400_000;
/** A path that is back so soon was there all the time: what died was only its memory of us. */
const SOON_MS = 60_000;
/** Silence for less than this share of the interval proves nothing about it. */
const IDLE_SHARE = 0.5;

export class Keepalive {
  private readonly limits: KeepaliveLimits;
  private current: number;
  /** What the present connection goes by. */
  private used: number;
  private openedMs: number | null = null;
  private longerAtMs = 0;
  private suspectMs: number | null = null;

  /** @param savedS what was found out in an earlier life. */
  constructor(limits: KeepaliveLimits, savedS: number | null) {
    this.limits = limits;
    this.current = this.within(savedS ?? limits.startS);
    this.used = this.current;
  }

  /** For the next connect: after a death in silence the half, though it is not certain yet what died. */
  get seconds(): number {
    return this.suspectMs === null ? this.current : this.within(this.used / 2);
  }

  /** True when another interval holds from now on. */
  opened(nowMs: number): boolean {
    const connectedWith = this.seconds;
    const died = this.suspectMs !== null && nowMs - this.suspectMs <= SOON_MS;
    this.suspectMs = null;
    this.openedMs = nowMs;
    this.longerAtMs = nowMs + LONGER_AFTER_MS;
    const changed = died && this.become(this.used / 2);
    this.used = connectedWith;
    return changed;
  }

  /** Something was heard. True when another interval holds from now on. */
  heard(nowMs: number): boolean {
    if (this.openedMs === null || nowMs < this.longerAtMs) return false;
    // One step at a time: what was not lived through is not known.
    this.longerAtMs = Number.POSITIVE_INFINITY;
    return this.become(this.used + LONGER_S);
  }

  /** @param silentMs how long nothing had been heard when something was sent that found the connection dead; else 0. */
  closed(silentMs: number, nowMs: number): void {
    if (this.openedMs !== null && silentMs >= this.used * 1_000 * IDLE_SHARE) this.suspectMs = nowMs;
    this.openedMs = null;
  }

  private become(seconds: number): boolean {
    const before = this.current;
    this.current = this.within(seconds);
    return this.current !== before;
  }

  private within(seconds: number): number {
    const { floorS, capS, startS } = this.limits;
    return Number.isFinite(seconds) ? Math.round(Math.min(capS, Math.max(floorS, seconds))) : startS;
  }
}
