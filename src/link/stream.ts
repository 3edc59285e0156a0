import {
  decodeStreamFrame,
  encodeStreamFrame,
  LAST_POSITION,
  resetCode,
  resetFrame,
  STREAM_PAYLOAD,
  type StreamFrame,
} from "../protocol/stream.ts";
import { StreamWindow, WINDOW_MOST } from "./stream-window.ts";

/**
 * One end of a byte stream over a channel that loses, repeats, mixes up and is gone for minutes. Go-back-N with a window,
 * acknowledgements that ride on what goes the other way, room given by the reader. No clock and no I/O: the shell hands
 * in frames and the time, takes frames out, and wakes it when it asks to.
 */

const ACK_DELAY_MS = 120;
const ACK_AT_BYTES = 16 * 1024;
const ROOM_BYTES = 128 * 1024;
/** Room that is worth a frame of its own to tell. */
const ROOM_TOLD_BYTES = ROOM_BYTES / 2;
const QUIET_MS = 60_000;
/** Resume window: so long an end waits for the other to be heard again. */
export const LOST_MS = 300_000;
export const IDLE_MS = 900_000;
/** Pieces that a slow path can turn round in a moment. */
const SMALL_PIECE = 1_024;
const SMALL_WINDOW = 16 * 1024;

interface Segment {
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly fin: boolean;
}

export interface StreamEnd {
  /** Bytes for the other end. The caller asks `roomy` first. */
  write(bytes: Uint8Array): void;
  /** Nothing more will be written. */
  end(): void;
  /** Over at once; the other end is told why. */
  abort(code: string): void;
  receive(raw: Uint8Array, nowMs: number): void;
  /** The channel is there again after it was gone. */
  reconnected(nowMs: number): void;
  /** Asks the other end whether it is still there. */
  probe(): void;
  /** The reader has taken so many bytes. */
  consumed(bytes: number): void;
  /** What has arrived since the last call, in order. `ended`: and nothing will come after. */
  arrived(): { readonly bytes: readonly Uint8Array[]; readonly ended: boolean };
  /** Frames to send now. */
  take(nowMs: number): Uint8Array[];
  /** When to call `take` again at the latest. */
  wakeMs(): number;
  roomy(): boolean;
  /** Null while it lives; `ended` when both directions came to their end whole; else a code. */
  over(): string | null;
  /** Bytes from the other end, and to it. */
  counts(): { readonly bytesIn: number; readonly bytesOut: number };
}

/** @param opener the end that begins: the other says nothing before it has heard it. */
export function createStreamEnd(opener: boolean, startMs: number): StreamEnd {
  return new End(opener, startMs);
}

class End implements StreamEnd {
  private readonly window = new StreamWindow();
  private readonly opener: boolean;
  /** Not acknowledged yet, in order; those before `sent` are under way. */
  private segments: Segment[] = [];
  private sent = 0;
  private queued = 0;
  private next = 0;
  private acked = 0;
  private furthest = 0;
  private limit = ROOM_BYTES;
  private finQueued = false;
  private wanted = 0;
  private unread = 0;
  private toldLimit = ROOM_BYTES;
  private inbox: Uint8Array[] = [];
  private peerEnded = false;
  private endTold = false;
  private ackAtMs = Number.POSITIVE_INFINITY;
  private unacked = 0;
  private missing = false;
  private probing: boolean;
  private heard = false;
  private rtoAtMs = Number.POSITIVE_INFINITY;
  private asked: { readonly position: number; readonly atMs: number; readonly full: boolean } | null = null;
  private wentBackAtMs = Number.NEGATIVE_INFINITY;
  private heardAtMs: number;
  private probedAtMs: number;
  private dataAtMs: number;
  private how: string | null = null;
  private farewell: Uint8Array | null = null;
  private bytesIn = 0;

  constructor(opener: boolean, startMs: number) {
    this.opener = opener;
    this.probing = opener;
    this.heardAtMs = startMs;
    this.probedAtMs = startMs;
    this.dataAtMs = startMs;
  }

  write(bytes: Uint8Array): void {
    if (this.how !== null || this.finQueued) return;
    const piece = this.window.bytes < SMALL_WINDOW ? SMALL_PIECE : STREAM_PAYLOAD;
    for (let at = 0; at < bytes.length; at += piece) {
      const part = bytes.subarray(at, at + piece);
      if (this.next + part.length >= LAST_POSITION - 1) return this.finish("stream.lost", true);
      this.segments.push({ seq: this.next, bytes: part, fin: false });
      this.next += part.length;
      this.queued += part.length;
    }
  }

  end(): void {
    if (this.how !== null || this.finQueued) return;
    this.finQueued = true;
    this.segments.push({ seq: this.next, bytes: new Uint8Array(), fin: true });
    this.next += 1;
  }

  abort(code: string): void {
    if (this.how === null) this.finish(code, true);
  }

  receive(raw: Uint8Array, nowMs: number): void {
    const frame = decodeStreamFrame(raw);
    if (frame === null) return;
    if (this.how !== null) return this.repeatLastWords(frame, nowMs);
    // Of something that was never sent: not from our other end.
    if (!frame.reset && frame.ack > this.furthest) return;
    this.heardAtMs = nowMs;
    this.heard = true;
    if (frame.reset) return this.finish(resetCode(frame), false);
    this.takeAck(frame, nowMs);
    this.takeData(frame, nowMs);
    if (frame.ask) this.ackAtMs = nowMs;
    if (this.peerEnded && this.finQueued && this.segments.length === 0) this.how = "ended";
  }

  private takeAck(frame: StreamFrame, nowMs: number): void {
    this.limit = Math.max(this.limit, frame.ack + frame.creditKiB * 1024);
    if (frame.ack > this.acked) {
      this.acked = frame.ack;
      let gone = 0;
      for (const segment of this.segments) {
        if (endOf(segment) > frame.ack) break;
        this.queued -= segment.bytes.length;
        gone++;
      }
      this.segments.splice(0, gone);
      this.sent = Math.max(0, this.sent - gone);
      this.window.heard();
      this.rtoAtMs = this.sent > 0 ? nowMs + this.window.rtoMs() : Number.POSITIVE_INFINITY;
    }
    if (this.asked !== null && frame.ack >= this.asked.position) {
      this.window.sample(nowMs - this.asked.atMs, this.asked.full, nowMs);
      this.asked = null;
    }
    if (frame.missing && this.sent > 0 && nowMs - this.wentBackAtMs > this.window.rtoMs() / 4) this.goBack(nowMs);
  }

  private takeData(frame: StreamFrame, nowMs: number): void {
    const end = frame.seq + frame.payload.length + (frame.fin ? 1 : 0);
    if (end === frame.seq) return;
    if (frame.seq > this.wanted) {
      this.missing = true;
      this.ackAtMs = nowMs;
      return;
    }
    if (end <= this.wanted) {
      this.ackAtMs = nowMs;
      return;
    }
    const fresh = frame.payload.subarray(this.wanted - frame.seq);
    // More than there was room for: not from an end that keeps the rules.
    if (this.peerEnded || this.wanted + fresh.length > this.toldLimit) return;
    this.missing = false;
    this.dataAtMs = nowMs;
    if (fresh.length > 0) this.inbox.push(Uint8Array.prototype.slice.call(fresh));
    this.unread += fresh.length;
    this.bytesIn += fresh.length;
    this.wanted = end;
    this.unacked += end - frame.seq;
    if (frame.fin) this.peerEnded = true;
    const at = frame.fin || this.unacked >= ACK_AT_BYTES ? nowMs : nowMs + ACK_DELAY_MS;
    this.ackAtMs = Math.min(this.ackAtMs, at);
  }

  private goBack(nowMs: number): void {
    this.sent = 0;
    this.asked = null;
    this.wentBackAtMs = nowMs;
  }

  reconnected(nowMs: number): void {
    this.window.reconnected();
    this.goBack(nowMs);
    this.rtoAtMs = Number.POSITIVE_INFINITY;
    this.probing = true;
  }

  probe(): void {
    this.probing = true;
  }

  consumed(bytes: number): void {
    this.unread -= bytes;
    // It waits for room: tell it of some.
    if (this.wanted + ROOM_BYTES - this.unread - this.toldLimit >= ROOM_TOLD_BYTES) this.ackAtMs = 0;
  }

  arrived(): { bytes: readonly Uint8Array[]; ended: boolean } {
    const bytes = this.inbox;
    this.inbox = [];
    const ended = this.peerEnded && !this.endTold;
    this.endTold ||= ended;
    return { bytes, ended };
  }

  take(nowMs: number): Uint8Array[] {
    if (this.how === null) this.checkTimes(nowMs);
    if (this.how !== null) return this.lastWords();
    if (!this.heard && !this.opener) return [];
    const frames: Uint8Array[] = [];
    if (nowMs >= this.rtoAtMs) {
      this.window.timedOut();
      this.goBack(nowMs);
      this.rtoAtMs = Number.POSITIVE_INFINITY;
      this.probing = true;
    }
    // A probe goes alone when there is nothing that could carry it.
    this.sendSegments(frames, nowMs);
    const sent = frames.length > 0;
    if (frames.length === 0 && (this.probing || nowMs >= this.ackAtMs)) frames.push(this.bare(this.probing));
    if (this.probing) this.probedAtMs = nowMs;
    const waits = this.segments.length > 0 || (this.opener && !this.heard);
    if (!waits) this.rtoAtMs = Number.POSITIVE_INFINITY;
    else if (sent || this.rtoAtMs === Number.POSITIVE_INFINITY) this.rtoAtMs = nowMs + this.window.rtoMs();
    this.probing = false;
    return frames;
  }

  private sendSegments(frames: Uint8Array[], nowMs: number): void {
    // Until the other end has answered once nothing is known of it: one frame is enough to begin with.
    const window = this.heard ? this.window.bytes : STREAM_PAYLOAD;
    for (let segment = this.segments[this.sent]; segment !== undefined; segment = this.segments[this.sent]) {
      const under = segment.seq - this.acked;
      const end = segment.seq + segment.bytes.length;
      if ((under > 0 && under + segment.bytes.length > window) || end > this.limit) break;
      this.sent++;
      const following = this.segments[this.sent];
      const blocked = following !== undefined && endOf(following) - this.acked > window;
      const ask = this.probing || (this.asked === null && (blocked || this.segments.length - this.sent > 2));
      const again = endOf(segment) <= this.furthest;
      if (ask && !again) this.asked = { position: endOf(segment), atMs: nowMs, full: blocked || this.sent > 2 };
      this.furthest = Math.max(this.furthest, endOf(segment));
      this.probing = false;
      this.dataAtMs = nowMs;
      frames.push(this.frame(segment.seq, segment.bytes, segment.fin, ask || (again && blocked)));
    }
  }

  private bare(ask: boolean): Uint8Array {
    return this.frame(this.acked, new Uint8Array(), false, ask);
  }

  private frame(seq: number, payload: Uint8Array, fin: boolean, ask: boolean): Uint8Array {
    const creditKiB = Math.max(0, Math.floor((ROOM_BYTES - this.unread) / 1024));
    this.toldLimit = Math.max(this.toldLimit, this.wanted + creditKiB * 1024);
    const { wanted: ack, missing } = this;
    this.ackAtMs = Number.POSITIVE_INFINITY;
    this.unacked = 0;
    this.missing = false;
    return encodeStreamFrame({ seq, ack, creditKiB, fin, ask, missing, reset: false, payload });
  }

  private checkTimes(nowMs: number): void {
    if (nowMs - this.heardAtMs >= LOST_MS) this.finish("stream.lost", true);
    else if (nowMs - this.dataAtMs >= IDLE_MS) this.finish("stream.idle", true);
    else if (nowMs - Math.max(this.heardAtMs, this.probedAtMs) >= QUIET_MS) this.probing = true;
  }

  private finish(how: string, tell: boolean): void {
    this.how = how;
    this.farewell = tell ? resetFrame(how) : null;
    this.segments = [];
    this.sent = 0;
    this.queued = 0;
  }

  /** It has not heard them, or it would not speak. */
  private repeatLastWords(frame: StreamFrame, nowMs: number): void {
    if (frame.reset || (frame.payload.length === 0 && !frame.fin && !frame.ask)) return;
    if (this.how === "ended") this.ackAtMs = nowMs;
    else this.farewell = resetFrame(this.how ?? "");
  }

  /** The acknowledgement of the other end's end, or the reason. */
  private lastWords(): Uint8Array[] {
    const words =
      this.farewell ?? (this.how === "ended" && this.ackAtMs < Number.POSITIVE_INFINITY ? this.bare(false) : null);
    this.farewell = null;
    this.ackAtMs = Number.POSITIVE_INFINITY;
    return words === null ? [] : [words];
  }

  wakeMs(): number {
    if (this.how !== null) return this.farewell !== null || this.ackAtMs < Number.POSITIVE_INFINITY ? 0 : Infinity;
    const quiet = Math.max(this.heardAtMs, this.probedAtMs) + QUIET_MS;
    return Math.min(this.ackAtMs, this.rtoAtMs, quiet, this.heardAtMs + LOST_MS, this.dataAtMs + IDLE_MS);
  }

  roomy(): boolean {
    return this.how === null && this.queued < WINDOW_MOST;
  }

  over(): string | null {
    return this.how;
  }

  counts(): { bytesIn: number; bytesOut: number } {
    return { bytesIn: this.bytesIn, bytesOut: this.acked - (this.finQueued && this.segments.length === 0 ? 1 : 0) };
  }
}

function endOf(segment: Segment): number {
  return segment.seq + segment.bytes.length + (segment.fin ? 1 : 0);
}
