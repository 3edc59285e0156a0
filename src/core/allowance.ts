/** How much one operator may put into the ledger: so many at once, then one more each so many ms. */

export interface Allowance {
  readonly left: number;
  readonly atMs: number;
}

export type Allowances = ReadonlyMap<string, Allowance>;

export interface Limit {
  readonly burst: number;
  readonly everyMs: number;
}

/** Takes one, if there is one; `waitMs` says when there will be. */
export function takeOne(
  all: Allowances,
  who: string,
  limit: Limit,
  nowMs: number,
): { ok: true; all: Allowances } | { ok: false; waitMs: number } {
  const before = grown(all.get(who), limit, nowMs);
  if (before.left < 1) return { ok: false, waitMs: Math.ceil(before.atMs + limit.everyMs - nowMs) };
  // Whoever has all of it again needs no entry.
  const others = [...all].filter(([name, one]) => name !== who && grown(one, limit, nowMs).left < limit.burst);
  return { ok: true, all: new Map([...others, [who, { ...before, left: before.left - 1 }]]) };
}

function grown(allowance: Allowance | undefined, { burst, everyMs }: Limit, nowMs: number): Allowance {
  if (allowance === undefined) return { left: burst, atMs: nowMs };
  const more = Math.floor((nowMs - allowance.atMs) / everyMs);
  if (allowance.left + more >= burst) return { left: burst, atMs: nowMs };
  return { left: allowance.left + more, atMs: allowance.atMs + more * everyMs };
}
