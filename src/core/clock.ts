import type { Event } from "./events.ts";
import type { ClockTrust, Durable } from "./ledger.ts";
import type { SiteState, Turn } from "./state.ts";

/**
 * What the site believes of the time of day: `none < rtc < gsm < ntp`. It labels records for people, and says whether a
 * certificate that the machine's own clock refuses may be in time all the same. It decides nothing else.
 */

/** 2026-11-01: nobody runs this program before. Raised with releases. */
const BUILT_MS = 1_793_491_200_000;

const RANK: Readonly<Record<ClockTrust, number>> = { none: 0, rtc: 1, gsm: 2, ntp: 3 };
/** Wall time maps mono to a calendar for people; a new record when the map moved by more than this. */
const SLACK_MS = 200;

export interface Clock {
  readonly wallMs: number;
  readonly trust: ClockTrust;
}

/** No clock that is right can say an earlier time: what this program or a trusted clock of an earlier life has seen. */
export function floorOf(durable: Durable, builtMs = BUILT_MS): number {
  const seen = durable.clocks.filter(({ trust }) => RANK[trust] >= RANK.gsm).map(({ wall }) => wall);
  return Math.max(builtMs, ...seen);
}

/** A clock with a battery is believed until it says a time that is over: then the battery is empty. */
function believed({ wallMs, trust }: Clock, floorMs: number): ClockTrust {
  return trust === "rtc" && wallMs < floorMs ? "none" : trust;
}

/** What the clock says now; null while nobody has said anything. */
export function clockNow({ clock }: Pick<SiteState, "clock">, nowMs: number): Clock | null {
  return clock === null ? null : { wallMs: clock.wallMs + (nowMs - clock.monoMs), trust: clock.trust };
}

/**
 * Whether a certificate with these dates may be valid now. One that ended before the floor never is; whoever has a time
 * goes by it; without one the dates cannot be judged, and a site that waits for a clock would stay dark.
 */
export function datesHold(
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
  clock: Clock | null,
  floorMs: number,
): boolean {
  if (!(notAfterMs >= floorMs) || Number.isNaN(notBeforeMs)) return false;
  if (clock === null || believed(clock, floorMs) === "none") return true;
  return notBeforeMs <= clock.wallMs && clock.wallMs <= notAfterMs;
}

/** A reading of the machine's clock, or what the network said. What is believed less than what is known changes nothing. */
export function onClock(turn: Turn, event: Extract<Event, { type: "clock-read" }>): void {
  const trust = believed(event, floorOf(turn.state.durable));
  const before = clockNow(turn.state, turn.nowMs);
  if (before !== null && RANK[trust] < RANK[before.trust]) return;
  if (before !== null && before.trust === trust && Math.abs(event.wallMs - before.wallMs) <= SLACK_MS) return;
  turn.set({ clock: { wallMs: event.wallMs, monoMs: turn.nowMs, trust } });
  turn.append([{ kind: "clock", wall: event.wallMs, trust }], { sync: false });
}
