import { formatDuration } from "./duration.ts";
import { wallNow } from "./facts.ts";
import { type Lock, memoryOf } from "./ledger.ts";
import type { SiteState } from "./state.ts";

/** Tags on outlets: who, why, until when. A locked outlet is moved by nobody. */

/**
 * The lock that holds now. It ends by the wall clock, and only where that can be trusted: a clock that is wrong must
 * not open what somebody closed. Set under an untrusted clock, it ends by the time that this machine has been up since.
 */
export function lockOf(state: SiteState, outlet: string, nowMs: number): Lock | null {
  const { lock } = memoryOf(state.durable, outlet);
  return lock === null || ended(state, lock, nowMs) ? null : lock;
}

function ended(state: SiteState, lock: Lock, nowMs: number): boolean {
  if (!lock.forMs) return false;
  const wall = trustedWall(state, nowMs);
  if (wall === null) return false;
  return lock.untilWallMs === null ? nowMs >= lock.atMs + lock.forMs : wall >= lock.untilWallMs;
}

/** Unix ms, or null while nobody vouches for the clock. */
export function trustedWall(state: SiteState, nowMs: number): number | null {
  const trust = state.clock?.trust;
  return trust === "ntp" || trust === "gsm" ? wallNow(state, nowMs) : null;
}

/** By whom, since when, why, and for how long still: what a refused operator wants to know. */
export function lockText(state: SiteState, outlet: string, lock: Lock, nowMs: number): string {
  return `${outlet} by ${lock.by} ${ageText(state, lock, nowMs)}: ${lock.reason || "no reason given"}${leftText(state, lock, nowMs)}`;
}

function ageText(state: SiteState, lock: Lock, nowMs: number): string {
  const [then, now] = [lockedAtWall(state, lock), wallNow(state, nowMs)];
  if (lock.set?.boot === state.boot) return `${formatDuration(nowMs - lock.set.mono)} ago`;
  if (then !== null && now !== null && now >= then) return `${formatDuration(now - then)} ago`;
  return `at least ${formatDuration(nowMs - lock.atMs)} ago`;
}

/** For people: unix ms by the clock that the site had then; null where it had none. */
export function lockedAtWall({ durable }: SiteState, { set }: Lock): number | null {
  const clock = durable.clocks.find((one) => one.boot === set?.boot);
  return clock === undefined || set === undefined ? null : clock.wall + (set.mono - clock.mono);
}

function leftText(state: SiteState, lock: Lock, nowMs: number): string {
  if (!lock.forMs) return "";
  const wall = trustedWall(state, nowMs);
  if (wall === null) return "; it does not end before the clock can be trusted";
  const leftMs = lock.untilWallMs === null ? lock.atMs + lock.forMs - nowMs : lock.untilWallMs - wall;
  return `; it ends in ${formatDuration(Math.max(0, leftMs))}`;
}
