import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { MESSAGE_LIMIT } from "../protocol/envelope.ts";
import { type CapOptions, PacketCap } from "./packet-cap.ts";
import type { Path } from "./path.ts";
import { connectTls, type TlsFiles, type TlsSessions } from "./tls-connect.ts";
import type { Dates } from "./tls-dates.ts";

/** The stream under one connection to a broker: made by a path, in TLS where the broker's address says so, capped. */

export interface StreamOptions {
  readonly path: Path;
  readonly broker: string;
  readonly version: 4 | 5;
  readonly tls: TlsFiles;
  readonly sessions: TlsSessions;
  readonly datesHold: ((dates: Dates) => boolean) | null;
  readonly onOversized: (topic: string) => void;
  /** The broker's machine answered, and is the one that is meant. */
  readonly onReached: (socket: Socket) => void;
  /** Bytes came. */
  readonly onHeard: () => void;
  /** There will be no socket, and why. */
  readonly onFailed: (why: string) => void;
}

export function openStream(options: StreamOptions): Duplex {
  const stream = new LateStream({
    limitBytes: MESSAGE_LIMIT + 16 * 1024,
    version: options.version,
    onOversized: options.onOversized,
    onHeard: options.onHeard,
  });
  openSocket(options, stream.ended).then(
    (socket) => stream.attach(socket),
    (thrown: unknown) => {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      // The library tells of some errors of a stream and not of others.
      options.onFailed(error.message);
      stream.destroy(error);
    },
  );
  return stream;
}

async function openSocket(options: StreamOptions, signal: AbortSignal): Promise<Duplex> {
  const { broker, path, sessions, datesHold, tls: files } = options;
  const secure = broker.startsWith("mqtts:");
  const url = new URL(broker.replace(/^mqtt/, "http"));
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const raw = await path.connect(host, Number(url.port) || (secure ? 8883 : 1883), signal);
  const giveUp = (): void => void raw.destroy();
  if (signal.aborted) giveUp();
  // Also what goes wrong after the stream is gone.
  raw.on("error", () => undefined);
  signal.addEventListener("abort", giveUp, { once: true });
  // Without it the acknowledgement of a QoS 1 message waits 40 ms for nothing.
  raw.setNoDelay(true);
  const socket = secure ? await connectTls(raw, { host, files, sessions, datesHold }) : raw;
  options.onReached(raw);
  return socket;
}

/** A stream whose socket comes later; what comes in has passed the cap, and the end of one is the end of the other. */
class LateStream extends Duplex {
  private socket: Duplex | null = null;
  private readonly cap: PacketCap;
  private readonly onHeard: () => void;
  private readonly life = new AbortController();
  private waiting: (() => void) | null = null;
  private held: Buffer[] = [];

  constructor({ onHeard, ...options }: CapOptions & { onHeard: () => void }) {
    super();
    this.cap = new PacketCap(options);
    this.onHeard = onHeard;
  }

  /** Aborted when nobody wants the stream any more. */
  get ended(): AbortSignal {
    return this.life.signal;
  }

  attach(socket: Duplex): void {
    if (this.destroyed) return void socket.destroy();
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.onHeard();
      try {
        for (const piece of this.cap.push(bytes)) if (!this.push(piece)) socket.pause();
      } catch (error) {
        this.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
    this.waiting?.();
    this.waiting = null;
  }

  override _read(): void {
    this.socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.hold([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.hold(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  /**
   * The library hands over a packet in pieces, and an acknowledgement before the answer: each alone would be a system
   * call, a TLS record and a segment of its own.
   */
  private hold(pieces: readonly Buffer[], done: (error?: Error | null) => void): void {
    this.whenThere((socket) => {
      if (this.held.length === 0) setImmediate(() => this.release());
      this.held.push(...pieces);
      // A socket that is behind holds the library back.
      if (socket.writableNeedDrain) socket.once("drain", done);
      else done();
    });
  }

  private release(): void {
    const held = this.held;
    this.held = [];
    if (held.length > 0 && !this.destroyed) this.socket?.write(Buffer.concat(held));
  }

  override _final(done: (error?: Error | null) => void): void {
    this.whenThere((socket) => {
      this.release();
      socket.end(done);
    });
  }

  private whenThere(go: (socket: Duplex) => unknown): void {
    const { socket } = this;
    if (socket !== null) return void go(socket);
    this.waiting = () => this.socket && go(this.socket);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.life.abort();
    this.socket?.destroy();
    done(error);
  }
}
