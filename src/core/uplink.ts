import type { Event } from "./events.ts";
import type { SiteState, Turn } from "./state.ts";

/** What is wrong with the primary, from rounds of probes, and since when. */

/**
 * `link` no carrier · `l2` no address, or the gateway does not answer · `upstream` nothing behind the gateway does ·
 * `dns` no names · `captive` a page stands between · `service` all is well but our own broker.
 */
export type Cause = "link" | "l2" | "upstream" | "dns" | "captive" | "service";

/** What one round of probes found. Null: not asked, or nobody can know. */
export interface Round {
  readonly interface: string;
  readonly carrier: boolean;
  readonly addresses: readonly string[];
  readonly gateway: { readonly address: string; readonly alive: boolean } | null;
  readonly anchors: readonly boolean[];
  /** The site's own resolver, and one that is not the site's. */
  readonly dns: { readonly own: boolean | null; readonly other: boolean | null };
  readonly page: "ok" | "captive" | "silent" | null;
  readonly broker: { readonly ok: boolean; readonly detail: string } | null;
}

export interface Finding {
  readonly cause: Cause;
  readonly detail: string;
}

/** Null: nothing is wrong. The lowest layer that fails is the cause, but an answer from further away is a proof. */
export function judge(round: Round): Finding | null {
  if (!round.carrier) return { cause: "link", detail: `${round.interface}: no carrier, or no such interface` };
  if (round.page === "captive") return { cause: "captive", detail: "a page of somebody else answers for the internet" };
  const anchored = round.anchors.some((alive) => alive);
  if (!anchored) return behindNothing(round);
  if (round.dns.own === false) {
    const other = round.dns.other === true ? "; another one answers" : round.dns.other === false ? ", nor another" : "";
    return { cause: "dns", detail: `the site's resolver does not answer${other}` };
  }
  if (round.dns.own === null && round.dns.other === false) return { cause: "dns", detail: "no resolver answers" };
  if (round.broker?.ok === false) return { cause: "service", detail: round.broker.detail };
  return null;
}

function behindNothing({ addresses, gateway, interface: name, anchors }: Round): Finding {
  if (addresses.length === 0) return { cause: "l2", detail: `${name} has no address: DHCP gave none` };
  if (gateway === null) return { cause: "l2", detail: `${name} has no gateway: DHCP gave none` };
  if (!gateway.alive) return { cause: "l2", detail: `the gateway ${gateway.address} does not answer on the wire` };
  return { cause: "upstream", detail: `the gateway answers, and none of ${anchors.length} anchors behind it` };
}

/** Whether taking its power away for a moment could bring a router or modem back from this. */
function cycleCouldHelp(verdict: Verdict): boolean {
  return verdict === "link" || verdict === "l2" || verdict === "upstream";
}

export type Verdict = "unknown" | "ok" | Cause;

export interface UplinkTrack {
  readonly verdict: Verdict;
  readonly detail: string;
  readonly sinceMs: number;
  readonly addresses: readonly string[];
  /** Newest last: whether each of the last rounds was good. */
  readonly window: readonly boolean[];
  readonly goodInRow: number;
  readonly goodSinceMs: number;
  /** What the last round said while another verdict stands; a second one of the kind makes it the verdict. */
  readonly seen: Cause | null;
  /** Of flapping, as of `penaltyAtMs`; halves with time. */
  readonly penalty: number;
  readonly penaltyAtMs: number;
  readonly heldSinceMs: number | null;
}

const WINDOW = 10;
const DOWN_IN_ROW = 3;
const DOWN_OF_WINDOW = 6;
const UP_IN_ROW = 10;
const UP_HOLD_MS = 60_000;
const PENALTY = 1_000;
const HALF_LIFE_MS = 900_000;
const HOLD_ABOVE = 3_000;
const FREE_BELOW = 1_500;
const HOLD_MAX_MS = 3_600_000;

export const NEW_TRACK: UplinkTrack = {
  verdict: "unknown",
  detail: "",
  sinceMs: 0,
  addresses: [],
  window: [],
  goodInRow: 0,
  goodSinceMs: 0,
  seen: null,
  penalty: 0,
  penaltyAtMs: 0,
  heldSinceMs: null,
};

export function penaltyAt(track: UplinkTrack, nowMs: number): number {
  return track.penalty * 0.5 ** ((nowMs - track.penaltyAtMs) / HALF_LIFE_MS);
}

/** Whether it flapped so often that it is not believed yet. */
function held(track: UplinkTrack, nowMs: number): boolean {
  if (track.heldSinceMs === null || nowMs - track.heldSinceMs >= HOLD_MAX_MS) return false;
  return penaltyAt(track, nowMs) >= FREE_BELOW;
}

export function takeRound(track: UplinkTrack, round: Round, nowMs: number): UplinkTrack {
  const finding = judge(round);
  const good = finding === null;
  const next: UplinkTrack = {
    ...track,
    addresses: round.addresses,
    window: [...track.window, good].slice(-WINDOW),
    goodInRow: good ? track.goodInRow + 1 : 0,
    goodSinceMs: good && track.goodInRow > 0 ? track.goodSinceMs : nowMs,
  };
  return good ? afterGood(next, nowMs) : afterBad(next, finding, nowMs);
}

function afterGood(track: UplinkTrack, nowMs: number): UplinkTrack {
  const up: UplinkTrack = { ...track, verdict: "ok", detail: "", sinceMs: nowMs, seen: null, heldSinceMs: null };
  if (track.verdict === "ok") return { ...track, seen: null };
  if (track.verdict === "unknown") return up;
  const proven = track.goodInRow >= UP_IN_ROW && nowMs - track.goodSinceMs >= UP_HOLD_MS;
  return proven && !held(track, nowMs) ? up : { ...track, seen: null };
}

function afterBad(track: UplinkTrack, { cause, detail }: Finding, nowMs: number): UplinkTrack {
  const isDown = track.verdict !== "ok" && track.verdict !== "unknown";
  if (isDown) {
    if (track.verdict === cause) return { ...track, seen: cause };
    // While it stays down its reason may become clearer; one odd round is none.
    return track.seen === cause ? { ...track, verdict: cause, detail, sinceMs: nowMs } : { ...track, seen: cause };
  }
  const inRow = track.window.slice(-DOWN_IN_ROW);
  const down =
    (inRow.length === DOWN_IN_ROW && inRow.every((good) => !good)) ||
    track.window.filter((good) => !good).length >= DOWN_OF_WINDOW;
  if (!down) return { ...track, seen: cause };
  const penalty = penaltyAt(track, nowMs) + PENALTY;
  const heldSinceMs = penalty > HOLD_ABOVE ? (track.heldSinceMs ?? nowMs) : track.heldSinceMs;
  return { ...track, verdict: cause, detail, sinceMs: nowMs, seen: cause, penalty, penaltyAtMs: nowMs, heldSinceMs };
}

export function onUplinkProbed(turn: Turn, event: Extract<Event, { type: "uplink-probed" }>): void {
  const { uplink, round } = event;
  const before = turn.state.uplinks[uplink] ?? NEW_TRACK;
  // Nothing is asked over LTE, it would cost: what its own device says, and its connection says the rest.
  const after = uplink === "lte" ? { ...before, addresses: round.addresses } : takeRound(before, round, turn.nowMs);
  turn.set({ uplinks: { ...turn.state.uplinks, [uplink]: after } });
  if (after.verdict === before.verdict) return;
  const { verdict, detail } = after;
  turn.append([{ kind: "uplink", uplink, verdict, was: before.verdict, detail }], { sync: false });
}

/** A rule or route of the LTE path was not as it was made. */
export function onUplinkDrifted(turn: Turn, event: Extract<Event, { type: "uplink-drifted" }>): void {
  turn.append([{ kind: "config", code: "uplink.drift", detail: event.detail }], { sync: false });
}

/** `site/uplinks`: what people are shown. */
export function uplinksItem(state: SiteState, nowMs: number): Record<string, unknown> {
  const { primary, lte } = state.uplinks;
  return {
    ...(primary && {
      primary: {
        verdict: primary.verdict,
        sinceMs: primary.sinceMs,
        detail: primary.detail,
        addresses: primary.addresses,
        powerCycleCouldHelp: cycleCouldHelp(primary.verdict),
        works: primary.goodInRow > 0,
        flapping: held(primary, nowMs),
      },
    }),
    ...(lte && { lte: { ...lteVerdict(state), addresses: lte.addresses } }),
  };
}

function lteVerdict({ links, uplinks }: SiteState): { verdict: Verdict; sinceMs: number | null; detail: string } {
  const link = links.lte;
  const { sinceMs = null, detail = "" } = link ?? {};
  if (link?.state === "up") return { verdict: "ok", sinceMs, detail };
  if (uplinks.lte?.addresses.length === 0) return { verdict: "l2", sinceMs, detail: "no address from the carrier" };
  return { verdict: link === undefined ? "unknown" : "service", sinceMs, detail };
}
