import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";
import { readStoredEntry, type StoredEntry } from "./stored-entry.ts";

/** Files of lines that somebody else is still writing. */

const BLOCK = 64 * 1024;

/** Whole lines from the beginning. */
export function* linesOf(file: string): Generator<string> {
  for (const { line } of linesFrom(file, 0)) yield line;
}

/** Whole lines only: what follows the last newline is still being written. `end` is where the next one begins. */
export function* linesFrom(file: string, start: number): Generator<{ line: string; end: number }> {
  if (!existsSync(file)) return;
  const fd = openSync(file, "r");
  try {
    let rest: Buffer = Buffer.alloc(0);
    let position = start;
    const block = Buffer.alloc(BLOCK);
    for (let length = read(); length > 0; length = read()) {
      const text = Buffer.concat([rest, block.subarray(0, length)]);
      const begin = position - text.length;
      let from = 0;
      for (let end = text.indexOf(10, from); end >= 0; end = text.indexOf(10, from)) {
        yield { line: text.toString("utf8", from, end), end: begin + end + 1 };
        from = end + 1;
      }
      rest = Buffer.from(text.subarray(from));
    }
    function read(): number {
      const length = readSync(fd, block, 0, BLOCK, position);
      position += length;
      return length;
    }
  } finally {
    closeSync(fd);
  }
}

/** First and last whole entry of an index; null when it has none. */
export function endsOf(file: string): { first: StoredEntry; last: StoredEntry } | null {
  for (const line of linesOf(file)) {
    const first = readStoredEntry(line);
    if (first !== null) return { first, last: lastEntry(file) ?? first };
  }
  return null;
}

function lastEntry(file: string): StoredEntry | null {
  const fd = openSync(file, "r");
  try {
    const { size } = fstatSync(fd);
    // A line can be as long as its marks are many.
    for (let span = BLOCK; ; span *= 4) {
      const from = Math.max(0, size - span);
      const tail = Buffer.alloc(size - from);
      const text = tail.toString("utf8", 0, readSync(fd, tail, 0, tail.length, from));
      const lines = text.slice(from === 0 ? 0 : text.indexOf("\n") + 1).split("\n");
      const last = lines.slice(0, -1).findLast((line) => readStoredEntry(line) !== null);
      if (last !== undefined) return readStoredEntry(last);
      if (from === 0) return null;
    }
  } finally {
    closeSync(fd);
  }
}
