import type { GovernorLevel } from "../core/budget.ts";
import { isRecord } from "../protocol/envelope.ts";

/**
 * Which measures are worth telling where each byte costs: what moved by more than its deadband, and all of them now and
 * then. Pure.
 */

const HOUR_MS = 3_600_000;
const EVERY_MS: Readonly<Record<GovernorLevel, number>> = {
  normal: HOUR_MS,
  saving: 6 * HOUR_MS,
  last: Number.POSITIVE_INFINITY,
};
/** Measures by name; others do not count. */
const DEADBANDS: Readonly<Record<string, number>> = { temperatureC: 5, rsrp: 6, rsrq: 4 };
/** What flutters around its deadband is told so often at most. */
const LEAST_MS = 900_000;

type Measures = Readonly<Record<string, unknown>>;

export class TelemetryGate {
  private last: { readonly measures: Measures; readonly atMs: number } | null = null;

  /** True when these are to be told now. @param thrift null: where it costs nothing. */
  wants(measures: Measures, thrift: GovernorLevel | null, nowMs: number): boolean {
    const { last } = this;
    const agoMs = last === null ? Number.POSITIVE_INFINITY : nowMs - last.atMs;
    const due = thrift === null || (thrift !== "last" && agoMs >= EVERY_MS[thrift]);
    const moved = thrift === "normal" && agoMs >= LEAST_MS && last !== null && differs(last.measures, measures);
    if (due || moved) this.last = { measures, atMs: nowMs };
    return due || moved;
  }
}

function differs(before: Measures, now: Measures): boolean {
  return Object.keys(now).some((name) => {
    const [was, is] = [before[name], now[name]];
    const band = DEADBANDS[name];
    if (band !== undefined) return typeof was === "number" && typeof is === "number" && Math.abs(is - was) >= band;
    // Findings of the machine, by check.
    return isRecord(is) && JSON.stringify(was) !== JSON.stringify(is);
  });
}
