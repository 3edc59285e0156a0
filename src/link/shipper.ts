import type { Effect } from "../core/events.ts";
import { missingIn, type Span } from "../core/ranges.ts";
import type { Journal } from "../journal/journal.ts";
import type { CaptureItem, TrackHead } from "../journal/store.ts";
import { LEDGER_TRACK } from "../protocol/ack.ts";
import { parseJson } from "../protocol/envelope.ts";
import { topicText } from "../protocol/topics.ts";
import { chunksOf, Packer } from "./chunking.ts";
import type { ShipWay } from "./link.ts";
import type { Urgency } from "./outbox.ts";
import { type Job, LEDGER_KEY, SHIP_TIMES, ShipPlan, type ShipTimes, trackKey } from "./ship-plan.ts";

/** Ships what the journal holds to whoever acknowledges it. It reads only what is written, and keeps nothing but cursors. */

export interface ShipperOptions {
  readonly root: string;
  readonly journal: Pick<Journal, "readCapture" | "readLedger" | "stats">;
  readonly boot: number;
  readonly monoMs: () => number;
  /** Where each capture track stood at the start, and the next number of the ledger. */
  readonly tracks: Readonly<Record<string, TrackHead>>;
  readonly ledgerNext: number;
  readonly consoles: readonly { readonly name: string; readonly ship: "primary" | "always" | "on-demand" }[];
  /** False when it was not taken: then it is read again. */
  readonly publish: (topic: string, payload: Uint8Array, urgency: Urgency) => boolean;
  /** Whether more is welcome; `room` is called when it is again. */
  readonly roomy: () => boolean;
  readonly times?: Partial<ShipTimes> & { readonly backfillMs?: number };
}

export interface Shipper {
  perform(effect: Extract<Effect, { type: "acknowledged" }>): void;
  /** Handed to the journal just now. */
  captured(items: readonly CaptureItem[], urgent: boolean): void;
  /** Records `[from, to)` were handed to the journal, and published where there is a connection. */
  recorded(from: number, to: number): void;
  /** Somebody begins to watch: what waits goes out first. */
  watchBegun(console: string): void;
  /** Bytes `[from, to)` went to who watches, over the broker. */
  watchSent(console: string, from: number, to: number): void;
  /** The connection that what is shipped goes over: a new one, or none. */
  way(way: ShipWay): void;
  /** Something is wrong with the device of a console. */
  incident(console: string): void;
  room(): void;
  stop(): void;
}

/** Old boots are looked for when the start is over: it may take a read of the whole ring. */
const BACKFILL_MS = 30_000;
const RECORDS_AT_ONCE = 64;
/** A card that does not write now is asked again after this. */
const UNWRITTEN_MS = 1_000;
/** A connection whose queue is full of what matters more. */
const UNTAKEN_MS = 200;
const LEAST_WAIT_MS = 20;

/** How far it came and what of it the journal has no more; `later`: the journal could not give it. */
type Shipped = { readonly to: number; readonly gone: readonly Span[] } | "later";

export function createShipper(options: ShipperOptions): Shipper {
  const { journal, boot, monoMs } = options;
  const { backfillMs = BACKFILL_MS, ...times } = options.times ?? {};
  const plan = new ShipPlan({ ...SHIP_TIMES, ...times });
  const packers = new Map<string, Packer>();
  const lazy = new Set(options.consoles.filter(({ ship }) => ship === "on-demand").map(({ name }) => name));
  const always = new Set(options.consoles.filter(({ ship }) => ship === "always").map(({ name }) => name));
  const keys = new Map<string, string>();
  let busy = false;
  let connects = 0;
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  let timerAtMs = 0;
  let lookTimer: NodeJS.Timeout | null = null;

  const announce = (track: string, of: number, next: number): void => {
    const { console } = partsOf(track);
    if (lazy.has(console)) return;
    plan.announce({ boot: of, track, next, backfill: of !== boot, always: always.has(console) });
  };

  /** Of a track of this boot, which is announced with its first bytes. */
  const keyOf = (track: string, offset: number): string => {
    const known = keys.get(track);
    if (known !== undefined) return known;
    const key = trackKey(boot, track);
    announce(track, boot, offset);
    keys.set(track, key);
    return key;
  };

  const lookForOldBoots = async (): Promise<void> => {
    const stats = await journal.stats();
    const held = new Set<string>();
    for (const [track, { boots }] of Object.entries(stats)) {
      for (const { boot: of, next } of boots) {
        held.add(trackKey(of, track));
        announce(track, of, next);
      }
    }
    plan.retain(held);
    wake();
  };

  const shipCapture = async (job: Job): Promise<Shipped> => {
    const { from, to, track, key } = job;
    const range = await journal.readCapture(track, job.boot, from, to, to - from);
    if (range === null) return "later";
    // A boot that was recycled meanwhile; the present one is only not written yet.
    if (range.next <= from) return job.backfill ? { to, gone: [[from, to]] } : "later";
    const pieces = range.pieces.map((one): Span => [one.offset, one.offset + one.data.length]);
    const upTo = (end: number): Shipped => ({ to: end, gone: missingIn(pieces, [from, end]) });
    const topic = topicText(options.root, { name: "up/capture/{console}/{track}", ...partsOf(track) });
    const urgency = job.tail ? "watched" : job.backfill ? "backfill" : "unwatched";
    const packer = packers.get(key) ?? new Packer();
    packers.set(key, packer);
    for (const chunk of chunksOf(range.boot, range.pieces, range.gaps)) {
      if (!options.roomy()) return upTo(chunk.offset);
      if (!options.publish(topic, packer.pack(chunk), urgency)) {
        packer.forget();
        return upTo(chunk.offset);
      }
      // Packing takes a millisecond or more: the ports are read in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return upTo(Math.min(to, Math.max(range.end, from)));
  };

  const shipLedger = async ({ from, to }: Job): Promise<Shipped> => {
    const texts = await journal.readLedger(from, Number.MAX_SAFE_INTEGER, RECORDS_AT_ONCE);
    const all = texts.map((json) => parseJson(json)).filter(isNumbered);
    const first = all[0]?.seq;
    if (first === undefined) return "later";
    const records = all.filter(({ seq }) => seq < to);
    const end = Math.min(to, Math.max(first, (records.at(-1)?.seq ?? first - 1) + 1));
    const topic = topicText(options.root, { name: "up/event" });
    const payload = Buffer.from(JSON.stringify({ records }));
    if (records.length > 0 && !options.publish(topic, payload, "unwatched")) return { to: from, gone: [] };
    const held = records.map(({ seq }): Span => [seq, seq + 1]);
    return { to: end, gone: missingIn(held, [from, end]) };
  };

  const pump = async (): Promise<void> => {
    for (let job = plan.next(monoMs()); job !== null; job = plan.next(monoMs())) {
      if (!options.roomy()) return;
      const life = connects;
      const shipped = await (job.key === LEDGER_KEY ? shipLedger(job) : shipCapture(job));
      if (stopped) return;
      // What went into a connection that is gone was not sent.
      if (life !== connects) continue;
      if (shipped === "later") plan.postpone(job, monoMs() + UNWRITTEN_MS);
      else if (shipped.to <= job.from && shipped.gone.length === 0) plan.postpone(job, monoMs() + UNTAKEN_MS);
      else plan.sent(job, shipped.to, shipped.gone, monoMs());
      forgetBackfill(job);
    }
  };

  /** Old boots are shipped once: their dictionaries need not stay. */
  const forgetBackfill = (job: Job): void => {
    for (const key of packers.keys()) {
      if (key !== job.key && !key.startsWith(`${boot}/`)) packers.delete(key);
    }
  };

  const wake = (): void => {
    if (busy || stopped || !plan.shipping) return;
    busy = true;
    void pump().finally(() => {
      busy = false;
      schedule();
    });
  };

  const schedule = (): void => {
    const at = plan.wakeAt(monoMs());
    if (at === null || stopped || (timer !== null && timerAtMs <= at)) return;
    if (timer !== null) clearTimeout(timer);
    timerAtMs = at;
    timer = setTimeout(
      () => {
        timer = null;
        wake();
      },
      Math.max(LEAST_WAIT_MS, at - monoMs()),
    );
  };

  // Where a track stood first: from there on is what nobody can have heard yet.
  for (const [track, head] of Object.entries(options.tracks)) announce(track, head.boot, head.next);
  for (const { name } of options.consoles) announce(`${name}/rx`, boot, 0);
  plan.announce({ boot: 0, track: LEDGER_TRACK, next: options.ledgerNext, backfill: false });

  return {
    perform({ tracks, kept }) {
      plan.acknowledged(tracks, monoMs(), kept);
      lookTimer ??= setTimeout(() => void lookForOldBoots(), backfillMs);
      wake();
    },
    captured(items, urgent) {
      let due = false;
      const nowMs = monoMs();
      for (const { track, offset, content } of items) {
        if (!("data" in content)) continue;
        const key = keyOf(track, offset);
        if (urgent) plan.incident(key, nowMs);
        due = plan.grown(key, offset + content.data.length, nowMs, urgent) || due;
      }
      if (due) wake();
      else schedule();
    },
    recorded(from, to) {
      plan.sentElsewhere(LEDGER_KEY, from, to, monoMs());
      schedule();
    },
    watchBegun(console) {
      plan.flush(trackKey(boot, `${console}/rx`));
      wake();
    },
    watchSent: (console, from, to) => plan.sentElsewhere(trackKey(boot, `${console}/rx`), from, to, monoMs()),
    way(way) {
      packers.clear();
      connects++;
      if (way === "none") return plan.disconnected();
      plan.connected(monoMs(), way === "metered");
      wake();
    },
    incident(console) {
      plan.incident(trackKey(boot, `${console}/rx`), monoMs());
      wake();
    },
    room: wake,
    stop() {
      stopped = true;
      for (const one of [timer, lookTimer]) if (one !== null) clearTimeout(one);
    },
  };
}

function partsOf(track: string): { console: string; track: "rx" | "tx" } {
  const slash = track.lastIndexOf("/");
  return { console: track.slice(0, slash), track: track.endsWith("/tx") ? "tx" : "rx" };
}

function isNumbered(value: unknown): value is { readonly seq: number } {
  return typeof value === "object" && value !== null && "seq" in value && typeof value.seq === "number";
}
