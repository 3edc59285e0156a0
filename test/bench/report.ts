/** What a bench has to say, and how it is printed. */

export interface Goal {
  readonly what: string;
  readonly met: boolean;
}

export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Outcome {
  /** False only when a promise broke; a goal that was missed is told by `goals`. */
  readonly ok: boolean;
  readonly table: Table;
  readonly notes: readonly string[];
  readonly goals: readonly Goal[];
  readonly figures: Readonly<Record<string, unknown>>;
}

export function outcomeText(name: string, outcome: Outcome): string {
  const goals = outcome.goals.map(({ what, met }) => `${met ? "goal met   " : "GOAL MISSED"}  ${what}`);
  return [`== ${name}`, "", ...tableLines(outcome.table), "", ...outcome.notes, ...goals, ""].join("\n");
}

function tableLines({ head, rows }: Table): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  // The first column names, the others count.
  const line = (cells: readonly string[]): string =>
    widths
      .map((width, column) => (column === 0 ? (cells[0] ?? "").padEnd(width) : (cells[column] ?? "").padStart(width)))
      .join("  ");
  return [line(head), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)];
}

export interface Spread {
  readonly p50: number;
  readonly p99: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { p50: rounded(percentile(values, 0.5)), p99: rounded(percentile(values, 0.99)) };
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function rounded(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}
