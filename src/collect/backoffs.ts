/** What was asked in vain is not asked again at once, each thing by itself: one console must not stop the others. */

const FIRST_DELAY_MS = 5_000;
const CAP_DELAY_MS = 300_000;

interface Backoff {
  delayMs: number;
  until: number;
  problem: string | null;
}

export class Backoffs {
  private readonly all = new Map<string, Backoff>();
  private readonly random: () => number;

  constructor(random: () => number) {
    this.random = random;
  }

  /** Each time in vain doubles the wait. */
  postpone(what: string, problem: string, nowMs: number): void {
    const delayMs = this.all.get(what)?.delayMs ?? FIRST_DELAY_MS;
    const until = nowMs + delayMs * (0.5 + this.random());
    this.all.set(what, { delayMs: Math.min(CAP_DELAY_MS, delayMs * 2), until, problem });
  }

  /** It was answered. @param helped what was missing came, so the next wait is a short one. */
  answered(what: string, helped: boolean): void {
    const found = this.all.get(what);
    if (helped) this.all.delete(what);
    else if (found !== undefined) found.problem = null;
  }

  waits(what: string, nowMs: number): boolean {
    return nowMs < (this.all.get(what)?.until ?? 0);
  }

  /** Why it was not answered the last time; null when it was. */
  problemOf(what: string): string | null {
    return this.all.get(what)?.problem ?? null;
  }
}
