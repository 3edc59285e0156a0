import { type Chunk, chunkHead, DICTIONARY_LIMIT, decodeChunk } from "../protocol/chunk.ts";
import { parseJson } from "../protocol/envelope.ts";
import { parseTopic } from "../protocol/topics.ts";
import type { DeclaredGap } from "./capture-source.ts";
import { asRecord, type SiteReply, sleep } from "./client.ts";
import { Unreachable } from "./errors.ts";
import { GapsOnce, type Item, inOrder, sliceChunk } from "./pieces.ts";
import { readRange } from "./reading.ts";
import { Refused, Silent, type SiteConsole } from "./site-source.ts";

/** A console as it speaks: each byte once and in order, from where a read ended until somebody stops it. */

const RENEW_MS = 30_000;
const ANSWER_MS = 10_000;
const LOOK_MS = 100;
const BLINK_MS = 3_000;
/** A piece that cannot be used is often one for somebody else, and ours comes as well. */
const GRACE_MS = 700;
/** What a site puts in one piece at most. */
const CHUNK_BYTES = 16 * 1024;
/** What only a read can tell (`tx`) is asked for so often. */
const POLL_MS = 2_000;

export async function follow(
  site: SiteConsole,
  start: { readonly boot: number | null; readonly next: number },
  onItem: (item: Item) => void,
  gaps: GapsOnce = new GapsOnce(),
): Promise<void> {
  const follower = new Follower(site, start, onItem, gaps);
  const stops = [
    site.client.onMessage((message) => follower.hear(message.topic, message.payload)),
    site.client.onLost(() => follower.lost()),
  ];
  try {
    await follower.run();
  } finally {
    for (const stop of stops) stop();
  }
}

class Follower {
  private boot: number | null;
  private next: number;
  private behind = false;
  private waiting: Uint8Array[] | null = null;
  private history: Uint8Array = new Uint8Array();
  /** Declared ahead of the bytes that have come. */
  private early: DeclaredGap[] = [];
  /** Records come again when somebody else reads the ledger: the newest of those that were gaps, by number. */
  private heardGaps = new Set<number>();
  private silentSince: number | null = null;
  private saidSilent = false;
  private linkWasLost = false;
  private missed: { readonly offset: number; readonly atMs: number } | null = null;
  private answeredOnce = false;
  private life: unknown = null;
  private readonly site: SiteConsole;
  private readonly onItem: (item: Item) => void;
  private readonly gaps: GapsOnce;

  constructor(
    site: SiteConsole,
    start: { readonly boot: number | null; readonly next: number },
    onItem: (item: Item) => void,
    gaps: GapsOnce,
  ) {
    this.site = site;
    this.boot = start.boot;
    this.next = start.next;
    this.onItem = onItem;
    this.gaps = gaps;
  }

  hear(topic: string, payload: Uint8Array): void {
    const parsed = parseTopic(topic)?.topic;
    if (parsed?.name === "up/event") return this.hearRecords(payload);
    if (parsed?.name !== "up/capture/{console}/{track}" || parsed.console !== this.site.console) return;
    if (parsed.track !== this.site.track) return;
    // What is being read comes signed and with its gaps in place; what comes beside it waits.
    if (this.waiting !== null) return void this.waiting.push(payload);
    this.hearChunk(payload);
  }

  private hearChunk(payload: Uint8Array): void {
    const head = chunkHead(payload);
    // Somebody else may be reading an older boot on the same topic: only the site's signed word changes the boot.
    if (head === null || head.boot !== this.boot) return;
    const known = this.history.subarray(0, Math.max(0, this.history.length - (this.next - head.offset)));
    const chunk = head.offset > this.next ? null : decodeChunk(payload, known);
    if (chunk !== null) return this.take(chunk);
    // One that begins in what is here may go on behind it, where nobody could unpack it.
    if (head.offset + CHUNK_BYTES > this.next)
      this.missed ??= { offset: Math.max(head.offset, this.next), atMs: Date.now() };
  }

  /** A piece was heard, and what it begins with has still not come. */
  private missesText(): boolean {
    if (this.missed === null || Date.now() - this.missed.atMs < GRACE_MS) return false;
    const misses = this.next <= this.missed.offset;
    this.missed = null;
    return misses;
  }

  /** What came while the link was away is not sent again by itself. */
  lost(): void {
    this.linkWasLost = true;
  }

  /** A gap that takes no offsets cannot be seen in the bytes: the site's ledger tells it. */
  private hearRecords(payload: Uint8Array): void {
    const records = asRecord(parseJson(payload))?.records;
    if (!Array.isArray(records)) return;
    for (const record of records) {
      const gap = gapOf(record, this.site);
      if (gap === null || asRecord(record)?.boot !== this.boot || this.heardBefore(asRecord(record)?.seq)) continue;
      if (gap.offset > this.next) this.early.push(gap);
      else this.tell(this.boot ?? 0, [], this.gaps.fromLedger(this.boot ?? 0, [gap]));
    }
    this.early = this.early.slice(-1_000);
  }

  private heardBefore(seq: unknown): boolean {
    if (typeof seq !== "number") return false;
    if (this.heardGaps.has(seq)) return true;
    if (this.heardGaps.size >= 1_000) this.heardGaps = new Set([...this.heardGaps].slice(500));
    this.heardGaps.add(seq);
    return false;
  }

  private take(chunk: Chunk): void {
    const skip = Math.max(0, this.next - chunk.offset);
    if (skip >= chunk.data.length) return;
    const fresh = sliceChunk(chunk, skip);
    this.history = Buffer.concat([this.history, fresh.data]).subarray(-DICTIONARY_LIMIT);
    this.next = chunk.offset + chunk.data.length;
    const due = this.early.filter(({ offset }) => offset < this.next);
    this.early = this.early.filter(({ offset }) => offset >= this.next);
    this.tell(chunk.boot, [fresh], this.gaps.fromLedger(chunk.boot, due));
  }

  private tell(boot: number, chunks: readonly Chunk[], gaps: readonly DeclaredGap[]): void {
    for (const item of inOrder(boot, chunks, gaps)) this.onItem(item);
  }

  async run(): Promise<void> {
    const { signal } = this.site;
    for (let renewAt = 0; !signal.aborted; await sleep(this.site.track === "rx" ? LOOK_MS : POLL_MS)) {
      if (Date.now() >= renewAt || this.livesAnew() || this.linkWasLost) {
        this.linkWasLost = false;
        renewAt = (await this.renew()) ? Date.now() + RENEW_MS : Date.now() + 1_000;
      }
      if ((this.behind || this.missesText()) && !signal.aborted) await this.catchUp();
    }
  }

  /** A controller that was started again knows of no watch. */
  private livesAnew(): boolean {
    const body = this.site.client.state()?.body;
    const life = `${body?.boot}/${body?.start}`;
    const anew = this.life !== null && this.life !== life;
    this.life = life;
    return anew;
  }

  /** Asks to be sent what comes. False when nobody answered; the first time that ends it. */
  private async renew(): Promise<boolean> {
    const { client, who, console, signal } = this.site;
    const body = { kind: "watch", args: { console } };
    const reply = await client.send(body, { who, timeoutMs: ANSWER_MS, signal }).catch((error: unknown) => {
      if (error instanceof Unreachable) return null;
      throw error;
    });
    if (signal.aborted) return true;
    if (reply !== null && reply.phase !== "result") throw new Refused(reply);
    if (reply === null && !this.answeredOnce) throw new Silent();
    this.sayIfBack(reply);
    if (reply === null) return false;
    this.answeredOnce = true;
    this.behind = true;
    if (reply.boot !== undefined && reply.boot !== this.boot) await this.changeBoot(reply.boot);
    return true;
  }

  /** A blink of the link is not worth a word. */
  private sayIfBack(reply: SiteReply | null): void {
    if (reply === null) {
      this.silentSince ??= Date.now();
      if (this.saidSilent || Date.now() - this.silentSince < BLINK_MS) return;
      this.saidSilent = true;
      this.site.note("-- the site does not answer; waiting for it, Ctrl-C ends --");
    } else if (this.silentSince !== null) {
      const seconds = Math.round((Date.now() - this.silentSince) / 1_000);
      if (this.saidSilent) this.site.note(`-- the site answers again after ${seconds} s --`);
      this.silentSince = null;
      this.saidSilent = false;
    }
  }

  /** What the boot before said in its last moments comes first. */
  private async changeBoot(boot: number): Promise<void> {
    if (this.boot !== null) while (this.behind && !this.site.signal.aborted) if (!(await this.catchUp())) break;
    this.boot = boot;
    this.next = 0;
    this.history = new Uint8Array();
    this.early = [];
    this.missed = null;
    this.behind = true;
  }

  /** False when it has to be tried again. */
  private async catchUp(): Promise<boolean> {
    const { client, who, console, track, signal } = this.site;
    this.behind = false;
    const { boot } = this;
    const args = boot === null ? { from: this.next } : { boot, from: this.next };
    this.waiting = [];
    const missed = await readRange(client, who, console, args, { track, signal }).catch((error: unknown) => {
      if (error instanceof Unreachable) return null;
      throw error;
    });
    const beside = this.waiting;
    this.waiting = null;
    // A boot in which this console has not spoken yet is none that can be read.
    if (missed?.ok === false && missed.reply?.code === "read.range") return true;
    if (missed === null || !missed.ok) {
      this.behind = true;
      return false;
    }
    const { range, chunks } = missed;
    this.takeRead(range.boot ?? 0, chunks, range.gaps, range.to);
    this.behind = range.more || track === "tx";
    for (const payload of beside) this.hearChunk(payload);
    return true;
  }

  private takeRead(boot: number, chunks: readonly Chunk[], gaps: readonly DeclaredGap[], to: number): void {
    const fresh: Chunk[] = [];
    for (const chunk of chunks) {
      // Pieces of the same text may have come by themselves while this was read.
      const skip = Math.max(0, this.next - chunk.offset);
      if (skip >= chunk.data.length) continue;
      const rest = sliceChunk(chunk, skip);
      if (chunk.offset > this.next) this.history = new Uint8Array();
      this.history = Buffer.concat([this.history, rest.data]).subarray(-DICTIONARY_LIMIT);
      this.next = chunk.offset + chunk.data.length;
      fresh.push(rest);
    }
    this.next = Math.max(this.next, to);
    this.early = this.early.filter(({ offset }) => offset > this.next);
    this.tell(boot, fresh, this.gaps.fromRead(boot, gaps));
  }
}

function gapOf(value: unknown, site: SiteConsole): DeclaredGap | null {
  const record = asRecord(value);
  if (record?.kind !== "gap" || record.console !== site.console || (record.track ?? "rx") !== site.track) return null;
  const { offset, cause, length, count, mono } = record;
  if (typeof offset !== "number" || typeof cause !== "string") return null;
  const known = { length: typeof length === "number" ? length : null, count: Number(count) || 1 };
  return { offset, cause, ...known, ...(typeof mono === "number" && { monoMs: mono }) };
}
