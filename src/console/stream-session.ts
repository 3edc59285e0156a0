import type { Duplex } from "node:stream";
import type { SessionMode, SessionWho } from "../core/sessions.ts";
import type { Range } from "../journal/range.ts";
import {
  encodeSessionData,
  encodeSessionMessage,
  readSessionRequest,
  type SessionMessage,
  SessionReader,
  type SessionRequest,
} from "../protocol/session.ts";
import type { Sessions } from "./sessions.ts";
import type { Session, Viewer } from "./viewer.ts";

/** A session inside a stream: first what was said before, from the journal, then what is said, and messages beside it. */

export interface StreamSessionOptions {
  readonly sessions: Sessions;
  readonly boot: number;
  /** Offset of the next byte that the console says. */
  readonly head: (console: string) => number;
  readonly journal: {
    readCapture(track: string, boot: number | null, from: number, to: number, limit: number): Promise<Range | null>;
    offsetAt(track: string, boot: number | null, monoMs: number): Promise<number>;
    ping(): Promise<void>;
  };
  readonly monoMs: () => number;
}

export interface Opened {
  readonly console: string;
  readonly mode: SessionMode;
  readonly who: SessionWho;
  /** For people: over what it came. */
  readonly from: string;
}

/** So much may wait for a slow viewer; what comes meanwhile he is told of and not shown. */
const QUEUE_BYTES = 64 * 1024;
const READ_BYTES = 64 * 1024;
/** The last lines are looked for in so much, though some of them be long. */
const LINE_BYTES = 240;
const LEAST_BYTES = 16 * 1024;
/** Who does not say what he wants to see is shown what comes. */
const BEGIN_MS = 10_000;
const LAST_WORD_MS = 2_000;
const LF = 10;

type Begin = Extract<SessionRequest, { t: "begin" }>;

export function attachStream(options: StreamSessionOptions, stream: Duplex, opened: Opened): void {
  const { sessions, boot } = options;
  const { console, mode, who, from } = opened;
  const known = sessions.console(console);
  const write = (message: SessionMessage): void => {
    if (!stream.destroyed && !stream.writableEnded) stream.write(encodeSessionMessage(message));
  };
  if (known === null) {
    write({ t: "ended", code: "console.unknown" });
    stream.end();
    return;
  }
  const feed = new Feed(options, stream, console, write);
  const viewer: Viewer = {
    data: (offset, bytes) => feed.live(offset, bytes),
    tell: write,
    room: () => stream.resume(),
    end(code) {
      write({ t: "ended", code });
      stream.end();
      // Who reads no more is not waited for.
      setTimeout(() => stream.destroy(), LAST_WORD_MS).unref();
    },
  };
  const sequences = known.sequences.map(({ name, what, confirm }) => ({ name, what, confirm }));
  write({ t: "hello", console, device: known.device, boot, offset: options.head(console), sequences });
  const session = sessions.open({ console, who, rights: "trust", mode, from }, viewer);
  if (session === null) return;
  feed.session = session;
  const begin = setTimeout(() => feed.begin({ t: "begin" }), BEGIN_MS);
  listen(stream, session, (request) => {
    clearTimeout(begin);
    feed.begin(request);
  });
  stream.once("close", () => {
    clearTimeout(begin);
    feed.stop();
  });
}

function listen(stream: Duplex, session: Session, begin: (request: Begin) => void): void {
  const reader = new SessionReader();
  stream.on("data", (bytes: Uint8Array) => {
    session.heard();
    for (const frame of reader.push(bytes)) {
      if ("data" in frame) {
        session.type(frame.data);
        // A long paste waits with its sender.
        if (!session.roomy()) stream.pause();
        continue;
      }
      const request = readSessionRequest(frame.message);
      if (request === null) return over("session.malformed");
      act(session, request, begin);
    }
    if (reader.broken) over("session.malformed");
  });
  const over = (how: string): void => {
    session.leave(how);
    stream.end();
  };
  stream.once("end", () => over("left"));
  stream.once("close", () => session.leave("lost"));
  // A connection that breaks closes: that is told once.
  stream.on("error", () => undefined);
}

function act(session: Session, request: SessionRequest, begin: (request: Begin) => void): void {
  switch (request.t) {
    case "begin":
      return begin(request);
    case "beat":
      return;
    case "send":
      return session.send(request.name, request.confirmed);
    default:
      return session.ask(request.t);
  }
}

/** What goes to one viewer, in order and without a hole that is not told. */
class Feed {
  session: Session | null = null;
  private readonly options: StreamSessionOptions;
  private readonly stream: Duplex;
  private readonly console: string;
  private readonly write: (message: SessionMessage) => void;
  private state: "new" | "replaying" | "live" | "over" = "new";
  /** Live bytes that came while the journal was read. */
  private held: { offset: number; bytes: Uint8Array }[] = [];
  private heldBytes = 0;
  private overflown = false;
  private missed: { from: number; bytes: number } | null = null;

  constructor(
    options: StreamSessionOptions,
    stream: Duplex,
    console: string,
    write: (message: SessionMessage) => void,
  ) {
    this.options = options;
    this.stream = stream;
    this.console = console;
    this.write = write;
    stream.on("drain", () => this.settle());
  }

  begin(wanted: Begin): void {
    if (this.state !== "new") return;
    this.state = "replaying";
    this.replay(wanted).catch(() => {
      // The journal cannot be read: what comes is shown all the same.
      if (this.state === "replaying") this.goLive(this.options.head(this.console));
    });
  }

  stop(): void {
    this.state = "over";
    this.held = [];
  }

  live(offset: number, bytes: Uint8Array): void {
    if (this.state === "live") return this.push(offset, bytes);
    if (this.state !== "replaying") return;
    this.overflown ||= this.heldBytes + bytes.length > QUEUE_BYTES;
    if (this.overflown) return;
    this.held.push({ offset, bytes: Uint8Array.from(bytes) });
    this.heldBytes += bytes.length;
  }

  private push(offset: number, bytes: Uint8Array): void {
    this.settle();
    if (this.missed !== null || this.stream.writableLength > QUEUE_BYTES) {
      this.missed ??= { from: offset, bytes: 0 };
      this.missed.bytes += bytes.length;
      this.session?.missed(bytes.length);
      return;
    }
    this.stream.write(encodeSessionData(bytes));
    this.session?.shown(bytes.length);
  }

  /** There is room again: first of all he is told what he has missed. */
  private settle(): void {
    if (this.missed === null || this.stream.writableLength > QUEUE_BYTES / 2) return;
    const { from, bytes } = this.missed;
    this.missed = null;
    this.write({ t: "missed", from, bytes });
  }

  private async replay(wanted: Begin): Promise<void> {
    const { head } = this.options;
    let next = await this.startOf(wanted);
    this.write({ t: "at", offset: next, live: false });
    for (;;) {
      const to = head(this.console);
      this.held = [];
      this.heldBytes = 0;
      this.overflown = false;
      await this.flushed();
      const range = await this.read(next, to);
      if (this.state !== "replaying") return;
      if (range === null) return this.goLive(to);
      this.show(range, next);
      next = Math.max(next, Math.min(range.end, to));
      await this.room();
      if (this.isOver()) return;
      if (next >= to && !this.overflown) return this.goLive(to);
    }
  }

  private isOver(): boolean {
    return this.state === "over";
  }

  private goLive(from: number): void {
    this.write({ t: "at", offset: from, live: true });
    this.state = "live";
    for (const { offset, bytes } of this.held) this.push(offset, bytes);
    this.held = [];
  }

  private async startOf({ lines, sinceMs, from }: Begin): Promise<number> {
    const { head, journal, boot, monoMs } = this.options;
    const end = head(this.console);
    if (from !== undefined) return Math.min(from, end);
    if (sinceMs !== undefined) {
      await this.flushed();
      return Math.min(end, await journal.offsetAt(this.track(), boot, monoMs() - sinceMs));
    }
    if (lines === undefined || lines === 0) return end;
    await this.flushed();
    const span = Math.max(LEAST_BYTES, lines * LINE_BYTES);
    const range = await this.read(Math.max(0, end - span), end, span);
    return range === null ? end : startOfLines(range, lines, end);
  }

  private read(from: number, to: number, limit = READ_BYTES): Promise<Range | null> {
    return this.options.journal.readCapture(this.track(), this.options.boot, from, to, limit);
  }

  private track(): string {
    return `${this.console}/rx`;
  }

  /** What was heard so far is in the journal then. */
  private async flushed(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    await this.options.journal.ping();
  }

  private show(range: Range, from: number): void {
    const gaps = range.gaps.filter(({ offset }) => offset > from);
    for (const { offset, data } of range.pieces) {
      while (gaps[0] !== undefined && gaps[0].offset <= offset) this.tellGap(gaps.shift());
      this.stream.write(encodeSessionData(data));
      this.session?.shown(data.length);
    }
    for (const gap of gaps) this.tellGap(gap);
  }

  private tellGap(gap: Range["gaps"][number] | undefined): void {
    if (gap !== undefined) this.write({ t: "gap", from: gap.offset, bytes: gap.length, cause: gap.cause });
  }

  private room(): Promise<void> {
    const { stream } = this;
    if (stream.destroyed || stream.writableLength < QUEUE_BYTES / 2) return Promise.resolve();
    return new Promise((resolve) => {
      stream.once("drain", resolve);
      stream.once("close", resolve);
    });
  }
}

/** Where the last so many lines begin. */
function startOfLines(range: Range, lines: number, end: number): number {
  let left = lines;
  for (const { offset, data } of range.pieces.toReversed()) {
    for (let at = data.length - 1; at >= 0; at--) {
      // The end of the last line begins none.
      if (data[at] !== LF || offset + at + 1 >= end) continue;
      left--;
      if (left === 0) return offset + at + 1;
    }
  }
  return range.pieces[0]?.offset ?? end;
}
