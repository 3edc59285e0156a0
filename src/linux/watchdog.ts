import { notify } from "./notify.ts";

/**
 * The watchdog of sd_notify(3): while this thread's loop turns, systemd hears of it three times per period; when the
 * loop hangs, systemd kills the program and starts it again. Nothing where the unit sets no WatchdogSec=.
 */
export function feedWatchdog(
  tell: (state: string) => void = notify,
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
): { stop(): void } {
  const periodMs = Number(env.WATCHDOG_USEC ?? "0") / 1000;
  const meant = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === pid;
  if (!meant || !(periodMs > 0)) return { stop: () => undefined };
  const timer = setInterval(() => tell("WATCHDOG=1"), periodMs / 3);
  return { stop: () => clearInterval(timer) };
}
