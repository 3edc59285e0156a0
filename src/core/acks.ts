import type { AckedTrack, Event } from "./events.ts";
import { ignore } from "./ignored.ts";
import { ownerOfConsole } from "./plan.ts";
import type { ReceiverState, SiteState, Turn } from "./state.ts";
import { allows, allowsAtSite, type Identity, identifyKey } from "./trust.ts";

/** Receivers say what they hold. It moves cursors and deletes nothing; who may not say it is counted, not answered. */

/** More are not told of; the one heard of longest ago gives way. */
const RECEIVERS_LIMIT = 16;
const LEDGER = "ledger";
/** The first that comes retained so soon after a connect is the broker's copy: over version 5 fresh ones have the flag too. */
const KEPT_WITHIN_MS = 5_000;

type Acknowledged = Extract<Event, { type: "ack-arrived" }>;

export function onAck(turn: Turn, event: Acknowledged): void {
  const { receiver, via } = event;
  const kept = isBrokersCopy(turn, event);
  const who = identifyKey(turn.state.trust, event.signers, event.signatures);
  if (!who.ok) return ignore(turn, who.code);
  const { identity } = who;
  const { fleet, site } = turn.state.plan;
  if (event.site !== undefined && event.site !== `${fleet}/${site}`) return ignore(turn, "message.wrong-site");
  if (!allowsAtSite(identity, "collect", site)) return ignore(turn, "role.denied");
  const tracks = event.tracks.filter((one) => mayAcknowledge(turn.state, identity, one));
  if (tracks.length < event.tracks.length) ignore(turn, "role.denied");
  const before = turn.state.receivers.find((one) => one.name === receiver);
  const heardMs = kept ? (before?.heardMs ?? null) : turn.nowMs;
  turn.set({ receivers: remember(turn.state.receivers, { name: receiver, by: identity.name, via, heardMs }) });
  turn.effects.push({ type: "acknowledged", receiver, tracks, kept });
}

function isBrokersCopy(turn: Turn, { via, retained }: Acknowledged): boolean {
  const { links, acksSeen } = turn.state;
  const link = links[via];
  const first = acksSeen[via] !== link?.sinceMs;
  turn.set({ acksSeen: { ...acksSeen, [via]: link?.sinceMs } });
  return retained && (link?.state !== "up" || (first && turn.nowMs - link.sinceMs < KEPT_WITHIN_MS));
}

function mayAcknowledge({ plan }: SiteState, identity: Identity, { track }: AckedTrack): boolean {
  const console = track.slice(0, track.lastIndexOf("/"));
  return track === LEDGER || allows(identity, "collect", plan.site, ownerOfConsole(plan, console));
}

function remember(receivers: readonly ReceiverState[], heard: ReceiverState): ReceiverState[] {
  const others = receivers.filter((one) => one.name !== heard.name);
  const kept = [...others].sort((a, b) => (b.heardMs ?? -1) - (a.heardMs ?? -1)).slice(0, RECEIVERS_LIMIT - 1);
  return [...kept, heard].sort((a, b) => (a.name < b.name ? -1 : 1));
}
