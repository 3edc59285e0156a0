import { crc32 } from "node:zlib";

/** What the far ends say: numbered records of one length, each with its port and a checksum, so that every byte of a stream is known. */

export const RECORD_BYTES = 64;

/** `#07 0000000123 64 <filling> <crc32>\n` */
function recordAt(port: number, n: number): string {
  const head = `#${String(port).padStart(2, "0")} ${String(n).padStart(10, "0")} ${RECORD_BYTES} `;
  const seed = (Math.imul(n + 1, 2_654_435_761) ^ Math.imul(port + 1, 40_503)) >>> 0;
  const filling = `${seed.toString(36)}-`.repeat(RECORD_BYTES).slice(0, RECORD_BYTES - head.length - 10);
  const crc = crc32(head + filling)
    .toString(16)
    .padStart(8, "0");
  return `${head}${filling} ${crc}\n`;
}

/** Bytes `[from, to)` of what a port says. */
export function streamOf(port: number, from: number, to: number): Buffer {
  const first = Math.floor(from / RECORD_BYTES);
  const records: string[] = [];
  for (let n = first; n * RECORD_BYTES < to; n++) records.push(recordAt(port, n));
  const at = first * RECORD_BYTES;
  return Buffer.from(records.join(""), "latin1").subarray(from - at, to - at);
}

export interface Heard {
  /** Bytes in order, cut where a gap is declared; the first piece begins with the stream unless `cause` is set. */
  readonly pieces: readonly { readonly cause: string | null; readonly data: Buffer }[];
}

export interface Verdict {
  readonly held: number;
  /** Lost bytes by the cause of the gap at which they are missing. */
  readonly declared: Readonly<Record<string, number>>;
  readonly undeclared: number;
  readonly duplicates: number;
  readonly problems: readonly string[];
}

/** Compares what was said with what is held: each piece must be a part of it, in order, and lie behind the one before. */
export function judge(port: number, sentBytes: number, { pieces }: Heard): Verdict {
  const stream = streamOf(port, 0, sentBytes);
  const declared: Record<string, number> = {};
  const problems: string[] = [];
  let held = 0;
  let undeclared = 0;
  let duplicates = 0;
  let cursor = 0;
  let cause: string | null = null;
  for (const piece of pieces) {
    cause =
      piece.cause === null ? cause : cause === null || cause === piece.cause ? piece.cause : `${cause}+${piece.cause}`;
    if (piece.data.length === 0) continue;
    held += piece.data.length;
    const found =
      cause === null ? (matches(stream, cursor, piece.data) ? cursor : -1) : stream.indexOf(piece.data, cursor);
    if (found >= 0) {
      if (cause !== null) declared[cause] = (declared[cause] ?? 0) + found - cursor;
      cursor = found + piece.data.length;
    } else {
      const walked = walk(stream, cursor, piece.data, cause !== null);
      undeclared += walked.missing;
      duplicates += walked.repeated;
      problems.push(
        `port ${port}: near byte ${walked.at} of ${sentBytes}: ${walked.missing} missing, ${walked.repeated} repeated`,
      );
      cursor = walked.cursor;
    }
    cause = null;
  }
  const rest = sentBytes - cursor;
  if (cause !== null) declared[cause] = (declared[cause] ?? 0) + rest;
  else if (rest > 0) {
    undeclared += rest;
    problems.push(`port ${port}: the last ${rest} bytes are missing`);
  }
  return { held, declared, undeclared, duplicates, problems };
}

function matches(stream: Buffer, at: number, data: Buffer): boolean {
  return stream.subarray(at, at + data.length).equals(data);
}

/** Follows a piece that does not fit from record to record, and counts what is missing in it or there twice. */
function walk(stream: Buffer, from: number, data: Buffer, free: boolean) {
  let cursor = from;
  let missing = 0;
  let repeated = 0;
  let at: number | null = null;
  let fresh = free;
  for (let position = 0; position < data.length; ) {
    if (stream[cursor] === data[position] && !fresh) {
      cursor++;
      position++;
      continue;
    }
    const next = /#\d\d (\d{10}) /.exec(data.toString("latin1", position, position + 4 * RECORD_BYTES));
    const target = next === null ? null : Number(next[1]) * RECORD_BYTES - next.index;
    if (next === null || target === null || target + next.index >= stream.length)
      return { cursor, missing: missing + 1, repeated, at: at ?? cursor };
    if (!fresh) at ??= cursor;
    if (!fresh && target + next.index >= cursor) missing += Math.max(1, target + next.index - cursor);
    else if (!fresh) repeated += cursor - target - next.index;
    cursor = target + next.index;
    position += next.index;
    fresh = false;
  }
  return { cursor, missing, repeated, at: at ?? from };
}
