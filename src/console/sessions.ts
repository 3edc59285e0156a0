import type { Effect, Event } from "../core/events.ts";
import { type LineSequence, type LineSettings, lineText, type Pacing, sameLine } from "../core/line.ts";
import type { Person, SessionEvent, SessionNotice } from "../core/sessions.ts";
import type { SessionMessage } from "../protocol/session.ts";
import type { LineStatus, Port } from "./port.ts";
import { sequencesWith } from "./sequences.ts";
import { createTyping, type Typing } from "./typing.ts";
import type { Session, SessionConsole, SessionOptions, Viewer } from "./viewer.ts";

/**
 * Everybody who is attached to a console: what it says goes to each as it comes, what is typed goes to the port when the
 * core says that this one may. Who may is decided there; here it is obeyed.
 */

export interface Sessions {
  /** Null where there is no such console. The viewer is told, at once or later, what comes of it. */
  open(options: SessionOptions, viewer: Viewer): Session | null;
  console(name: string): SessionConsole | null;
  /** From the capture: what a console said. Valid until the call returns. */
  heard(console: string, offset: number, bytes: Uint8Array): void;
  /** From the capture: gaps, up and down, modem lines. */
  happened(event: Event): void;
  perform(effect: Extract<Effect, { type: "session-told" | "seats-changed" }>): void;
  stop(): void;
}

export interface ConsoleAccess {
  readonly name: string;
  readonly device: string;
  readonly port: Port;
  readonly pacing: Pacing;
  readonly sequences: readonly LineSequence[];
}

export interface SessionsOptions {
  readonly consoles: readonly ConsoleAccess[];
  /** Types, and records what was typed where the config says so. How many bytes were taken. */
  readonly write: (console: string, bytes: Uint8Array) => number;
  /** Read at once until then; `person`: not only by programs that never go. */
  readonly watch: (console: string, untilMs: number, person: boolean) => void;
  readonly monoMs: () => number;
  readonly newId: () => string;
  readonly emit: (event: SessionEvent) => void;
}

const BEAT_MS = 10_000;
const WATCH_MS = 60_000;
/** Who is not heard for so long is gone, whatever the connection says. */
const STALE_MS = 90_000;
/** So much that is typed may wait for a slow device. */
const TYPED_LIMIT = 64 * 1024;
const REFUSED_EVERY_MS = 2_000;
const BAUD = { least: 50, most: 4_000_000 };

interface Seat {
  readonly id: string;
  readonly options: SessionOptions;
  readonly viewer: Viewer;
  readonly place: Place;
  ended: boolean;
  typed: number;
  shown: number;
  missed: number;
  heardMs: number;
  fingers: boolean;
  beating: boolean;
  breakOn: boolean;
  refusedMs: number;
  readonly sends: { readonly name: string; readonly act: (() => boolean) | null }[];
}

interface Place extends ConsoleAccess {
  readonly typing: Typing;
  readonly all: readonly LineSequence[];
  readonly seats: Set<Seat>;
  typists: readonly string[];
  people: readonly Person[];
  state: { state: "up" | "down"; code: string | null; detail: string };
  modem: LineStatus["modem"];
  /** As the line was before sessions changed it, and who changed it last: with him it goes back. */
  line: { readonly before: LineSettings; owner: Seat | null } | null;
}

export function createSessions(options: SessionsOptions): Sessions {
  const { emit, monoMs } = options;
  const seats = new Map<string, Seat>();
  const places = new Map(options.consoles.map((one) => [one.name, placeOf(one)]));
  let timer: NodeJS.Timeout | null = null;

  function placeOf(access: ConsoleAccess): Place {
    const { name, port, pacing } = access;
    const typing = createTyping({
      pacing,
      write: (bytes) => options.write(name, bytes),
      sendBreak: (ms) => port.sendBreak(ms),
      stuck: (id, dropped) => refuse(seats.get(id), "type", "console.stuck", `${dropped} bytes were not typed`),
      room: () => {
        for (const { viewer } of places.get(name)?.seats ?? []) viewer.room?.();
      },
    });
    const state = { state: "down", code: "console.missing", detail: "" } as const;
    const all = sequencesWith(access.sequences);
    return { ...access, typing, all, seats: new Set(), typists: [], people: [], state, modem: null, line: null };
  }

  const refuse = (seat: Seat | undefined, what: string, code: string, detail = ""): void => {
    seat?.viewer.tell({ t: "refused", what, code, detail });
  };

  /** Once for a word, not for each of its letters. */
  const refuseKey = (seat: Seat, code: string, detail = ""): false => {
    if (monoMs() - seat.refusedMs >= REFUSED_EVERY_MS) {
      seat.refusedMs = monoMs();
      refuse(seat, "type", code, detail);
    }
    return false;
  };

  const mayType = ({ place, id }: Seat): boolean => place.typists.includes(id);

  const tellAll = ({ seats: all }: Place, message: SessionMessage): void => {
    for (const { viewer } of all) viewer.tell(message);
  };

  const watch = ({ name, seats: all }: Place): void => {
    const person = [...all].some((one) => one.options.rights === "trust");
    if (all.size > 0) options.watch(name, monoMs() + WATCH_MS, person);
  };

  const beat = (): void => {
    for (const seat of [...seats.values()]) {
      const { id, fingers, heardMs } = seat;
      // A program at a listener says nothing of itself: it lives as long as its connection.
      const program = seat.options.rights !== "trust";
      const beating = seat.beating || program;
      if (!program && monoMs() - heardMs > STALE_MS) end(seat, "session.stale");
      else if (beating || fingers) emit({ type: "session-beat", id, typed: fingers });
      seat.fingers = false;
      seat.beating = false;
    }
    for (const place of places.values()) watch(place);
    if (seats.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };

  /** The line as it was, and no BREAK left on it. */
  const restore = (seat: Seat): void => {
    const { place } = seat;
    place.typing.drop(seat.id);
    if (seat.breakOn) place.port.holdBreak(false);
    if (place.line?.owner !== seat) return;
    place.line.owner = null;
    if (seat.options.keepLine === true) place.line = null;
    else undoLine(place, seat);
  };

  /** A port that is away gets its line back when it returns. */
  const undoLine = (place: Place, seat: Seat | null): void => {
    if (place.line === null || place.line.owner !== null) return;
    const { before } = place.line;
    const was = place.port.settings();
    if (!sameLine(was, before) && !place.port.setLine(before)) return;
    place.line = null;
    if (seat !== null && !sameLine(was, before)) tellLine(seat, was, true);
  };

  const tellLine = ({ id, place, options: { who } }: Seat, was: LineSettings, undone: boolean): void => {
    const line = lineText(place.port.settings());
    emit({ type: "line-changed", id, console: place.name, line, was: lineText(was), undone });
    tellAll(place, { t: "line", line, by: who.name, undone });
  };

  const remove = (seat: Seat, how: string): void => {
    if (seat.ended) return;
    seat.ended = true;
    restore(seat);
    seats.delete(seat.id);
    seat.place.seats.delete(seat);
    const { id, typed, shown, missed } = seat;
    emit({ type: "session-detached", id, how, typed, shown, missed });
  };

  const end = (seat: Seat, code: string): void => {
    if (seat.ended) return;
    remove(seat, code);
    seat.viewer.end(code);
  };

  const type = (seat: Seat, bytes: Uint8Array): boolean => {
    const { place } = seat;
    if (seat.ended) return false;
    if (!mayType(seat)) return refuseKey(seat, place.typists.length > 0 ? "lease.held" : "lease.none");
    const { state, code, detail } = place.state;
    if (state === "down") return refuseKey(seat, code ?? "console.missing", detail);
    seat.typed += bytes.length;
    // The first key since the last beat is told at once: who waits for the right to type waits from here.
    if (!seat.fingers) emit({ type: "session-beat", id: seat.id, typed: true });
    seat.fingers = true;
    place.typing.typed(seat.id, bytes);
    return true;
  };

  const askToSend = (seat: Seat, name: string, act: (() => boolean) | null): void => {
    seat.sends.push({ name, act });
    emit({ type: "session-send", id: seat.id, name });
  };

  const send = (seat: Seat, name: string, confirmed: boolean): void => {
    const found = seat.place.all.find((one) => one.name === name);
    if (found === undefined) return refuse(seat, `send ${name}`, "sequence.unknown");
    if (found.confirm && !confirmed) return seat.viewer.tell({ t: "confirm", name, what: found.what });
    askToSend(seat, name, null);
  };

  /** The core has judged the oldest wish of that name. */
  const judged = (seat: Seat, { name, code }: Extract<SessionNotice, { about: "send" }>): void => {
    const at = seat.sends.findIndex((one) => one.name === name);
    const [wish] = at < 0 ? [] : seat.sends.splice(at, 1);
    if (wish === undefined) return;
    if (code !== null) return refuse(seat, `send ${name}`, code);
    const { place, options: opened } = seat;
    const told = (sent: boolean): void => {
      if (sent) tellAll(place, { t: "sent", name, by: opened.who.name });
      else refuse(seat, `send ${name}`, "sequence.failed");
    };
    if (wish.act !== null) return told(wish.act());
    place.typing.sequence(seat.id, place.all.find((one) => one.name === name)?.steps ?? [], told);
  };

  const holdBreak = (seat: Seat, on: boolean): boolean => {
    const { port } = seat.place;
    if (!on && seat.breakOn) {
      port.holdBreak(false);
      seat.breakOn = false;
    }
    if (on && !seat.breakOn) {
      askToSend(seat, "break", () => {
        seat.breakOn = port.holdBreak(true);
        return seat.breakOn;
      });
    }
    return seat.breakOn;
  };

  const setLine = (seat: Seat, wanted: LineSettings): LineSettings => {
    const { place } = seat;
    const { port } = place;
    const was = port.settings();
    if (sameLine(was, wanted) || !mayType(seat)) return was;
    if (wanted.baudRate < BAUD.least || wanted.baudRate > BAUD.most || !port.setLine(wanted)) return was;
    place.line = { before: place.line?.before ?? was, owner: seat };
    if (!sameLine(was, port.settings())) tellLine(seat, was, false);
    return port.settings();
  };

  const sessionOf = (seat: Seat): Session => ({
    id: seat.id,
    type: (bytes) => type(seat, bytes),
    roomy: () => seat.place.typing.waiting() < TYPED_LIMIT,
    pending: () => seat.place.typing.waiting(seat.id) > 0,
    mayType: () => mayType(seat),
    ask: (what) => emit({ type: "session-asked", id: seat.id, ask: what }),
    send: (name, confirmed) => send(seat, name, confirmed),
    holdBreak: (on) => holdBreak(seat, on),
    line: () => seat.place.port.settings(),
    setLine: (settings) => setLine(seat, settings),
    setModem: (lines) => void (mayType(seat) && seat.place.port.setModem(lines)),
    modem: () => seat.place.modem,
    dropTyped: () => {
      seat.place.typing.drop(seat.id);
      if (mayType(seat)) seat.place.port.dropOutput();
    },
    heard: () => {
      seat.heardMs = monoMs();
      seat.beating = true;
    },
    shown: (bytes) => {
      seat.shown += bytes;
    },
    missed: (bytes) => {
      seat.missed += bytes;
    },
    leave: (how) => remove(seat, how),
  });

  return {
    open(opened, viewer) {
      const place = places.get(opened.console);
      if (place === undefined) return null;
      const id = options.newId();
      const seat: Seat = {
        ...{ id, options: opened, viewer, place, ended: false, typed: 0, shown: 0, missed: 0, sends: [] },
        ...{ heardMs: monoMs(), fingers: false, beating: true, breakOn: false, refusedMs: Number.NEGATIVE_INFINITY },
      };
      seats.set(id, seat);
      place.seats.add(seat);
      const { console, who, rights, mode, from } = opened;
      watch(place);
      timer ??= setInterval(beat, BEAT_MS);
      emit({ type: "session-attached", id, console, who, rights, mode, from });
      if (!seat.ended) viewer.tell({ t: "console", ...place.state });
      return sessionOf(seat);
    },
    console(name) {
      const place = places.get(name);
      return place === undefined ? null : { name, device: place.device, sequences: place.all };
    },
    heard(name, offset, bytes) {
      const place = places.get(name);
      if (place === undefined || place.seats.size === 0) return;
      for (const { viewer } of place.seats) viewer.data(offset, bytes);
    },
    happened(event) {
      const place = "console" in event && typeof event.console === "string" ? places.get(event.console) : undefined;
      if (place === undefined) return;
      if (event.type === "console-gap" && event.track === "rx") {
        const { offset: from, length: bytes, cause } = event;
        tellAll(place, { t: "gap", from, bytes, cause });
      }
      if (event.type === "console-changed") {
        const { state, code, detail } = event;
        place.state = { state, code, detail };
        if (state === "down") place.typing.drop(null);
        else undoLine(place, null);
        tellAll(place, { t: "console", ...place.state });
      }
      if (event.type === "console-line") {
        place.modem = event.modem as LineStatus["modem"];
        for (const { viewer } of place.seats) viewer.modem?.(place.modem);
      }
    },
    perform(effect) {
      if (effect.type === "seats-changed") {
        const place = places.get(effect.console);
        if (place === undefined) return;
        place.typists = effect.typists;
        place.people = effect.people;
        for (const { id, viewer } of place.seats) viewer.tell(peopleFor(effect.people, id));
        return;
      }
      const seat = seats.get(effect.id);
      const { notice } = effect;
      if (seat === undefined) return;
      if (notice.about === "ended") return end(seat, notice.code);
      if (notice.about === "send") return judged(seat, notice);
      const { what, why, by } = notice;
      seat.viewer.tell({ t: "lease", what, why, by });
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      for (const seat of [...seats.values()]) end(seat, "session.stopped");
      for (const { typing } of places.values()) typing.stop();
    },
  };
}

function peopleFor(people: readonly Person[], id: string): SessionMessage {
  return {
    t: "people",
    people: people.map((one) => ({ name: one.name, from: one.from, role: one.role, you: one.id === id })),
  };
}
