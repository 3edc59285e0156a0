import { Duplex } from "node:stream";
import { createStreamEnd, type StreamEnd } from "./stream.ts";

/** A stream over a broker as a `Duplex`: the machine's frames, its clock and its reader. */

/** Why a stream ended that did not come to its end: a code. */
class StreamEnded extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** What an end says that is closed before everything was said. */
const CLOSED = "closed";

export class FramedStream extends Duplex {
  readonly machine: StreamEnd;
  private readonly send: (frame: Uint8Array) => void;
  private readonly monoMs: () => number;
  private timer: NodeJS.Timeout | null = null;
  private held: Uint8Array[] = [];
  private heldEnd = false;
  private hungry = false;
  private written: (() => void) | null = null;
  private finished: (() => void) | null = null;

  /** @param opener the end that asked for it speaks first. */
  constructor(opener: boolean, send: (frame: Uint8Array) => void, monoMs: () => number) {
    super({ allowHalfOpen: true });
    this.send = send;
    this.monoMs = monoMs;
    this.machine = createStreamEnd(opener, monoMs());
    this.pump();
  }

  arrived(frame: Uint8Array): void {
    this.machine.receive(frame, this.monoMs());
    this.pump();
  }

  /** The broker is there again. */
  reconnected(): void {
    this.machine.reconnected(this.monoMs());
    this.pump();
  }

  probe(): void {
    this.machine.probe();
    this.pump();
  }

  /** Ends it at once, and tells the other end why. */
  abort(code: string): void {
    this.machine.abort(code);
    this.pump();
  }

  private pump(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    const { bytes, ended } = this.machine.arrived();
    this.held.push(...bytes);
    this.heldEnd ||= ended;
    this.feed();
    for (const frame of this.machine.take(this.monoMs())) this.send(frame);
    if (this.written !== null && this.machine.roomy()) {
      const done = this.written;
      this.written = null;
      process.nextTick(done);
    }
    const how = this.machine.over();
    if (how !== null) return this.over(how);
    const waitMs = Math.max(0, this.machine.wakeMs() - this.monoMs());
    // Rounded up: else it would wake a little too early, again and again.
    if (Number.isFinite(waitMs)) this.timer = setTimeout(() => this.pump(), Math.ceil(waitMs));
  }

  private over(how: string): void {
    this.finished?.();
    this.finished = null;
    if (how === "ended" || this.destroyed) return;
    if (how !== CLOSED) this.destroy(new StreamEnded(how));
    else if (this.held.length === 0) this.destroy();
  }

  private feed(): void {
    while (this.hungry && this.held.length > 0) {
      const bytes = this.held.shift() ?? new Uint8Array();
      this.machine.consumed(bytes.length);
      this.hungry = this.push(bytes);
    }
    if (!this.heldEnd || this.held.length > 0) return;
    this.heldEnd = false;
    this.push(null);
  }

  override _read(): void {
    this.hungry = true;
    if (this.held.length > 0) this.pump();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    this.machine.write(chunk);
    this.written = callback;
    this.pump();
  }

  override _final(callback: () => void): void {
    this.machine.end();
    this.finished = callback;
    this.pump();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.machine.abort(CLOSED);
    for (const frame of this.machine.take(this.monoMs())) this.send(frame);
    if (this.timer !== null) clearTimeout(this.timer);
    callback(error);
  }
}
