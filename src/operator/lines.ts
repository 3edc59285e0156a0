import type { Chunk } from "../protocol/chunk.ts";
import { sliceChunk, timeAt } from "./pieces.ts";

/** Cuts chunks into lines, each with the offset and the time of its first byte. */
export interface Line {
  readonly boot: number;
  readonly offset: number;
  readonly monoMs: number;
  /** Without its end. */
  readonly bytes: Uint8Array;
}

const NEWLINE = 10;
const RETURN = 13;
/** A console that never ends its line must not grow without bound. */
const LINE_LIMIT = 64 * 1024;

export class LineCutter {
  private held: Uint8Array = new Uint8Array();
  private start: { boot: number; offset: number; monoMs: number } | null = null;
  private next = 0;

  push(chunk: Chunk): Line[] {
    const lines: Line[] = [];
    if (this.start !== null && (this.start.boot !== chunk.boot || this.next !== chunk.offset))
      lines.push(...this.end());
    let from = 0;
    for (let at = 0; at < chunk.data.length; at++) {
      this.start ??= { boot: chunk.boot, offset: chunk.offset + at, monoMs: timeAt(chunk, at) };
      const full = this.held.length + at - from >= LINE_LIMIT;
      if (chunk.data[at] !== NEWLINE && !full) continue;
      const rest = chunk.data.subarray(from, full ? at + 1 : at);
      lines.push({ ...this.start, bytes: trimReturn(Buffer.concat([this.held, rest])) });
      this.held = new Uint8Array();
      this.start = null;
      from = at + 1;
    }
    this.held = Buffer.concat([this.held, chunk.data.subarray(from)]);
    this.next = chunk.offset + chunk.data.length;
    return lines;
  }

  /** The line that has not ended yet. */
  end(): Line[] {
    if (this.start === null) return [];
    const line = { ...this.start, bytes: trimReturn(this.held) };
    this.held = new Uint8Array();
    this.start = null;
    return [line];
  }
}

function trimReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
}

/** Holds back a line that has not ended, so that what was shown when a read ends early are whole lines. */
export class WholeLines {
  private held: Chunk[] = [];
  private size = 0;

  push(chunk: Chunk): Chunk[] {
    const end = chunk.data.lastIndexOf(NEWLINE) + 1;
    const whole = end > 0 ? [...this.flush(), sliceChunk(chunk, 0, end)] : [];
    if (end < chunk.data.length) {
      const rest = sliceChunk(chunk, end);
      this.held.push(rest);
      this.size += rest.data.length;
    }
    return this.size < LINE_LIMIT ? whole : [...whole, ...this.flush()];
  }

  flush(): Chunk[] {
    const all = this.held;
    this.held = [];
    this.size = 0;
    return all;
  }
}

/** Leaves out the rest of a line whose beginning is not there. A console without line ends is shown as it is. */
export class SkipHalfLine {
  private skipping: boolean;
  private skipped: Chunk[] = [];

  constructor(cutsLine: boolean) {
    this.skipping = cutsLine;
  }

  push(chunk: Chunk): Chunk[] {
    if (!this.skipping) return [chunk];
    const end = chunk.data.indexOf(NEWLINE) + 1;
    if (end === 0) {
      this.skipped.push(chunk);
      return [];
    }
    this.skipping = false;
    this.skipped = [];
    return end < chunk.data.length ? [sliceChunk(chunk, end)] : [];
  }

  /** Nothing ended: then what was left out is all there is. */
  end(): Chunk[] {
    const all = this.skipped;
    this.skipped = [];
    this.skipping = false;
    return all;
  }
}
