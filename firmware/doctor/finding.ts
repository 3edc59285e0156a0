/** One thing that was looked at, how it was found, and what a person does about it. */
export interface Finding {
  /** What was looked at: `card.space`. */
  readonly check: string;
  /** ok; note: good to know; warn: will need you; bad: act now. */
  readonly level: Level;
  readonly what: string;
  /** Empty where there is nothing to do. */
  readonly todo: string;
}

export type Level = "ok" | "note" | "warn" | "bad";

export function ok(check: string, what: string): Finding {
  return { check, level: "ok", what, todo: "" };
}

export function finding(level: Exclude<Level, "ok">, check: string, what: string, todo: string): Finding {
  return { check, level, what, todo };
}
