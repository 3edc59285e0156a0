import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { crc32 } from "node:zlib";

/** A device behind an adapter. It always reads: one that does not would stop the whole machine. */
export interface FarEnd {
  /** Says text now, as bytes of latin1. While the adapter is unplugged, or drowned, it is lost and counted. */
  say(text: string): void;
  /** Says numbered lines with a checksum, evenly, until `stop`. */
  talk(linesPerSecond: number): Talk;
  /** Everything that the guest has sent, in order. */
  heard(): readonly Heard[];
  /** The same as one text. */
  heardText(): string;
  /** Bytes that were said and could not be taken. */
  readonly lostBytes: number;
}

export interface Talk {
  /** Lines said so far: they are numbered from 0. */
  readonly said: number;
  /** Ends it and gives the number of lines that were said. */
  stop(): number;
}

export interface Heard {
  /** Milliseconds of this machine's wall clock, as in what the adapter was told. */
  readonly atMs: number;
  readonly bytes: Buffer;
}

/** A far end with the two ends of its cable's life. */
export interface PluggableFarEnd extends FarEnd {
  plugged(socketPath: string): Promise<void>;
  unplugged(): void;
}

/** Beyond this, a device's bytes are lost as they would be in a chip's full buffer. */
const DROWNED_BYTES = 256 * 1024;
const TICK_MS = 20;

/** Line `n` of a talk, with its end. */
function talkLine(n: number): string {
  const text = `seq ${String(n).padStart(6, "0")} %LINK-3-UPDOWN: Interface Gi0/${n % 24}, changed state to up`;
  return `${text} ${crc32(text).toString(16).padStart(8, "0")}\r\n`;
}

/** The numbers of the whole lines of a talk in some text, in order; a damaged line is not among them. */
export function talkLinesIn(text: string): readonly number[] {
  return text.split(/\r*\n/).flatMap((line) => {
    const n = Number(/^seq (\d{6}) /.exec(line)?.[1] ?? Number.NaN);
    return line === talkLine(n).trimEnd() ? [n] : [];
  });
}

class Device implements PluggableFarEnd {
  lostBytes = 0;
  #socket: Socket | null = null;
  readonly #heard: Heard[] = [];

  async plugged(socketPath: string): Promise<void> {
    const socket = createConnection(socketPath);
    await once(socket, "connect");
    socket.on("data", (bytes) => this.#heard.push({ atMs: Date.now(), bytes }));
    socket.on("error", () => this.#gone(socket));
    socket.on("close", () => this.#gone(socket));
    this.#socket = socket;
  }

  unplugged(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  say(text: string): void {
    const drowned = this.#socket === null || this.#socket.writableLength > DROWNED_BYTES;
    if (drowned) this.lostBytes += text.length;
    else this.#socket?.write(text, "latin1");
  }

  talk(linesPerSecond: number): Talk {
    const begun = performance.now();
    let said = 0;
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begun) / 1000) * linesPerSecond);
      while (said < due) this.say(talkLine(said++));
    }, TICK_MS);
    return {
      get said() {
        return said;
      },
      stop() {
        clearInterval(timer);
        return said;
      },
    };
  }

  heard(): readonly Heard[] {
    return this.#heard;
  }

  heardText(): string {
    return Buffer.concat(this.#heard.map(({ bytes }) => bytes)).toString("latin1");
  }

  #gone(socket: Socket): void {
    if (this.#socket === socket) this.#socket = null;
  }
}

/** A device without a cable yet. */
export function createFarEnd(): PluggableFarEnd {
  return new Device();
}
