import { createHash } from "node:crypto";
import type { Connection, Effect, Event, ReadResult } from "../core/events.ts";
import type { ReadArgs } from "../core/messages.ts";
import type { Journal } from "../journal/journal.ts";
import type { Piece, Range } from "../journal/range.ts";
import { type Chunk, DICTIONARY_LIMIT, encodeChunk, type Mark } from "../protocol/chunk.ts";
import { recordsDigest } from "../protocol/records.ts";
import { topicText } from "../protocol/topics.ts";

/** What is asked for by hand: ranges of capture and ledger, and consoles that somebody watches. */

export type ReadableJournal = Pick<Journal, "readCapture" | "readLedger" | "offsetAt" | "stats">;

export interface ReaderOptions {
  readonly root: string;
  readonly journal: ReadableJournal;
  readonly boot: number;
  readonly monoMs: () => number;
  readonly publish: (via: Connection, topic: string, payload: Uint8Array) => void;
  readonly emit: (event: Event) => void;
  /** Told how long somebody watches: the journal syncs sooner then. */
  readonly watched: (untilMs: number) => void;
}

export interface Reader {
  perform(effect: Extract<Effect, { type: "read-range" | "watch" }>): void;
  stop(): void;
}

const READ_LIMIT = 256 * 1024;
const RECORDS_LIMIT = 1_000;
const CHUNK_BYTES = 16 * 1024;
const WATCH_EVERY_MS = 250;

interface Watch {
  readonly via: Connection;
  readonly console: string;
  untilMs: number;
  /** Next offset to send; null until the head was looked up. */
  next: number | null;
  dictionary: Uint8Array;
}

export function createReader(options: ReaderOptions): Reader {
  const { journal, publish, emit, monoMs } = options;
  const watches = new Map<string, Watch>();
  let timer: NodeJS.Timeout | null = null;
  let busy = false;

  const topicOf = (console: string, track: "rx" | "tx") =>
    topicText(options.root, { name: "up/capture/{console}/{track}", console, track });

  /** `before` are the bytes that end at `next`; they serve as dictionary only to what follows without a gap. */
  const sendRange = (via: Connection, topic: string, range: Range, before: Uint8Array, next: number): Uint8Array => {
    let dictionary = before;
    let end = next;
    for (const chunk of chunksOf(range.boot, range.pieces)) {
      if (chunk.offset !== end) dictionary = new Uint8Array();
      publish(via, topic, encodeChunk(chunk, dictionary));
      dictionary = lastBytes(dictionary, chunk);
      end = chunk.offset + chunk.data.length;
    }
    return dictionary;
  };

  const readCapture = async (via: Connection, console: string, args: ReadArgs): Promise<ReadResult> => {
    const track = `${console}/${args.track}`;
    const boot = args.boot ?? null;
    const empty = await journal.readCapture(track, boot, 0, 0, 0);
    const stat = (await journal.stats())[track];
    if (empty === null) {
      const detail = {
        console,
        track: args.track,
        boot: null,
        from: 0,
        to: 0,
        first: 0,
        next: 0,
        more: false,
        gaps: [],
        boots: [],
      };
      return boot === null ? { ok: true, detail } : { ok: false, code: "read.range" };
    }
    const from = await startOf(args, track, empty);
    const range = await journal.readCapture(track, boot, from, args.to ?? empty.next, READ_LIMIT);
    if (range === null) return { ok: false, code: "read.range" };
    sendRange(via, topicOf(console, args.track), range, new Uint8Array(), from);
    const hash = createHash("sha256");
    for (const piece of range.pieces) hash.update(piece.data);
    const { first, next, end, gaps } = range;
    const bytes = range.pieces.reduce((sum, piece) => sum + piece.data.length, 0);
    return {
      ok: true,
      detail: {
        console,
        track: args.track,
        boot: range.boot,
        from: Math.max(from, first),
        to: end,
        first,
        next,
        bytes,
        more: end < Math.min(args.to ?? next, next),
        gaps,
        boots: stat?.boots ?? [],
        // The chunks are not signed, this answer is: whoever reads them can tell that they are the site's.
        sha256: hash.digest("hex"),
      },
    };
  };

  const startOf = async (args: ReadArgs, track: string, range: Range): Promise<number> => {
    if (args.fromMonoMs !== undefined) return journal.offsetAt(track, range.boot, args.fromMonoMs);
    if (args.sinceMs !== undefined)
      return range.boot === options.boot ? journal.offsetAt(track, range.boot, monoMs() - args.sinceMs) : range.next;
    if (args.last !== undefined) return Math.max(range.first, range.next - args.last);
    return args.from ?? range.first;
  };

  const readLedger = async (via: Connection, args: ReadArgs): Promise<ReadResult> => {
    const all =
      args.last === undefined ? null : await journal.readLedger(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    const records =
      all === null
        ? await journal.readLedger(args.from ?? 0, args.to ?? Number.MAX_SAFE_INTEGER, RECORDS_LIMIT)
        : all.slice(-Math.min(args.last ?? 0, RECORDS_LIMIT));
    const parsed = records.map((json) => JSON.parse(json) as { seq: number });
    const taken = parsed.slice(0, fitting(records, READ_LIMIT));
    publish(via, topicText(options.root, { name: "up/event" }), Buffer.from(JSON.stringify({ records: taken })));
    const more = taken.length < parsed.length || (all === null && records.length === RECORDS_LIMIT);
    // Whoever has all to the end can tell by it whether the begin is missing, or was overwritten.
    const oldest = more ? [] : await journal.readLedger(0, Number.MAX_SAFE_INTEGER, 1);
    return {
      ok: true,
      // The records are not signed, this answer is.
      detail: {
        ...(oldest[0] !== undefined && { first: (JSON.parse(oldest[0]) as { seq: number }).seq }),
        sha256: recordsDigest(taken),
        from: taken[0]?.seq ?? 0,
        to: (taken.at(-1)?.seq ?? -1) + 1,
        records: taken.length,
        more,
      },
    };
  };

  const sendWatched = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    for (const [key, watch] of watches) {
      if (monoMs() > watch.untilMs) watches.delete(key);
      else await sendNews(watch);
    }
    busy = false;
    if (watches.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };

  const sendNews = async (watch: Watch): Promise<void> => {
    const track = `${watch.console}/rx`;
    const range = await journal.readCapture(
      track,
      options.boot,
      watch.next ?? Number.MAX_SAFE_INTEGER,
      Number.MAX_SAFE_INTEGER,
      READ_LIMIT,
    );
    if (range === null || watch.next === null) {
      // A console that has never spoken is watched from its first byte.
      watch.next = range?.next ?? 0;
      return;
    }
    watch.dictionary = sendRange(watch.via, topicOf(watch.console, "rx"), range, watch.dictionary, watch.next);
    watch.next = Math.max(watch.next, range.end);
  };

  const watch = ({ via, console, untilMs }: Extract<Effect, { type: "watch" }>): void => {
    const key = `${via} ${console}`;
    const before = watches.get(key);
    if (before === undefined) watches.set(key, { via, console, untilMs, next: null, dictionary: new Uint8Array() });
    else Object.assign(before, { untilMs, dictionary: new Uint8Array() });
    options.watched(untilMs);
    timer ??= setInterval(() => void sendWatched(), WATCH_EVERY_MS);
    void sendWatched();
  };

  return {
    perform(effect) {
      if (effect.type === "watch") return watch(effect);
      const { args, via, token } = effect;
      const work = args.console === null ? readLedger(via, args) : readCapture(via, args.console, args);
      work.then(
        (result) => emit({ type: "range-read", token, result }),
        () => emit({ type: "range-read", token, result: { ok: false, code: "read.range" } }),
      );
    },
    stop() {
      if (timer !== null) clearInterval(timer);
      timer = null;
    },
  };
}

/** Pieces that follow each other become one chunk, with a mark where the time moved on. */
export function chunksOf(boot: number, pieces: readonly Piece[]): Chunk[] {
  const chunks: Chunk[] = [];
  let group: Piece[] = [];
  let size = 0;
  const close = (): void => {
    const [first] = group;
    if (first === undefined) return;
    const marks: Mark[] = [];
    let at = 0;
    for (const piece of group) {
      const before = marks.at(-1)?.monoMs ?? first.monoMs;
      if (piece.monoMs > before) marks.push({ at, monoMs: piece.monoMs });
      at += piece.data.length;
    }
    chunks.push({
      boot,
      offset: first.offset,
      monoMs: first.monoMs,
      marks,
      data: Buffer.concat(group.map((piece) => piece.data)),
    });
    group = [];
    size = 0;
  };
  for (const piece of pieces) {
    const last = group.at(-1);
    const follows =
      last === undefined || (last.offset + last.data.length === piece.offset && piece.monoMs >= last.monoMs);
    if (!follows || size + piece.data.length > CHUNK_BYTES) close();
    group.push(piece);
    size += piece.data.length;
  }
  close();
  return chunks;
}

/** How many of the first records fit in so many bytes; at least one. */
function fitting(records: readonly string[], limit: number): number {
  let size = 0;
  const over = records.findIndex((json) => {
    size += json.length;
    return size > limit;
  });
  return over < 0 ? records.length : Math.max(1, over);
}

/** The dictionary after a chunk: only bytes that lie just before the next offset help. */
function lastBytes(dictionary: Uint8Array, chunk: Chunk): Uint8Array {
  return Buffer.concat([dictionary, chunk.data]).subarray(-DICTIONARY_LIMIT);
}
