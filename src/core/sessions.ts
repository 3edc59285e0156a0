import type { Code } from "./codes.ts";
import { ignore } from "./ignored.ts";
import {
  allow,
  ask,
  beat,
  EMPTY_SEATS,
  isWaiting,
  type LeaseNotice,
  type LeaseStep,
  lapse,
  lapseMs,
  leave,
  mayTypeNow,
  type Seats,
  sit,
} from "./lease.ts";
import { ownerOfConsole } from "./plan.ts";
import type { SiteState, Turn } from "./state.ts";
import { allows, identify, type Verb } from "./trust.ts";

/** Who is attached to which console, what each may do there, and the records of it. The bytes do not pass through here. */

export interface SessionWho {
  readonly name: string;
  /** Fingerprint; null where no key was shown. */
  readonly key: string | null;
  /** Came in over the local socket: its group is the right to watch and type. */
  readonly local: boolean;
}

/** `trust`: what the trust document says; else a program at a listener, and what the config says of that. */
export type SessionRights = "trust" | "type" | "watch";
export type SessionMode = "watch" | "type" | "join" | "steal";

export type SessionEvent =
  | {
      type: "session-attached";
      id: string;
      console: string;
      who: SessionWho;
      rights: SessionRights;
      mode: SessionMode;
      /** For people: over what it came. */
      from: string;
    }
  | { type: "session-asked"; id: string; ask: "request" | "claim" | "steal" | "join" | "release" }
  /** To send a BREAK or a named sequence. */
  | { type: "session-send"; id: string; name: string }
  | { type: "session-beat"; id: string; typed: boolean }
  /** Bytes typed, shown, and not shown because the viewer was slow. */
  | { type: "session-detached"; id: string; how: string; typed: number; shown: number; missed: number }
  /** The line was set otherwise by a session, or set back when it left. */
  | { type: "line-changed"; id: string; console: string; line: string; was: string; undone: boolean };

export type SessionNotice =
  | ({ readonly about: "lease" } & Omit<LeaseNotice, "to">)
  /** It is over; the code says why. */
  | { readonly about: "ended"; readonly code: Code }
  /** Whether it may be sent: null is yes. */
  | { readonly about: "send"; readonly name: string; readonly code: Code | null };

export type SessionEffect =
  | { type: "session-told"; id: string; notice: SessionNotice }
  | { type: "seats-changed"; console: string; typists: readonly string[]; people: readonly Person[] };

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly from: string;
  readonly role: "typing" | "joined" | "waiting" | "watching";
}

export type SessionRecord =
  | SessionRecordOf<{ what: "attached"; mode: SessionMode; from: string }>
  | SessionRecordOf<{ what: "detached"; how: string; typed: number; shown: number; missed: number }>
  | SessionRecordOf<{ what: "typing" | "watching"; why: string; other: string | null }>
  | SessionRecordOf<{ what: "sent"; name: string }>
  | SessionRecordOf<{ what: "line"; line: string; was: string; undone: boolean }>;

type SessionRecordOf<T> = { kind: "session"; session: string; console: string; by: string; key: string | null } & T;

interface Open {
  readonly console: string;
  readonly who: SessionWho;
  readonly rights: SessionRights;
  readonly from: string;
}

export interface Sessions {
  readonly open: Readonly<Record<string, Open>>;
  readonly seats: Readonly<Record<string, Seats>>;
  /** Of the trust under which the rights were last judged. */
  readonly epoch: number;
  /** Records of programs at listeners in this minute: nobody there has shown a key. */
  readonly told: { readonly sinceMs: number; readonly count: number };
}

export const NO_SESSIONS: Sessions = { open: {}, seats: {}, epoch: -1, told: { sinceMs: 0, count: 0 } };

const PER_CONSOLE = 32;
const RECORDS_PER_MINUTE = 20;

export function onSession(turn: Turn, event: SessionEvent): void {
  if (event.type === "session-attached") return onAttached(turn, event);
  const open = turn.state.sessions.open[event.id];
  if (open === undefined) return;
  const seats = seatsOf(turn.state, open.console);
  switch (event.type) {
    case "session-asked":
      return settle(turn, open.console, ask(seats, event.id, event.ask, turn.nowMs));
    case "session-beat":
      return setSeats(turn, open.console, beat(seats, event.id, event.typed, turn.nowMs));
    case "session-send":
      return onSend(turn, event, open, seats);
    case "line-changed": {
      const { line, was, undone } = event;
      return record(turn, event.id, open, { what: "line", line, was, undone });
    }
    case "session-detached":
      return onDetached(turn, event, open, seats);
  }
}

function onAttached(turn: Turn, event: Extract<SessionEvent, { type: "session-attached" }>): void {
  const { id, console, who, rights, mode, from } = event;
  const open: Open = { console, who, rights, from };
  const code = attachRefusal(turn.state, open);
  if (code !== null) return void turn.effects.push({ type: "session-told", id, notice: { about: "ended", code } });
  turn.set({ sessions: { ...turn.state.sessions, open: { ...turn.state.sessions.open, [id]: open } } });
  record(turn, id, open, { what: "attached", mode, from });
  const seat = { id, name: who.name, mayType: may(turn.state, open, "type") };
  const seats = sit(seatsOf(turn.state, console), seat, turn.nowMs);
  const wish = mode === "type" ? "claim" : mode;
  settle(turn, console, wish === "watch" ? { seats, notices: [] } : ask(seats, id, wish, turn.nowMs));
}

function attachRefusal(state: SiteState, open: Open): Code | null {
  if (!state.plan.consoles.includes(open.console)) return "console.unknown";
  if (!may(state, open, "view")) return "role.denied";
  return seatsOf(state, open.console).seats.length >= PER_CONSOLE ? "session.too-many" : null;
}

function onSend(turn: Turn, event: Extract<SessionEvent, { type: "session-send" }>, open: Open, seats: Seats): void {
  const { id, name } = event;
  const code: Code | null = !may(turn.state, open, "break")
    ? "role.denied"
    : mayTypeNow(seats, id)
      ? null
      : seats.holder === null
        ? "lease.none"
        : "lease.held";
  if (code === null) {
    setSeats(turn, open.console, beat(seats, id, true, turn.nowMs));
    record(turn, id, open, { what: "sent", name });
  }
  turn.effects.push({ type: "session-told", id, notice: { about: "send", name, code } });
}

function onDetached(
  turn: Turn,
  event: Extract<SessionEvent, { type: "session-detached" }>,
  open: Open,
  seats: Seats,
): void {
  const { id, how, typed, shown, missed } = event;
  settle(turn, open.console, leave(seats, id, turn.nowMs));
  record(turn, id, open, { what: "detached", how, typed, shown, missed });
  const { [id]: _, ...others } = turn.state.sessions.open;
  turn.set({ sessions: { ...turn.state.sessions, open: others } });
}

/** With every event: leases that time has ended, and rights that a new trust took away. */
export function checkSessions(turn: Turn): void {
  const { sessions, trust } = turn.state;
  if (trust !== null && trust.epoch !== sessions.epoch) {
    turn.set({ sessions: { ...sessions, epoch: trust.epoch } });
    for (const [id, open] of Object.entries(sessions.open)) judgeAgain(turn, id, open);
  }
  for (const [console, seats] of Object.entries(turn.state.sessions.seats)) {
    const dueMs = lapseMs(seats);
    if (dueMs !== null && dueMs <= turn.nowMs) settle(turn, console, lapse(seats, turn.nowMs));
  }
}

function judgeAgain(turn: Turn, id: string, open: Open): void {
  const seats = seatsOf(turn.state, open.console);
  settle(turn, open.console, allow(seats, id, may(turn.state, open, "type"), turn.nowMs));
  if (may(turn.state, open, "view")) return;
  turn.effects.push({ type: "session-told", id, notice: { about: "ended", code: "role.denied" } });
}

export function nextSessionMs({ sessions }: SiteState): number | null {
  const times = Object.values(sessions.seats).flatMap((seats) => lapseMs(seats) ?? []);
  return times.length === 0 ? null : Math.min(...times);
}

/** For the published state: who types, and how many look on; nothing where nobody is there. */
export function sessionsView({ sessions }: SiteState, console: string): { typing?: string | null; watching?: number } {
  const { seats, holder } = sessions.seats[console] ?? EMPTY_SEATS;
  if (seats.length === 0) return {};
  const typing = seats.find(({ id }) => id === holder)?.name ?? null;
  return { typing, watching: seats.length - (typing === null ? 0 : 1) };
}

function may(state: SiteState, { console, who, rights, from }: Open, verb: Verb): boolean {
  // Frames that pass a broker in clear are nobody's for certain: whoever publishes there may look, and nothing else.
  if (rights === "trust" && from !== "socket" && verb !== "view") return false;
  if (rights !== "trust") return verb === "view" || rights === "type";
  if (who.key === null) return who.local;
  const known = identify(state.trust, [who.key], 1, who.name);
  return known.ok && allows(known.identity, verb, state.plan.site, ownerOfConsole(state.plan, console));
}

/** The seats as they are now, told to whom it concerns and recorded. */
function settle(turn: Turn, console: string, { seats, notices }: LeaseStep): void {
  setSeats(turn, console, seats);
  for (const { to, ...notice } of notices) {
    turn.effects.push({ type: "session-told", id: to, notice: { about: "lease", ...notice } });
    const open = turn.state.sessions.open[to];
    if (open === undefined || (notice.what !== "type" && notice.what !== "watch")) continue;
    const what = notice.what === "type" ? "typing" : "watching";
    record(turn, to, open, { what, why: notice.why, other: notice.by });
  }
}

function setSeats(turn: Turn, console: string, seats: Seats): void {
  const { sessions } = turn.state;
  const before = people(turn.state, console);
  const { [console]: _, ...others } = sessions.seats;
  turn.set({ sessions: { ...sessions, seats: seats.seats.length === 0 ? others : { ...others, [console]: seats } } });
  const now = people(turn.state, console);
  if (JSON.stringify(now) === JSON.stringify(before)) return;
  const typists = now.filter(({ role }) => role === "typing" || role === "joined").map(({ id }) => id);
  turn.effects.push({ type: "seats-changed", console, typists, people: now });
}

function people(state: SiteState, console: string): Person[] {
  const seats = seatsOf(state, console);
  return seats.seats.map(({ id, name }) => ({
    id,
    name,
    from: state.sessions.open[id]?.from ?? "",
    role:
      seats.holder === id
        ? "typing"
        : seats.joined.includes(id)
          ? "joined"
          : isWaiting(seats, id)
            ? "waiting"
            : "watching",
  }));
}

function seatsOf(state: SiteState, console: string): Seats {
  return state.sessions.seats[console] ?? EMPTY_SEATS;
}

type Told<T = SessionRecord> = T extends SessionRecord ? Omit<T, "kind" | "session" | "console" | "by" | "key"> : never;

/** At a listener nobody shows a key: what comes and goes there must not fill the ledger. */
function record(turn: Turn, id: string, { console, who, rights }: Open, told: Told): void {
  if (rights !== "trust") {
    const { sessions } = turn.state;
    const fresh = turn.nowMs - sessions.told.sinceMs >= 60_000;
    const counted = fresh ? { sinceMs: turn.nowMs, count: 1 } : { ...sessions.told, count: sessions.told.count + 1 };
    turn.set({ sessions: { ...sessions, told: counted } });
    if (counted.count > RECORDS_PER_MINUTE) return ignore(turn, "session.unrecorded");
  }
  const head = { kind: "session", session: id, console, by: who.name, key: who.key } as const;
  turn.append([{ ...head, ...told } as SessionRecord], { sync: false });
}
