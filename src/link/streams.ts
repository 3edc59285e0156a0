import type { Duplex } from "node:stream";
import type { Code } from "../core/codes.ts";
import type { Connection, Effect, Event } from "../core/events.ts";
import type { StreamService } from "../core/messages.ts";
import { resetFrame } from "../protocol/stream.ts";
import { FramedStream } from "./framed-stream.ts";
import { LocalStream } from "./local-stream.ts";

/** The site's end of its streams: what was allowed to open gets a `Duplex`, and how it ended is told. */

export type Opened = Omit<Extract<Effect, { type: "open-stream" }>, "type" | "token">;

/** `ticket`: what a program that the service starts proves its operator with. */
export type Started = { ok: true; ticket?: string } | { ok: false; code: Code; detail: string };

/** What stands at the end of a stream. It ends by ending or destroying the stream, and is told the same way. */
export type Service = (stream: Duplex, open: Opened) => Started;

export interface StreamsOptions {
  readonly services: Readonly<Partial<Record<StreamService, Service>>>;
  readonly send: (to: Connection, id: string, payload: Uint8Array, done: () => void) => boolean;
  readonly emit: (event: Extract<Event, { type: "stream-opened" | "stream-closed" }>) => void;
  readonly monoMs: () => number;
}

interface Entry {
  readonly stream: LocalStream | FramedStream;
  /** Which way it goes: the one that costs nothing, as long as its opener is heard there. */
  via: Connection;
  primaryMs: number;
  resume: () => void;
  how: string;
  told: boolean;
}

export interface Streams {
  perform(effect: Extract<Effect, { type: "open-stream" | "close-stream" }>): void;
  /** A client of the local socket listens to it, says something, is gone. */
  begun(id: string): void;
  bytes(id: string, payload: Uint8Array, resume: () => void): boolean;
  gone(id: string): void;
  /** A frame that came over a broker. */
  frame(via: Connection, id: string, payload: Uint8Array): void;
  /** A broker is there again. */
  reconnected(via: Connection): void;
  stop(): void;
}

/** Who opened a stream and does not come to listen to it is dropped. */
const BEGIN_MS = 30_000;
/** The last words of a stream may be lost: so long, and of so many, they are said again when asked for. */
const PAST_MS = 60_000;
const PAST_KEPT = 64;
/** An opener who was heard over the primary so lately is there still. */
const PRIMARY_SILENT_MS = 10_000;
/** Answers to frames of streams that nobody knows, a second. */
const UNKNOWN_ANSWERED = 20;

const NOTHING = () => undefined;

export function createStreams(options: StreamsOptions): Streams {
  const entries = new Map<string, Entry>();
  const past = new Map<string, FramedStream>();
  let unknown = { second: 0, count: 0 };

  const sendTo = (id: string, via: Connection, frame: Uint8Array): void =>
    void options.send(entries.get(id)?.via ?? via, id, frame, NOTHING);

  const open = (opened: Opened, token: number): void => {
    const { id, via } = opened;
    const service = options.services[opened.service];
    if (service === undefined) return refuse(token, "stream.unsupported", opened.service);
    const stream =
      via === "local" ? localStream(id) : new FramedStream(false, (frame) => sendTo(id, via, frame), options.monoMs);
    const entry: Entry = {
      stream,
      via,
      primaryMs: Number.NEGATIVE_INFINITY,
      resume: NOTHING,
      how: "ended",
      told: false,
    };
    entries.set(id, entry);
    const timer = setTimeout(() => close(id, "stream.lost"), BEGIN_MS);
    stream.once("begun", () => clearTimeout(timer));
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (entry.how === "ended") entry.how = error.code ?? error.message;
    });
    stream.once("close", () => {
      clearTimeout(timer);
      entries.delete(id);
      if (stream instanceof FramedStream) remember(id, stream);
      const counts = countsOf(stream);
      const tell = () => options.emit({ type: "stream-closed", id, how: entry.how, ...counts });
      // Never before it is told that it was opened.
      if (entry.told) tell();
      else setImmediate(tell);
    });
    const started = begun(service, stream, opened);
    if (started.ok) {
      later({ ...started, type: "stream-opened", token, code: null, detail: "" });
      return void setImmediate(() => {
        entry.told = true;
      });
    }
    stream.removeAllListeners("close");
    entries.delete(id);
    clearTimeout(timer);
    stream.destroy();
    refuse(token, started.code, started.detail);
  };

  /** Each frame comes over every connection that is up. */
  const follow = (entry: Entry, via: Connection): void => {
    const nowMs = options.monoMs();
    if (via === "primary") entry.primaryMs = nowMs;
    if (via === "primary" || nowMs - entry.primaryMs > PRIMARY_SILENT_MS) entry.via = via;
  };

  const localStream = (id: string): LocalStream => {
    let held = false;
    const hold = (now: boolean): void => {
      if (held && !now) entries.get(id)?.resume();
      held = now;
    };
    return new LocalStream({ send: (payload, done) => options.send("local", id, payload, done), hold }, false);
  };

  const remember = (id: string, stream: FramedStream): void => {
    past.set(id, stream);
    const [oldest] = past.keys();
    if (past.size > PAST_KEPT && oldest !== undefined) past.delete(oldest);
    setTimeout(() => past.delete(id), PAST_MS).unref();
  };

  const refuse = (token: number, code: Code, detail: string): void =>
    later({ type: "stream-opened", token, ok: false, code, detail });

  /** Never inside the turn that asked. */
  const later = (event: Extract<Event, { type: "stream-opened" }>): void =>
    void setImmediate(() => options.emit(event));

  const close = (id: string, how: string): void => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entry.how = how;
    if (entry.stream instanceof FramedStream) entry.stream.abort(how);
    entry.stream.destroy();
  };

  /** It restarted, or waited too long: the other end is told, so that it does not wait for ever. */
  const answerUnknown = (via: Connection, id: string): void => {
    const second = Math.floor(options.monoMs() / 1_000);
    unknown = { second, count: unknown.second === second ? unknown.count + 1 : 1 };
    if (unknown.count <= UNKNOWN_ANSWERED) options.send(via, id, resetFrame("stream.unknown"), NOTHING);
  };

  return {
    perform(effect) {
      if (effect.type === "close-stream") return close(effect.id, effect.code);
      const { type: _, token, ...opened } = effect;
      open(opened, token);
    },
    begun(id) {
      const entry = entries.get(id);
      if (entry?.stream instanceof LocalStream) return entry.stream.begin();
      // It ended before its opener came to listen.
      options.send("local", id, new Uint8Array(), NOTHING);
    },
    bytes(id, payload, resume) {
      const entry = entries.get(id);
      if (!(entry?.stream instanceof LocalStream)) return true;
      entry.resume = resume;
      return entry.stream.arrived(payload);
    },
    gone(id) {
      const stream = entries.get(id)?.stream;
      if (stream instanceof LocalStream) stream.lost();
    },
    frame(via, id, payload) {
      const entry = entries.get(id);
      const stream = entry?.stream ?? past.get(id);
      if (!(stream instanceof FramedStream)) return answerUnknown(via, id);
      if (entry !== undefined) follow(entry, via);
      stream.emit("begun");
      stream.arrived(payload);
    },
    reconnected(via) {
      for (const entry of entries.values()) {
        if (!(entry.stream instanceof FramedStream)) continue;
        follow(entry, via);
        entry.stream.reconnected();
      }
    },
    stop() {
      for (const id of [...entries.keys()]) close(id, "stopped");
    },
  };
}

/** A service that cannot begin, on a card that is full or read-only, costs its stream and nothing else. */
function begun(service: Service, stream: Duplex, opened: Opened): ReturnType<Service> {
  try {
    return service(stream, opened);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { ok: false, code: "stream.unsupported", detail };
  }
}

function countsOf(stream: LocalStream | FramedStream): { bytesIn: number; bytesOut: number } {
  if (stream instanceof FramedStream) return stream.machine.counts();
  const { bytesIn, bytesOut } = stream;
  return { bytesIn, bytesOut };
}
