/** How well a modem hears: raw values, and one alarm on what was the middle of a quarter of an hour. */

/** dBm, dBm, dB, dB; null where this modem or this network does not tell it. */
export interface SignalSample {
  readonly rssi: number | null;
  readonly rsrp: number | null;
  readonly rsrq: number | null;
  readonly snr: number | null;
}

export interface TimedSample {
  readonly atMs: number;
  readonly signal: SignalSample;
}

const WINDOW_MS = 15 * 60_000;
/** A driver tells more often than it measures. */
const SPACING_MS = 20_000;
/** Fewer say nothing about a quarter of an hour. */
const ENOUGH = 10;
const HYSTERESIS_DB = 3;
const NAMES = ["rssi", "rsrp", "rsrq", "snr"] as const;

/** Below these a link is poor; RSSI only counts where nothing better is told. */
const POOR = { rssi: -100, rsrp: -110, rsrq: -15, snr: 0 } as const;

export function addSample(
  samples: readonly TimedSample[],
  signal: SignalSample | null,
  nowMs: number,
): readonly TimedSample[] {
  const recent = samples.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
  const last = recent.at(-1);
  if (signal === null || (last !== undefined && nowMs - last.atMs < SPACING_MS)) return recent;
  return [...recent, { atMs: nowMs, signal }];
}

/** Null while there is too little to judge by. */
export function median(samples: readonly TimedSample[], nowMs: number): SignalSample | null {
  const recent = samples.filter(({ atMs }) => nowMs - atMs <= WINDOW_MS);
  if (recent.length < ENOUGH) return null;
  const [rssi = null, rsrp = null, rsrq = null, snr = null] = NAMES.map((name) =>
    middle(recent.flatMap(({ signal }) => signal[name] ?? [])),
  );
  return { rssi, rsrp, rsrq, snr };
}

function middle(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}

/** Whether the alarm stands now. Without a judgement it stays as it was. */
export function judge(raised: boolean, signal: SignalSample | null): boolean {
  if (signal === null) return raised;
  const lte = signal.rsrp !== null;
  return NAMES.some((name) => {
    const value = signal[name];
    if (value === null || (name === "rssi" && lte)) return false;
    return value < POOR[name] + (raised ? HYSTERESIS_DB : 0);
  });
}
