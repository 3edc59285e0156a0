import { isIPv6 } from "node:net";
import type { Clock } from "../src/core/clock.ts";
import type { Event } from "../src/core/events.ts";
import { askTime } from "../src/link/sntp.ts";

/** The time of day over LTE, where the machine's own time service has none: that one asks over the primary network. */
export interface SiteTime {
  stop(): void;
}

export interface SiteTimeOptions {
  readonly servers: readonly string[];
  /** Our own address on LTE; null while it is down. */
  readonly from: () => string | null;
  readonly clock: () => Clock | null;
  readonly floorMs: () => number;
  readonly emit: (event: Extract<Event, { type: "clock-read" }>) => void;
  readonly ask?: typeof askTime;
  /** How often it is looked whether to ask. */
  readonly lookMs?: number;
}

const LOOK_MS = 10_000;
const FIRST_MS = 60_000;
const CAP_MS = 3_600_000;
/** Quartz of a Pi: some seconds a day. */
const AGAIN_MS = 86_400_000;

export function keepTime(options: SiteTimeOptions): SiteTime {
  const { servers, ask = askTime, lookMs = LOOK_MS } = options;
  let notBeforeMs = 0;
  let waitMs = FIRST_MS;
  let turn = 0;
  let ours = false;
  let asking = false;
  const look = async (): Promise<void> => {
    const from = options.from();
    // What the machine's own service said need not be asked again.
    const known = !ours && options.clock()?.trust === "ntp";
    if (from === null || known || asking || performance.now() < notBeforeMs) return;
    const fitting = servers.filter((server) => isIPv6(server) === isIPv6(from));
    const server = fitting[turn++ % Math.max(1, fitting.length)];
    if (server === undefined) return;
    asking = true;
    const answer = await ask({ from, server, floorMs: options.floorMs() });
    asking = false;
    waitMs = answer === null ? Math.min(CAP_MS, waitMs * 2) : FIRST_MS;
    notBeforeMs = performance.now() + (answer === null ? waitMs : AGAIN_MS);
    if (answer === null) return;
    ours = true;
    options.emit({ type: "clock-read", wallMs: answer.wallMs, trust: "ntp" });
  };
  const timer = setInterval(() => void look(), lookMs);
  return { stop: () => clearInterval(timer) };
}
