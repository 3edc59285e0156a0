/**
 * What LTE may cost, and what is left out as it is spent. Who may command is never among it: replies, what somebody
 * asked for and alarms pass at every level.
 */

export type GovernorLevel = "normal" | "saving" | "last";

const LEFT_OUT: Readonly<Record<GovernorLevel, ReadonlySet<string>>> = {
  normal: new Set(),
  saving: new Set(["unwatched", "backfill"]),
  last: new Set(["unwatched", "backfill", "telemetry"]),
};

/** Whether something of this urgency still goes over LTE. */
export function passes(level: GovernorLevel, urgency: string): boolean {
  return !LEFT_OUT[level].has(urgency);
}
