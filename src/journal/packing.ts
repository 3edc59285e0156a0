import type { Gap } from "./range.ts";
import type { CaptureItem } from "./store.ts";

/**
 * How capture items cross to the worker: one block of memory that is handed over, with a row of numbers for each item
 * and then the data of all. An object for each would be cloned and be garbage on both sides, 2,400 times a second.
 */
export interface Packed {
  /** Names of tracks that were not told before; a track is known by its place in all that were. */
  readonly names: readonly string[];
  readonly gaps: readonly Gap[];
  readonly count: number;
  readonly block: ArrayBuffer;
}

/** Track, boot, offset, mono ms, length of the data, number of the gap or -1. */
const COLUMNS = 6;
const ROW_BYTES = COLUMNS * Float64Array.BYTES_PER_ELEMENT;

/** The sending end: what it packed must be unpacked in the same order. */
export function createPacker(): (items: readonly CaptureItem[]) => Packed {
  const numbers = new Map<string, number>();
  return (items) => {
    const names: string[] = [];
    const gaps: Gap[] = [];
    let size = items.length * ROW_BYTES;
    for (const { content } of items) if ("data" in content) size += content.data.length;
    const block = new ArrayBuffer(size);
    const rows = new Float64Array(block, 0, items.length * COLUMNS);
    const bytes = new Uint8Array(block);
    let row = 0;
    let at = items.length * ROW_BYTES;
    for (const { track, boot, offset, monoMs, content } of items) {
      const known = numbers.get(track) ?? numbers.size;
      if (known === numbers.size) {
        numbers.set(track, known);
        names.push(track);
      }
      rows[row] = known;
      rows[row + 1] = boot;
      rows[row + 2] = offset;
      rows[row + 3] = monoMs;
      if ("data" in content) {
        bytes.set(content.data, at);
        at += content.data.length;
        rows[row + 4] = content.data.length;
        rows[row + 5] = -1;
      } else rows[row + 5] = gaps.push(content.gap) - 1;
      row += COLUMNS;
    }
    return { names, gaps, count: items.length, block };
  };
}

/** The receiving end; the data are views into the block. */
export function createUnpacker(): (packed: Packed) => CaptureItem[] {
  const known: string[] = [];
  return ({ names, gaps, count, block }) => {
    known.push(...names);
    const rows = new Float64Array(block, 0, count * COLUMNS);
    const items: CaptureItem[] = [];
    let at = count * ROW_BYTES;
    const cell = (index: number): number => rows[index] ?? 0;
    for (let row = 0; row < rows.length; row += COLUMNS) {
      const length = cell(row + 4);
      const gap = gaps[cell(row + 5)];
      const content = gap === undefined ? { data: new Uint8Array(block, at, length) } : { gap };
      at += length;
      const track = known[cell(row)] ?? "";
      items.push({ track, boot: cell(row + 1), offset: cell(row + 2), monoMs: cell(row + 3), content });
    }
    return items;
  };
}
