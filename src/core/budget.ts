import type { Event } from "./events.ts";
import type { Turn } from "./state.ts";

/**
 * What LTE may cost, and what is left out as it is spent. Who may command is never among it: replies, what somebody
 * asked for and alarms pass at every level.
 */

export type GovernorLevel = "normal" | "saving" | "last";

export interface Budget {
  readonly bytes: number;
  readonly per: "day" | "month";
}

/** Bytes of a day and of a calendar month, and of that month by what they were for. */
export interface Account {
  /** `2026-11-24`, or empty while nobody knows. */
  readonly today: string;
  readonly day: number;
  readonly month: number;
  readonly by: Readonly<Record<string, number>>;
}

export const EMPTY_ACCOUNT: Account = { today: "", day: 0, month: 0, by: {} };

const SAVING_FROM = 0.8;

const LEFT_OUT: Readonly<Record<GovernorLevel, ReadonlySet<string>>> = {
  normal: new Set(),
  saving: new Set(["unwatched", "backfill"]),
  last: new Set(["unwatched", "backfill", "telemetry"]),
};

/** Whether something of this urgency still goes over LTE. */
export function passes(level: GovernorLevel, urgency: string): boolean {
  return !LEFT_OUT[level].has(urgency);
}

/** A counter that a machine keeps since its boot, or since its card came: one that fell began anew. */
export function grownBy(before: number, now: number): number {
  return now >= before ? now - before : now;
}

/**
 * The account with more spent. A new day and a new month begin at nothing; while the date is not known, and when it
 * goes backwards, they go on: a wrong clock must not give a budget twice.
 */
export function spend(before: Account, spent: Readonly<Record<string, number>>, today: string | null): Account {
  const known = today !== null && today > before.today ? today : before.today;
  const first = before.today === "";
  const sameDay = first || known === before.today;
  const sameMonth = first || known.slice(0, 7) === before.today.slice(0, 7);
  const all = Object.values(spent).reduce((sum, one) => sum + one, 0);
  const by: Record<string, number> = sameMonth ? { ...before.by } : {};
  for (const [name, bytes] of Object.entries(spent)) by[name] = (by[name] ?? 0) + bytes;
  return { today: known, day: (sameDay ? before.day : 0) + all, month: (sameMonth ? before.month : 0) + all, by };
}

export function levelOf({ day, month }: Pick<Account, "day" | "month">, budget: Budget | null): GovernorLevel {
  if (budget === null) return "normal";
  const share = (budget.per === "day" ? day : month) / budget.bytes;
  return share >= 1 ? "last" : share >= SAVING_FROM ? "saving" : "normal";
}

export function onDataCounted(turn: Turn, event: Extract<Event, { type: "data-counted" }>): void {
  const { budget, account } = event;
  const before = turn.state.budget?.level ?? "normal";
  const level = levelOf(account, budget);
  turn.set({ budget: { level, budget, account } });
  if (level === before) return;
  const used = budget?.per === "day" ? account.day : account.month;
  turn.append([{ kind: "budget", level, used, of: budget?.bytes ?? 0, per: budget?.per ?? "month" }], { sync: false });
  turn.effects.push({ type: "govern", level });
}

/** As it is published: in steps of a tenth, since each change of the state is told over what it counts. */
export function budgetItem(budget: BudgetState): Readonly<Record<string, unknown>> {
  const limit = budget.budget;
  const used = limit?.per === "day" ? budget.account.day : budget.account.month;
  const tenths = limit === null ? null : Math.floor((10 * used) / limit.bytes);
  return { level: budget.level, bytes: limit?.bytes ?? null, per: limit?.per ?? null, tenths };
}

export interface BudgetState {
  readonly level: GovernorLevel;
  readonly budget: Budget | null;
  readonly account: Account;
}
