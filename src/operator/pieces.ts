import type { Chunk } from "../protocol/chunk.ts";
import type { DeclaredGap } from "./capture-source.ts";

/** Chunks cut where something else stands between their bytes. */

export type Item =
  | { readonly chunk: Chunk; readonly gap?: undefined }
  | { readonly gap: DeclaredGap; readonly boot: number; readonly chunk?: undefined };

/** Bytes `[from, to)` of a chunk's data, with their times. */
export function sliceChunk(chunk: Chunk, from: number, to: number = chunk.data.length): Chunk {
  if (from <= 0 && to >= chunk.data.length) return chunk;
  if (from >= to) return { ...chunk, offset: chunk.offset + from, marks: [], data: new Uint8Array() };
  return {
    boot: chunk.boot,
    offset: chunk.offset + from,
    monoMs: timeAt(chunk, from),
    marks: chunk.marks.filter(({ at }) => at > from && at < to).map(({ at, monoMs }) => ({ at: at - from, monoMs })),
    data: chunk.data.subarray(from, to),
  };
}

/** When a byte came, ms of its boot. */
export function timeAt(chunk: Chunk, at: number): number {
  let monoMs = chunk.monoMs;
  for (const mark of chunk.marks) {
    if (mark.at > at) break;
    monoMs = mark.monoMs;
  }
  return monoMs;
}

/** Each stretch of a chunk with a time of its own. */
export function* stretches(chunk: Chunk): Generator<{ monoMs: number; data: Uint8Array }> {
  let from = 0;
  let monoMs = chunk.monoMs;
  for (const mark of chunk.marks) {
    if (mark.at > from) yield { monoMs, data: chunk.data.subarray(from, mark.at) };
    from = Math.max(from, mark.at);
    monoMs = mark.monoMs;
  }
  if (from < chunk.data.length) yield { monoMs, data: chunk.data.subarray(from) };
}

/** Gaps among the bytes, each before the byte that came after it. */
export function* inOrder(boot: number, chunks: readonly Chunk[], gaps: readonly DeclaredGap[]): Generator<Item> {
  const waiting = gaps.toSorted((a, b) => a.offset - b.offset);
  for (const chunk of chunks) {
    let rest = chunk;
    for (let gap = waiting[0]; gap !== undefined && gap.offset < chunk.offset + chunk.data.length; gap = waiting[0]) {
      waiting.shift();
      const at = gap.offset - rest.offset;
      if (at > 0) {
        yield { chunk: sliceChunk(rest, 0, at) };
        rest = sliceChunk(rest, at);
      }
      yield { gap, boot };
    }
    yield { chunk: rest };
  }
  for (const gap of waiting) yield { gap, boot };
}

/**
 * Lets a gap through once. Two reads that meet at an offset both tell the gap there, and the ledger tells it as well,
 * but by its own time: of gaps that look the same, as many are told as the one who knows of most has told.
 */
export class GapsOnce {
  private readonly known = new Map<string, { read: Set<number | undefined>; ledger: number }>();

  fromRead(boot: number, gaps: readonly DeclaredGap[]): DeclaredGap[] {
    return gaps.filter((gap) => {
      const known = this.of(boot, gap);
      if (known.read.has(gap.monoMs)) return false;
      known.read.add(gap.monoMs);
      return known.read.size > known.ledger;
    });
  }

  fromLedger(boot: number, gaps: readonly DeclaredGap[]): DeclaredGap[] {
    return gaps.filter((gap) => {
      const known = this.of(boot, gap);
      known.ledger++;
      return known.ledger > known.read.size;
    });
  }

  private of(boot: number, { offset, cause, length }: DeclaredGap): { read: Set<number | undefined>; ledger: number } {
    const key = `${boot}/${offset}/${cause}/${length}`;
    const known = this.known.get(key);
    if (known !== undefined) return known;
    // A site that has gaps without end must not fill this memory.
    if (this.known.size >= 10_000) this.known.clear();
    const fresh = { read: new Set<number | undefined>(), ledger: 0 };
    this.known.set(key, fresh);
    return fresh;
  }
}
