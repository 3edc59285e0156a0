import type { Folder } from "./folder.ts";
import { decodeIndexLine, type IndexLine } from "./index-line.ts";

/** The days of one track's folder, and what of a day still counts after a crash. */

const BLOCK = 1024 * 1024;
const DAY = /^(\d{4}-\d\d-\d\d)\.(log|idx)$/;

export function daysIn(folder: Folder, path: string): string[] {
  const days = folder.list(path).flatMap((name) => DAY.exec(name)?.[1] ?? []);
  return [...new Set(days)].sort();
}

export interface RecoveredDay {
  readonly idxSize: number;
  readonly logSize: number;
  /** Lines that make no sense and have good ones behind them: a damaged disk, not a crash. */
  readonly damaged: number;
}

/** Calls back with each line that counts, in order. With `repair`, what follows the last one is cut off. */
export function recoverDay(
  folder: Folder,
  path: string,
  day: string,
  onLine: (line: IndexLine) => void,
  repair: boolean,
): RecoveredDay {
  const idx = `${path}/${day}.idx`;
  const log = `${path}/${day}.log`;
  const logBytes = folder.size(log);
  let idxSize = 0;
  let logSize = 0;
  let damaged = 0;
  let bad = 0;
  for (const { text, end } of linesOf(folder, idx)) {
    const line = decodeIndexLine(text);
    const length = line !== null && "n" in line ? line.n : 0;
    if (line === null || line.at < logSize || line.at + length > logBytes) {
      bad++;
      continue;
    }
    damaged += bad;
    bad = 0;
    onLine(line);
    idxSize = end;
    logSize = line.at + length;
  }
  if (repair && folder.size(idx) > idxSize) folder.truncate(idx, idxSize);
  if (repair && logBytes > logSize) folder.truncate(log, logSize);
  return { idxSize, logSize, damaged };
}

/** Whole lines and where each ends; one without its newline was never finished. */
function* linesOf(folder: Folder, path: string): Generator<{ text: string; end: number }> {
  const size = folder.size(path);
  let rest = Buffer.alloc(0);
  let start = 0;
  for (let at = 0; at < size; ) {
    const block = folder.read(path, at, Math.min(BLOCK, size - at));
    if (block.length === 0) return;
    at += block.length;
    rest = Buffer.concat([rest, block]);
    let from = 0;
    for (let found = rest.indexOf(10, from); found >= 0; found = rest.indexOf(10, from)) {
      yield { text: rest.toString("utf8", from, found), end: start + found + 1 };
      from = found + 1;
    }
    rest = rest.subarray(from);
    start += from;
  }
}
