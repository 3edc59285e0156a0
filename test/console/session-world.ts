import { Duplex } from "node:stream";
import type { Port } from "../../src/console/port.ts";
import { createSessions, type Sessions } from "../../src/console/sessions.ts";
import { attachStream } from "../../src/console/stream-session.ts";
import type { Event } from "../../src/core/events.ts";
import type { LineSettings, Pacing } from "../../src/core/line.ts";
import type { SessionMode, SessionWho } from "../../src/core/sessions.ts";
import {
  encodeSessionData,
  encodeSessionMessage,
  type SessionMessage,
  SessionReader,
} from "../../src/protocol/session.ts";
import { Bench } from "../core/bench.ts";

/** One console with the real core behind it, a port and a journal in memory, and people at the other end of streams. */

export const ALICE: SessionWho = { name: "alice", key: "key-alice", local: false };
export const VERA: SessionWho = { name: "vera", key: "key-vera", local: false };
export const LOCAL: SessionWho = { name: "local", key: null, local: true };

export interface Viewing {
  /** What the console said, as this one saw it. */
  seen(): string;
  /** Each piece with the offset that the messages give it. */
  readonly pieces: { offset: number; text: string }[];
  readonly messages: SessionMessage[];
  type(text: string): void;
  ask(message: Parameters<typeof encodeSessionMessage>[0]): void;
  /** Stops reading, and goes on. */
  stall(on: boolean): void;
  hangUp(): void;
  ended(): boolean;
  last<T extends SessionMessage["t"]>(t: T): Extract<SessionMessage, { t: T }> | undefined;
}

export interface SessionWorld {
  readonly bench: Bench;
  readonly sessions: Sessions;
  /** What the port was given: text, `<break>`, `<line 9600 8n1>`. */
  readonly done: string[];
  typed(): string;
  line(): LineSettings;
  say(bytes: string | Uint8Array): void;
  happen(event: Event): void;
  view(who: SessionWho, mode?: SessionMode, begin?: Record<string, number> | null): Viewing;
  /** How much the port takes at once; 0: nothing. */
  portTakes: number;
  portDown: boolean;
}

export function sessionWorld(options: { pacing?: Pacing; nowMs?: () => number } = {}): SessionWorld {
  const bench = new Bench();
  const done: string[] = [];
  let typed = "";
  let line: LineSettings = { baudRate: 9_600, framing: { dataBits: 8, parity: "none", stopBits: 1 }, flow: "none" };
  let said = Buffer.alloc(0);
  let id = 0;
  const world = { portTakes: Number.MAX_SAFE_INTEGER, portDown: false };
  const port: Port = {
    start: () => undefined,
    write: () => 0,
    async sendBreak() {
      done.push("<break>");
      return true;
    },
    holdBreak(on) {
      done.push(on ? "<break on>" : "<break off>");
      return true;
    },
    settings: () => line,
    setLine(wanted) {
      if (world.portDown) return false;
      line = wanted;
      done.push(`<line ${wanted.baudRate}>`);
      return true;
    },
    setModem: () => false,
    dropOutput: () => void done.push("<drop>"),
    watch: () => undefined,
    stop: async () => undefined,
  };
  const emit = (event: Event): void => {
    const before = bench.effects.length;
    bench.emit(event);
    for (const effect of bench.effects.slice(before))
      if (effect.type === "session-told" || effect.type === "seats-changed") sessions.perform(effect);
  };
  const sessions = createSessions({
    consoles: [
      {
        name: "router1",
        device: "router1",
        port,
        pacing: options.pacing ?? { charMs: 0, lineMs: 0 },
        sequences: [{ name: "hello", steps: [{ text: "hi" }, { breakMs: 1 }], what: "says hi", confirm: false }],
      },
    ],
    write(_, bytes) {
      const taken = bytes.subarray(0, world.portTakes);
      typed += Buffer.from(taken).toString("latin1");
      if (taken.length > 0) done.push(Buffer.from(taken).toString("latin1"));
      return taken.length;
    },
    watch: () => undefined,
    monoMs: options.nowMs ?? (() => bench.nowMs),
    newId: () => `s${++id}`,
    emit,
  });
  sessions.happened({ type: "console-changed", console: "router1", state: "up", code: null, detail: "" });
  const attaching = {
    sessions,
    boot: 7,
    head: () => said.length,
    journal: {
      async readCapture(_track: string, _boot: number | null, from: number, to: number, limit: number) {
        const data = said.subarray(from, Math.min(to, from + limit));
        const pieces = data.length === 0 ? [] : [{ offset: from, monoMs: 0, data: Uint8Array.from(data) }];
        return { boot: 7, pieces, gaps: [], first: 0, next: said.length, end: from + data.length };
      },
      offsetAt: async () => 0,
      ping: () => new Promise<void>((resolve) => setTimeout(resolve, 1)),
    },
    monoMs: () => bench.nowMs,
  };
  return Object.assign(world, {
    bench,
    sessions,
    done,
    typed: () => typed,
    line: () => line,
    say(bytes: string | Uint8Array) {
      const offset = said.length;
      said = Buffer.concat([said, Buffer.from(bytes)]);
      sessions.heard("router1", offset, Buffer.from(bytes));
    },
    happen(event: Event) {
      sessions.happened(event);
      emit(event);
    },
    view(who: SessionWho, mode: SessionMode = "type", begin: Record<string, number> | null = {}) {
      const [site, mine] = duplexPair();
      attachStream(attaching, site, { console: "router1", mode, who, from: "socket" });
      const viewing = viewingOf(mine);
      if (begin !== null) viewing.ask({ t: "begin", ...begin });
      return viewing;
    },
  });
}

function viewingOf(stream: Duplex): Viewing {
  const reader = new SessionReader();
  const messages: SessionMessage[] = [];
  const pieces: { offset: number; text: string }[] = [];
  let seen = "";
  let next = 0;
  let over = false;
  stream.on("data", (bytes: Buffer) => {
    for (const frame of reader.push(bytes)) {
      if ("data" in frame) {
        const text = Buffer.from(frame.data).toString("latin1");
        seen += text;
        pieces.push({ offset: next, text });
        next += text.length;
        continue;
      }
      const message = frame.message as SessionMessage;
      messages.push(message);
      if (message.t === "at") next = message.offset;
      if (message.t === "missed") next = message.from + message.bytes;
    }
  });
  stream.on("end", () => {
    over = true;
  });
  return {
    seen: () => seen,
    pieces,
    messages,
    type: (text) => void stream.write(encodeSessionData(Buffer.from(text, "latin1"))),
    ask: (message) => void stream.write(encodeSessionMessage(message)),
    stall: (on) => void (on ? stream.pause() : stream.resume()),
    hangUp: () => void stream.destroy(),
    ended: () => over,
    last: (t) => messages.findLast((one): one is Extract<SessionMessage, { t: typeof t }> => one.t === t),
  };
}

/** Two ends of one stream; what one writes waits until the other reads. */
function duplexPair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const make = (other: () => Duplex | undefined): Duplex => {
    let blocked: (() => void) | null = null;
    const end = new Duplex({
      read() {
        const go = blocked;
        blocked = null;
        go?.();
      },
      write(bytes, _, done) {
        const to = other();
        if (to === undefined || to.destroyed) return done();
        if (to.push(bytes)) return done();
        // The other end is full: it says when it reads on.
        (to as Duplex & { waiting?: (go: () => void) => void }).waiting?.(done);
      },
      final(done) {
        other()?.push(null);
        done();
      },
      destroy(error, done) {
        const to = other();
        if (to !== undefined && !to.destroyed) to.destroy();
        done(error);
      },
    });
    Object.assign(end, {
      waiting: (go: () => void) => {
        blocked = go;
      },
    });
    return end;
  };
  ends.push(
    make(() => ends[1]),
    make(() => ends[0]),
  );
  const [one, other] = ends;
  if (one === undefined || other === undefined) throw new Error("no pair");
  return [one, other];
}
