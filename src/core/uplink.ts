/**
 * Why a way out does not work, from what probes of it brought: pure. The verdict decides whether power-cycling something
 * could help, so it is slow to change and says which layer it blames. Numbers: mwan3, Peplink and BGP route flap damping
 * (RFC 2439) as the field uses them.
 */

/** The lowest layer that does not work. */
export type Blame =
  /** No carrier: cable, switch, its power. */
  | "link"
  /** No address, or the gateway does not answer for its own: the router or its local side. */
  | "l2"
  /** The gateway is there, nothing behind it is. */
  | "upstream"
  /** Addresses answer, names do not. */
  | "dns"
  /** Somebody answers in the place of others: a portal that wants a login. */
  | "captive"
  /** All of it works but our broker. */
  | "service";

/** What one round of probes brought; null: not tried, or nothing to try it on. */
export interface Probed {
  readonly carrier: boolean | null;
  readonly address: boolean | null;
  /** The gateway's hardware address answered (ARP, neighbour discovery). */
  readonly gateway: boolean | null;
  /** Each by address, none of them the gateway. */
  readonly anchors: readonly boolean[];
  /** The resolver that the network gave us, and one that it did not. */
  readonly dns: { readonly given: boolean | null; readonly other: boolean | null };
  /** A page whose answer we know. */
  readonly page: "right" | "wrong" | "silent" | null;
  /** TLS with our own broker. */
  readonly broker: boolean | null;
}

export interface Uplink {
  /** Null until enough was heard. */
  readonly verdict: "up" | Blame | null;
  readonly sinceMs: number;
  /** The last rounds, newest last: null was good. */
  readonly rounds: readonly (Blame | null)[];
  /** When the good rounds began that run now; null: the last one was bad. */
  readonly goodSinceMs: number | null;
  readonly penalty: number;
  readonly penaltyAtMs: number;
  /** Goes up and down too often to be used. */
  readonly damped: boolean;
}

const WINDOW = 10;
const DOWN_IN_A_ROW = 3;
const DOWN_IN_WINDOW = 6;
const HOLD_MS = 60_000;
const HEALTHY_MS = 5_000;
const SUSPECT_MS = 1_000;

/** Route flap damping: so much for each fall, halved each quarter of an hour. */
const PENALTY = 1_000;
const HALF_LIFE_MS = 15 * 60_000;
const SUPPRESS = 3_000;
const REUSE = 1_500;
/** So that reuse is at most an hour away. */
const MOST_PENALTY = REUSE * 2 ** 4;

export const NEW_UPLINK: Uplink = {
  verdict: null,
  sinceMs: 0,
  rounds: [],
  goodSinceMs: null,
  penalty: 0,
  penaltyAtMs: 0,
  damped: false,
};

/** The lowest layer that does not work, or null. */
export function blame(round: Probed): Blame | null {
  const { carrier, address, gateway, anchors, dns, page, broker } = round;
  if (carrier === false) return "link";
  if (address === false) return "l2";
  // Before what lies behind it: a portal answers for everybody, and lets only some things through.
  if (page === "wrong") return "captive";
  const reached = anchors.some(Boolean) || page === "right" || broker === true;
  // Something behind it answered: the gateway may be one that is silent.
  if (gateway === false && !reached) return "l2";
  if (!reached && anchors.length > 0) return "upstream";
  if (dns.given === false) return "dns";
  return broker === false ? "service" : null;
}

/** One round later. */
export function stepUplink(uplink: Uplink, round: Probed, nowMs: number): Uplink {
  const found = blame(round);
  const rounds = [...uplink.rounds, found].slice(-WINDOW);
  const goodSinceMs = found === null ? (uplink.goodSinceMs ?? nowMs) : null;
  const heard = damped({ ...uplink, rounds, goodSinceMs }, nowMs);
  const bad = rounds.filter((one) => one !== null);
  const inARow = rounds.slice(-DOWN_IN_A_ROW);
  const isDown = inARow.length === DOWN_IN_A_ROW && inARow.every((one) => one !== null);
  if (isDown || bad.length >= DOWN_IN_WINDOW) return fallen(heard, found ?? bad.at(-1) ?? "service", nowMs);
  return risen(heard, nowMs);
}

/** Which layer is blamed may change while it is down: the newest is told. */
function fallen(uplink: Uplink, why: Blame, nowMs: number): Uplink {
  if (uplink.verdict === why) return uplink;
  if (uplink.verdict !== "up")
    return { ...uplink, verdict: why, sinceMs: uplink.verdict === null ? nowMs : uplink.sinceMs };
  const penalty = Math.min(MOST_PENALTY, uplink.penalty + PENALTY);
  return {
    ...uplink,
    verdict: why,
    sinceMs: nowMs,
    penalty,
    penaltyAtMs: nowMs,
    damped: uplink.damped || penalty > SUPPRESS,
  };
}

/** The first verdict needs no hold: nothing was down before. */
function risen(uplink: Uplink, nowMs: number): Uplink {
  const { verdict, goodSinceMs, rounds } = uplink;
  if (verdict === "up" || goodSinceMs === null) return uplink;
  const allGood = (count: number) => rounds.length >= count && rounds.slice(-count).every((one) => one === null);
  const first = verdict === null && allGood(DOWN_IN_A_ROW);
  const held = allGood(WINDOW) && nowMs - goodSinceMs >= HOLD_MS;
  return first || held ? { ...uplink, verdict: "up", sinceMs: nowMs } : uplink;
}

function damped(uplink: Uplink, nowMs: number): Uplink {
  const penalty = uplink.penalty * 2 ** (-(nowMs - uplink.penaltyAtMs) / HALF_LIFE_MS);
  return { ...uplink, penalty, penaltyAtMs: nowMs, damped: uplink.damped && penalty >= REUSE };
}

/** How long until the next round: soon where something is amiss and not yet told. */
export function probeInMs({ verdict, rounds }: Uplink): number {
  const amiss = rounds.at(-1) !== null && (verdict === "up" || verdict === null);
  return amiss ? SUSPECT_MS : HEALTHY_MS;
}

/** Whether bulk may go over it. */
export function usable({ verdict, damped }: Uplink): boolean {
  return verdict === "up" && !damped;
}

/** Whether switching the power of something at the site could mend it. */
export function cyclingCouldHelp(verdict: Uplink["verdict"]): boolean {
  return verdict === "link" || verdict === "l2" || verdict === "upstream";
}
