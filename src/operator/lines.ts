import type { Chunk } from "../protocol/chunk.ts";

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

function timeAt(chunk: Chunk, at: number): number {
  let monoMs = chunk.monoMs;
  for (const mark of chunk.marks) {
    if (mark.at > at) break;
    monoMs = mark.monoMs;
  }
  return monoMs;
}

function trimReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === RETURN ? bytes.subarray(0, -1) : bytes;
}
