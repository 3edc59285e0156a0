import { notify } from "./notify.ts";

/**
 * The watchdog of sd_notify(3): while nothing stands still, systemd hears of it three times per period; else it kills
 * the program and starts it again. Nothing where the unit sets no WatchdogSec=.
 */
export function feedWatchdog(
  /** What has stood still since it was asked before. */
  standing: () => readonly string[],
  tell: (state: string) => void = notify,
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): { stop(): void } {
  const periodMs = Number(env.WATCHDOG_USEC ?? "0") / 1000;
  const meant = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid;
  if (!meant || !(periodMs > 0)) return { stop: () => undefined };
  let stood = false;
  const timer = setInterval(() => {
    const still = standing();
    const well = still.length === 0;
    if (well) tell(stood ? "WATCHDOG=1\nSTATUS=" : "WATCHDOG=1");
    else tell(`STATUS=stands still: ${still.join(", ")}`);
    stood = !well;
  }, periodMs / 3);
  return { stop: () => clearInterval(timer) };
}
