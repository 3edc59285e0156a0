/**
 * Who may type into one console: many watch, one types, and whoever joins him. The right to type is a lease. It ends when
 * its holder is not heard any more, when he gives it back or somebody takes it, and he is told by whom and why.
 */

/** Somebody attached to the console. */
export interface Seat {
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly mayType: boolean;
  /** Last sign of life of the session, and of fingers; mono ms. */
  readonly heardMs: number;
  readonly typedMs: number;
}

export interface Seats {
  /** In the order in which they came. */
  readonly seats: readonly Seat[];
  readonly holder: string | null;
  /** Who types along, because he asked to and the holder was told. */
  readonly joined: readonly string[];
  readonly waiting: readonly { readonly id: string; readonly sinceMs: number }[];
}

export type Ask = "request" | "claim" | "steal" | "join" | "release";

export interface LeaseNotice {
  readonly to: string;
  /**
   * `type`, `watch`: from now on you may or may no longer. `waiting`: you are next when the holder stops. `asked`,
   * `joined`: somebody wants to type, or types along. `refused`: it stays as it was.
   */
  readonly what: "type" | "watch" | "waiting" | "asked" | "joined" | "refused";
  readonly why: "free" | "released" | "left" | "expired" | "idle" | "stolen" | "joined" | "held" | "right" | "asked";
  /** Who did it, or holds it. */
  readonly by: string | null;
}

export interface LeaseStep {
  readonly seats: Seats;
  readonly notices: readonly LeaseNotice[];
}

export const EMPTY_SEATS: Seats = { seats: [], holder: null, joined: [], waiting: [] };

/** Who is not heard for so long does not type any more. A client beats every ten seconds. */
export const LEASE_MS = 30_000;
/** So long a holder who does not type keeps it from somebody who asked. */
export const GIVE_WAY_MS = 30_000;

export function sit(seats: Seats, seat: Omit<Seat, "heardMs" | "typedMs">, nowMs: number): Seats {
  return { ...seats, seats: [...seats.seats, { ...seat, heardMs: nowMs, typedMs: nowMs }] };
}

export function leave(seats: Seats, id: string, nowMs: number): LeaseStep {
  const without = standing(seats, id);
  const gone = { ...without, seats: without.seats.filter((one) => one.id !== id) };
  return seats.holder === id ? passOn(gone, "left", nameOf(seats, id), nowMs) : { seats: gone, notices: [] };
}

/** A sign of life; `typed`: of fingers too. */
export function beat(seats: Seats, id: string, typed: boolean, nowMs: number): Seats {
  return withSeat(seats, id, (seat) => ({ ...seat, heardMs: nowMs, typedMs: typed ? nowMs : seat.typedMs }));
}

export function ask(seats: Seats, id: string, what: Ask, nowMs: number): LeaseStep {
  const seat = seats.seats.find((one) => one.id === id);
  if (seat === undefined) return { seats, notices: [] };
  const heard = beat(seats, id, true, nowMs);
  if (what === "release") return release(heard, id, "released", nowMs);
  if (!seat.mayType) return { seats, notices: [{ to: id, what: "refused", why: "right", by: null }] };
  if (mayTypeNow(seats, id) && what !== "steal") return { seats: heard, notices: [] };
  if (seats.holder === null) return grant(heard, id, "free", null, nowMs);
  switch (what) {
    case "steal":
      return steal(heard, seat, nowMs);
    case "join":
      return join(heard, seat);
    case "claim":
      return { seats: heard, notices: [{ to: id, what: "refused", why: "held", by: holderName(seats) }] };
    case "request":
      return wait(heard, seat, nowMs);
  }
}

/** What an operator may do has changed. */
export function allow(seats: Seats, id: string, mayType: boolean, nowMs: number): LeaseStep {
  const changed = withSeat(seats, id, (seat) => ({ ...seat, mayType }));
  return mayType ? { seats: changed, notices: [] } : release(changed, id, "right", nowMs);
}

/** What time has ended: leases of who is not heard, and of who does not type while another waits. */
export function lapse(seats: Seats, nowMs: number): LeaseStep {
  let step: LeaseStep = { seats, notices: [] };
  for (const { id, heardMs } of seats.seats) {
    if (nowMs - heardMs < LEASE_MS) continue;
    if (mayTypeNow(step.seats, id) || isWaiting(step.seats, id))
      step = then(step, release(step.seats, id, "expired", nowMs));
  }
  const { holder } = step.seats;
  const dueMs = giveWayMs(step.seats);
  if (holder === null || dueMs === null || nowMs < dueMs) return step;
  return then(step, release(step.seats, holder, "idle", nowMs));
}

/** When `lapse` has something to do next; null: never as it stands. */
export function lapseMs(seats: Seats): number | null {
  const times = seats.seats
    .filter(({ id }) => mayTypeNow(seats, id) || isWaiting(seats, id))
    .map(({ heardMs }) => heardMs + LEASE_MS);
  const dueMs = giveWayMs(seats);
  if (dueMs !== null) times.push(dueMs);
  return times.length === 0 ? null : Math.min(...times);
}

export function mayTypeNow({ holder, joined }: Seats, id: string): boolean {
  return holder === id || joined.includes(id);
}

export function isWaiting({ waiting }: Seats, id: string): boolean {
  return waiting.some((one) => one.id === id);
}

function giveWayMs(seats: Seats): number | null {
  const [first] = seats.waiting;
  const holder = seats.seats.find(({ id }) => id === seats.holder);
  if (first === undefined || holder === undefined) return null;
  return Math.max(first.sinceMs, holder.typedMs) + GIVE_WAY_MS;
}

function steal(seats: Seats, thief: Seat, nowMs: number): LeaseStep {
  if (seats.holder === thief.id) return { seats, notices: [] };
  const losers = [seats.holder, ...seats.joined].filter((id): id is string => id !== null && id !== thief.id);
  const taken = { ...standing(seats, thief.id), holder: null, joined: [] };
  const notices = losers.map((to): LeaseNotice => ({ to, what: "watch", why: "stolen", by: thief.name }));
  const granted = grant(taken, thief.id, "stolen", holderName(seats), nowMs);
  return { seats: granted.seats, notices: [...notices, ...granted.notices] };
}

function join(seats: Seats, seat: Seat): LeaseStep {
  const others = [seats.holder, ...seats.joined].filter((id): id is string => id !== null);
  return {
    seats: { ...standing(seats, seat.id), joined: [...seats.joined, seat.id] },
    notices: [
      ...others.map((to): LeaseNotice => ({ to, what: "joined", why: "joined", by: seat.name })),
      { to: seat.id, what: "type", why: "joined", by: holderName(seats) },
    ],
  };
}

function wait(seats: Seats, seat: Seat, nowMs: number): LeaseStep {
  const notice: LeaseNotice = { to: seat.id, what: "waiting", why: "held", by: holderName(seats) };
  if (isWaiting(seats, seat.id)) return { seats, notices: [notice] };
  const asked: LeaseNotice[] =
    seats.holder === null ? [] : [{ to: seats.holder, what: "asked", why: "asked", by: seat.name }];
  return {
    seats: { ...seats, waiting: [...seats.waiting, { id: seat.id, sinceMs: nowMs }] },
    notices: [notice, ...asked],
  };
}

function release(seats: Seats, id: string, why: "released" | "expired" | "idle" | "right", nowMs: number): LeaseStep {
  if (!mayTypeNow(seats, id)) return { seats: standing(seats, id), notices: [] };
  const next = why === "idle" ? nameOf(seats, seats.waiting[0]?.id ?? "") : null;
  const told: LeaseNotice = { to: id, what: "watch", why, by: next };
  const without = standing(seats, id);
  if (seats.holder !== id) return { seats: without, notices: [told] };
  const passed = passOn(without, why === "right" ? "released" : why, nameOf(seats, id), nowMs);
  return { seats: passed.seats, notices: [told, ...passed.notices] };
}

/** The holder is gone: who typed along goes on, else who waited longest begins. */
function passOn(
  seats: Seats,
  why: "left" | "released" | "expired" | "idle",
  by: string | null,
  nowMs: number,
): LeaseStep {
  const [heir] = seats.joined;
  const next = heir ?? seats.waiting[0]?.id;
  if (next === undefined) return { seats: { ...seats, holder: null }, notices: [] };
  return grant(seats, next, why, by, nowMs);
}

function grant(seats: Seats, id: string, why: LeaseNotice["why"], by: string | null, nowMs: number): LeaseStep {
  const next = { ...standing(seats, id), holder: id };
  return { seats: beat(next, id, true, nowMs), notices: [{ to: id, what: "type", why, by }] };
}

/** Neither typing nor waiting, still there. */
function standing(seats: Seats, id: string): Seats {
  return {
    ...seats,
    holder: seats.holder === id ? null : seats.holder,
    joined: seats.joined.filter((one) => one !== id),
    waiting: seats.waiting.filter((one) => one.id !== id),
  };
}

function withSeat(seats: Seats, id: string, change: (seat: Seat) => Seat): Seats {
  return { ...seats, seats: seats.seats.map((one) => (one.id === id ? change(one) : one)) };
}

function then(before: LeaseStep, after: LeaseStep): LeaseStep {
  return { seats: after.seats, notices: [...before.notices, ...after.notices] };
}

function nameOf(seats: Seats, id: string): string | null {
  return seats.seats.find((one) => one.id === id)?.name ?? null;
}

function holderName(seats: Seats): string | null {
  return seats.holder === null ? null : nameOf(seats, seats.holder);
}
