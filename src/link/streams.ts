import type { Duplex } from "node:stream";
import type { Code } from "../core/codes.ts";
import type { Connection, Effect, Event } from "../core/events.ts";
import type { StreamService } from "../core/messages.ts";
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
}

interface Entry {
  readonly open: Opened;
  readonly stream: LocalStream;
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
  stop(): void;
}

/** Who opened a stream and does not come to listen to it is dropped. */
const BEGIN_MS = 30_000;

export function createStreams(options: StreamsOptions): Streams {
  const entries = new Map<string, Entry>();

  const open = (opened: Opened, token: number): void => {
    const { id, via } = opened;
    const service = options.services[opened.service];
    if (service === undefined) return refuse(token, "stream.unsupported", opened.service);
    let held = false;
    const stream = new LocalStream(
      {
        send: (payload, done) => options.send(via, id, payload, done),
        hold(now) {
          if (held && !now) entries.get(id)?.resume();
          held = now;
        },
      },
      false,
    );
    const entry: Entry = { open: opened, stream, resume: () => undefined, how: "ended", told: false };
    entries.set(id, entry);
    const timer = setTimeout(() => close(id, "stream.lost"), BEGIN_MS);
    stream.once("begun", () => clearTimeout(timer));
    stream.on("error", (error: NodeJS.ErrnoException) => {
      entry.how = entry.how === "ended" ? error.message : entry.how;
    });
    stream.once("close", () => {
      clearTimeout(timer);
      entries.delete(id);
      const { bytesIn, bytesOut } = stream;
      const tell = () => options.emit({ type: "stream-closed", id, how: entry.how, bytesIn, bytesOut });
      // Never before it is told that it was opened.
      if (entry.told) tell();
      else setImmediate(tell);
    });
    const started = service(stream, opened);
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

  const refuse = (token: number, code: Code, detail: string): void =>
    later({ type: "stream-opened", token, ok: false, code, detail });

  /** Never inside the turn that asked. */
  const later = (event: Extract<Event, { type: "stream-opened" }>): void =>
    void setImmediate(() => options.emit(event));

  const close = (id: string, how: string): void => {
    const entry = entries.get(id);
    if (entry === undefined) return;
    entry.how = how;
    entry.stream.destroy();
  };

  return {
    perform(effect) {
      if (effect.type === "close-stream") return close(effect.id, effect.code);
      const { type: _, token, ...opened } = effect;
      open(opened, token);
    },
    begun(id) {
      const entry = entries.get(id);
      if (entry !== undefined) return entry.stream.begin();
      // It ended before its opener came to listen.
      options.send("local", id, new Uint8Array(), () => undefined);
    },
    bytes(id, payload, resume) {
      const entry = entries.get(id);
      if (entry === undefined) return true;
      entry.resume = resume;
      return entry.stream.arrived(payload);
    },
    gone: (id) => entries.get(id)?.stream.lost(),
    stop() {
      for (const id of [...entries.keys()]) close(id, "stopped");
    },
  };
}
