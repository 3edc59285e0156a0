import type { Duplex } from "node:stream";
import {
  encodeSessionData,
  encodeSessionMessage,
  type SessionMessage,
  SessionReader,
  type SessionRequest,
} from "../protocol/session.ts";

/** The operator's end of a session on a console. */
export interface ConsoleSession {
  /** False while what was typed before has not gone: the terminal waits. */
  type(bytes: Uint8Array): boolean;
  ask(request: SessionRequest): void;
  end(): void;
  /** Null where the connection broke without a word; else the last word, or `left` where we ended it. */
  readonly ended: Promise<string | null>;
}

export interface SessionEvents {
  data(bytes: Uint8Array, offset: number): void;
  message(message: SessionMessage): void;
  room(): void;
}

const BEAT_MS = 10_000;

export function startSession(
  stream: Duplex,
  begin: Extract<SessionRequest, { t: "begin" }>,
  events: SessionEvents,
): ConsoleSession {
  const reader = new SessionReader();
  let offset = 0;
  let last: string | null = null;
  const ask = (request: SessionRequest): void => {
    if (!stream.destroyed && !stream.writableEnded) stream.write(encodeSessionMessage(request));
  };
  const beat = setInterval(() => ask({ t: "beat" }), BEAT_MS);
  stream.on("data", (bytes: Uint8Array) => {
    for (const frame of reader.push(bytes)) {
      if ("data" in frame) {
        events.data(frame.data, offset);
        offset += frame.data.length;
        continue;
      }
      // The site's word: what this version does not know is passed over.
      const message = frame.message as SessionMessage;
      if (message.t === "at") offset = message.offset;
      if (message.t === "missed") offset = message.from + message.bytes;
      if (message.t === "ended") last = String(message.code);
      events.message(message);
    }
    if (reader.broken) stream.destroy();
  });
  stream.on("drain", events.room);
  const ended = new Promise<string | null>((resolve) => {
    const over = (): void => {
      clearInterval(beat);
      resolve(last);
    };
    stream.once("end", over);
    stream.once("close", over);
    stream.on("error", over);
  });
  ask(begin);
  return {
    type: (bytes) => stream.writableEnded || stream.destroyed || stream.write(encodeSessionData(bytes)),
    ask,
    end() {
      last ??= "left";
      stream.end();
    },
    ended,
  };
}
