import { createHash } from "node:crypto";
import type { Connection, Effect, Event, ReadResult } from "../core/events.ts";
import type { ReadArgs } from "../core/messages.ts";
import type { Journal } from "../journal/journal.ts";
import type { Range } from "../journal/range.ts";
import { recordProof, recordsDigest } from "../protocol/records.ts";
import { topicText } from "../protocol/topics.ts";
import { chunksOf, Packer } from "./chunking.ts";

/** What is asked for by hand: ranges of capture and ledger, and consoles that somebody watches. */

export type ReadableJournal = Pick<Journal, "readCapture" | "readLedger" | "readLastLedger" | "offsetAt" | "stats">;

export interface ReaderOptions {
  readonly root: string;
  readonly journal: ReadableJournal;
  readonly boot: number;
  readonly monoMs: () => number;
  /** False when it was not taken. `settled`: the other side has it, or it was given up. */
  readonly publish: (via: Connection, topic: string, payload: Uint8Array, settled?: () => void) => boolean;
  readonly emit: (event: Event) => void;
  /** Told how long somebody watches: the journal syncs sooner then. */
  readonly watched: (untilMs: number) => void;
  /** What goes to who watches need not be shipped again. */
  readonly shipped: {
    watchBegun(via: Connection, console: string): void;
    watchSent(via: Connection, console: string, from: number, to: number): void;
  };
}

export interface Reader {
  perform(effect: Extract<Effect, { type: "read-range" | "watch" }>): void;
  stop(): void;
}

const READ_LIMIT = 256 * 1024;
const RECORDS_LIMIT = 1_000;
const WATCH_EVERY_MS = 250;
const SETTLED_WITHIN_MS = 30_000;

interface Watch {
  readonly via: Connection;
  readonly console: string;
  untilMs: number;
  /** Next offset to send; null until the head was looked up. */
  next: number | null;
  readonly packer: Packer;
}

export function createReader(options: ReaderOptions): Reader {
  const { journal, publish, emit, monoMs } = options;
  const watches = new Map<string, Watch>();
  let timer: NodeJS.Timeout | null = null;
  let busy = false;

  const topicOf = (console: string, track: "rx" | "tx") =>
    topicText(options.root, { name: "up/capture/{console}/{track}", console, track });

  /** What was taken of a range, up to which offset. */
  const sendRange = (via: Connection, topic: string, range: Range, packer: Packer, settled?: () => void): number => {
    const chunks = chunksOf(range.boot, range.pieces, range.gaps);
    for (const [index, chunk] of chunks.entries()) {
      const last = index === chunks.length - 1;
      if (!publish(via, topic, packer.pack(chunk), last ? settled : undefined)) {
        packer.forget();
        if (!last) settled?.();
        return chunk.offset;
      }
    }
    if (chunks.length === 0) settled?.();
    return range.end;
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
    // An empty range would say that the boot ended at 0, and who misses its end would take that for the truth.
    const isHeld = boot === null || boot === options.boot || stat?.boots.some((one) => one.boot === boot);
    if (!isHeld) return { ok: false, code: "read.range" };
    const from = await startOf(args, track, empty);
    const range = await journal.readCapture(track, boot, from, args.to ?? empty.next, READ_LIMIT);
    if (range === null) return { ok: false, code: "read.range" };
    // The answer must not overtake what it answers for, however slow the way is.
    await new Promise<void>((resolve) => {
      sendRange(via, topicOf(console, args.track), range, new Packer(), resolve);
      setTimeout(resolve, SETTLED_WITHIN_MS).unref();
    });
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
    const { last } = args;
    // Before the records and after them: what is appended or recycled meanwhile is never denied.
    const oldest = await journal.readLedger(0, Number.MAX_SAFE_INTEGER, 1);
    const records =
      last === undefined
        ? await journal.readLedger(args.from ?? 0, args.to ?? Number.MAX_SAFE_INTEGER, RECORDS_LIMIT)
        : await journal.readLastLedger(Math.min(last, RECORDS_LIMIT));
    const newest = await journal.readLastLedger(1);
    // A ledger is never empty while the site runs: its card could not be read, and nobody shall take that for its end.
    if (newest.length === 0) return { ok: false, code: "read.range" };
    const parsed = records.map((json) => JSON.parse(json) as { seq: number });
    const taken = parsed.slice(0, fitting(records, READ_LIMIT));
    if (args.proof !== true)
      publish(via, topicText(options.root, { name: "up/event" }), Buffer.from(JSON.stringify({ records: taken })));
    const more = taken.length < parsed.length || (last === undefined && records.length === RECORDS_LIMIT);
    return {
      ok: true,
      // The records are not signed, this answer is.
      detail: {
        sha256: recordsDigest(taken),
        from: taken[0]?.seq ?? 0,
        to: (taken.at(-1)?.seq ?? -1) + 1,
        first: seqOf(oldest[0]) ?? 0,
        next: (seqOf(newest.at(-1)) ?? -1) + 1,
        records: taken.length,
        ...(args.proof === true && { proofs: taken.map((record) => [record.seq, recordProof(record)]) }),
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
    const { via, console, next, packer } = watch;
    const end = sendRange(via, topicOf(console, "rx"), range, packer);
    const from = Math.max(next, range.pieces[0]?.offset ?? next);
    if (end > from) options.shipped.watchSent(via, console, from, end);
    watch.next = Math.max(next, end);
  };

  const watch = ({ via, console, untilMs }: Extract<Effect, { type: "watch" }>): void => {
    const key = `${via} ${console}`;
    const before = watches.get(key);
    if (before === undefined) {
      watches.set(key, { via, console, untilMs, next: null, packer: new Packer() });
      options.shipped.watchBegun(via, console);
    } else {
      before.untilMs = untilMs;
      // Another one may watch from now on, who has nothing of before.
      before.packer.forget();
    }
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

function seqOf(json: string | undefined): number | null {
  return json === undefined ? null : (JSON.parse(json) as { seq: number }).seq;
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
