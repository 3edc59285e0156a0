import { Duplex } from "node:stream";

/** A stream over the local socket: raw bytes on its two topics, an empty payload is the end. The socket is reliable. */

export interface LocalCarrier {
  /** Calls back when the socket has taken it. False: the socket is gone. */
  send(payload: Uint8Array, done: () => void): boolean;
  /** Reads no more from the other end until the next call says otherwise. */
  hold(held: boolean): void;
}

/** A frame of the socket carries this much at most, so that other frames come between. */
const PIECE_BYTES = 64 * 1024;
const END = new Uint8Array();

export class LocalStream extends Duplex {
  private readonly carrier: LocalCarrier;
  /** Set while the other end is not listening yet: what is then to be done. */
  private waiting: (() => void) | null = null;
  private begun: boolean;
  private ended = false;
  bytesIn = 0;
  bytesOut = 0;

  /** @param begun whether the other end listens already; else `begin` tells. */
  constructor(carrier: LocalCarrier, begun: boolean) {
    super({ allowHalfOpen: true });
    this.carrier = carrier;
    this.begun = begun;
  }

  begin(): void {
    this.begun = true;
    this.emit("begun");
    this.waiting?.();
    this.waiting = null;
  }

  /** False: it wants no more until `hold` says otherwise. */
  arrived(payload: Uint8Array): boolean {
    if (this.destroyed || this.readableEnded) return true;
    this.bytesIn += payload.length;
    if (payload.length === 0) this.push(null);
    else if (!this.push(payload)) {
      this.carrier.hold(true);
      return false;
    }
    return true;
  }

  /** The socket is gone. */
  lost(): void {
    this.ended = true;
    this.destroy();
  }

  override _read(): void {
    this.carrier.hold(false);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const piece = (at: number): void => {
      if (at >= chunk.length) return callback();
      const bytes = chunk.subarray(at, at + PIECE_BYTES);
      if (!this.carrier.send(bytes, () => piece(at + bytes.length))) return callback(new Error("the socket is gone"));
      this.bytesOut += bytes.length;
    };
    this.whenBegun(() => piece(0));
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.whenBegun(() => {
      this.sendEnd();
      callback();
    });
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.sendEnd();
    this.carrier.hold(false);
    callback(error);
  }

  private whenBegun(work: () => void): void {
    if (this.begun) work();
    else this.waiting = work;
  }

  private sendEnd(): void {
    if (!this.ended) this.carrier.send(END, () => undefined);
    this.ended = true;
  }
}
