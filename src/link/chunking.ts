import type { Gap, Piece } from "../journal/range.ts";
import { type Chunk, DICTIONARY_LIMIT, encodeChunk, type Mark } from "../protocol/chunk.ts";

/** From pieces of the journal to chunks on the wire. */

const CHUNK_BYTES = 16 * 1024;
/** Terminals are read each 20 ms, so no time is known better while text flows: a mark more would only cost bytes. */
const MARK_AFTER_MS = 25;

/** A chunk, and whether something may be missing just before it. */
export type CutChunk = Chunk & { readonly afterGap: boolean };

/** Pieces that follow each other become one chunk, with a mark where the time moved on by more than a sweep; a declared gap divides them. */
export function chunksOf(
  boot: number,
  pieces: readonly Piece[],
  gaps: readonly (Gap & { readonly offset: number })[] = [],
): CutChunk[] {
  const cuts = new Set(gaps.map(({ offset, length }) => offset + (length ?? 0)));
  const groups: Piece[][] = [];
  let size = 0;
  for (const piece of pieces) {
    const group = groups.at(-1);
    const last = group?.at(-1);
    const follows =
      last !== undefined && last.offset + last.data.length === piece.offset && piece.monoMs >= last.monoMs;
    if (group === undefined || !follows || cuts.has(piece.offset) || size + piece.data.length > CHUNK_BYTES) {
      groups.push([piece]);
      size = 0;
    } else group.push(piece);
    size += piece.data.length;
  }
  return groups.map((group) => ({ ...chunkOf(boot, group), afterGap: cuts.has(group[0]?.offset ?? 0) }));
}

function chunkOf(boot: number, group: readonly Piece[]): Chunk {
  const { offset, monoMs } = group[0] ?? { offset: 0, monoMs: 0 };
  const marks: Mark[] = [];
  let at = 0;
  for (const piece of group) {
    const before = marks.at(-1)?.monoMs ?? monoMs;
    if (piece.monoMs > before + MARK_AFTER_MS) marks.push({ at, monoMs: piece.monoMs });
    at += piece.data.length;
  }
  return { boot, offset, monoMs, marks, data: Buffer.concat(group.map((piece) => piece.data)) };
}

/** Encodes the chunks of one track, each with the bytes sent just before it as its dictionary. */
export class Packer {
  private dictionary: Uint8Array = new Uint8Array();
  private end = -1;

  pack(chunk: CutChunk): Uint8Array {
    if (chunk.offset !== this.end || chunk.afterGap) this.forget();
    const bytes = encodeChunk(chunk, this.dictionary);
    this.dictionary = Buffer.concat([this.dictionary, chunk.data]).subarray(-DICTIONARY_LIMIT);
    this.end = chunk.offset + chunk.data.length;
    return bytes;
  }

  /** The next chunk can be read by who has nothing of before. */
  forget(): void {
    this.dictionary = new Uint8Array();
  }
}
