import { parseJson } from "../protocol/envelope.ts";
import { recordsDigest } from "../protocol/records.ts";
import { parseTopic } from "../protocol/topics.ts";
import { type ClockAt, readClocks } from "./answers.ts";
import { BootClocks } from "./boot-clocks.ts";
import { ReadFailed } from "./capture-source.ts";
import { asRecord, type Client, type SiteReply, sleep } from "./client.ts";
import { Refused, Silent } from "./site-source.ts";
import type { Who } from "./who.ts";

/** A site's ledger, wherever it is read: the site itself, the card of a dead one, a receiver's folder. */

export type LedgerLine = Readonly<Record<string, unknown>>;

export interface LedgerSource {
  /** The newest `last`, or everything that is not before `sinceMs` (unix); oldest first, in pages. */
  read(start: { readonly last: number } | { readonly sinceMs: number }): AsyncIterable<readonly LedgerLine[]>;
  /** What the clocks of the boots were; known once something was read. */
  clocks(): readonly ClockAt[];
}

const ANSWER_MS = 60_000;
const FIRST_ANSWER_MS = 15_000;
const STRAGGLERS_MS = 3_000;
const TRIES = 3;
const BUSY_MS = 500;
const BUSY_TRIES = 20;
/** What a site gives at once. */
const PAGE = 1_000;
/** Looking for a time goes back in steps that grow, and ends where so few records are left to look at. */
const NEAR = 64;

/** Unix ms of a record, null where nobody knows. */
function wallOf(record: LedgerLine, clocks: readonly ClockAt[]): number | null {
  const times = new BootClocks();
  times.learn(clocks);
  return times.wallMs(Number(record.boot), Number(record.mono));
}

/** Records that are here already, filtered as a site's answers would be. */
export async function* pagesOf(
  records: Iterable<LedgerLine>,
  clocks: readonly ClockAt[],
  start: { readonly last: number } | { readonly sinceMs: number },
): AsyncGenerator<readonly LedgerLine[]> {
  const times = new BootClocks();
  times.learn(clocks);
  if ("last" in start) {
    let newest: LedgerLine[] = [];
    for (const record of records) {
      newest.push(record);
      if (newest.length > 2 * start.last) newest = newest.slice(-start.last);
    }
    yield newest.slice(-start.last);
    return;
  }
  let page: LedgerLine[] = [];
  for (const record of records) {
    const wall = times.wallMs(Number(record.boot), Number(record.mono));
    if (wall === null || wall >= start.sinceMs) page.push(record);
    if (page.length < PAGE) continue;
    yield page;
    page = [];
  }
  yield page;
}

export class SiteLedger implements LedgerSource {
  private readonly client: Client;
  private readonly who: Who | null;
  private known: readonly ClockAt[] = [];
  private answered = false;
  /** The highest number that was in an answer. */
  head = -1;

  constructor(client: Client, who: Who | null) {
    this.client = client;
    this.who = who;
  }

  clocks(): readonly ClockAt[] {
    return this.known;
  }

  async *read(start: { readonly last: number } | { readonly sinceMs: number }): AsyncGenerator<readonly LedgerLine[]> {
    if ("last" in start && start.last <= PAGE) return yield* this.from({ last: start.last });
    const newest = (await this.page({ last: 1 })).records.at(-1);
    if (newest === undefined) return;
    const head = Number(newest.seq);
    yield* this.from({
      from: "last" in start ? Math.max(0, head + 1 - start.last) : await this.firstSince(start.sinceMs, head),
    });
  }

  /** From one number on, to what is newest now. */
  async *from(start: Readonly<Record<string, number>>): AsyncGenerator<readonly LedgerLine[]> {
    let args = start;
    for (;;) {
      const { records, reply } = await this.page(args);
      if (records.length > 0) yield records;
      if (reply.more !== true || records.length === 0) return;
      args = { from: Number(reply.to) };
    }
  }

  /** The number of the first record that is not before that time, or a little earlier. */
  private async firstSince(sinceMs: number, newest: number): Promise<number> {
    if (sinceMs <= 0) return 0;
    let low = 0;
    let high = newest + 1;
    for (let step = NEAR; high > 0; step *= 8) {
      const probe = Math.max(0, newest - step);
      if (!(await this.notBefore(probe, sinceMs))) {
        low = probe + 1;
        break;
      }
      high = probe;
    }
    while (high - low > NEAR) {
      const middle = Math.floor((low + high) / 2);
      if (await this.notBefore(middle, sinceMs)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** A record that is no longer held is before any time; one without a time of day may be after it. */
  private async notBefore(seq: number, sinceMs: number): Promise<boolean> {
    const [record] = (await this.page({ from: seq, to: seq + 1 })).records;
    if (record === undefined) return false;
    const wall = wallOf(record, this.known);
    return wall === null || wall >= sinceMs;
  }

  /** One read, checked against what the site signed. */
  private async page(
    args: Readonly<Record<string, number>>,
  ): Promise<{ records: readonly LedgerLine[]; reply: SiteReply }> {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const { reply, records } = await this.askWhenFree(args);
      if (reply.phase !== "result") throw new Refused(reply);
      if (records === null) continue;
      this.head = Math.max(this.head, Number(records.at(-1)?.seq ?? -1));
      return { records, reply };
    }
    throw new ReadFailed("the records that came are not those that the site signed for (reply.unverified)");
  }

  /** A receiver that fetches the past may be in the way for a moment. */
  private async askWhenFree(args: Readonly<Record<string, number>>): ReturnType<SiteLedger["ask"]> {
    for (let tries = 1; ; tries++) {
      const answer = await this.ask(args);
      if (answer.reply.code !== "read.too-many" || tries >= BUSY_TRIES) return answer;
      await sleep(BUSY_MS);
    }
  }

  private async ask(
    args: Readonly<Record<string, number>>,
  ): Promise<{ reply: SiteReply; records: readonly LedgerLine[] | null }> {
    const heard: LedgerLine[] = [];
    const stop = this.client.onMessage((message) => void heard.push(...recordsOf(message)));
    try {
      const reply = await this.client.send(
        { kind: "read", args: { console: null, ...args } },
        { who: this.who, timeoutMs: this.answered ? ANSWER_MS : FIRST_ANSWER_MS },
      );
      if (reply === null) throw new Silent();
      this.answered = true;
      this.known = readClocks(reply.clocks);
      let records = reply.phase === "result" ? signedRecords(heard, reply) : null;
      for (let waited = 0; reply.phase === "result" && records === null && waited < STRAGGLERS_MS; waited += 50) {
        await sleep(50);
        records = signedRecords(heard, reply);
      }
      return { reply, records };
    } finally {
      stop();
    }
  }
}

/** The records of a range, if they are exactly those whose hash the site signed. */
function signedRecords(heard: readonly LedgerLine[], reply: SiteReply): LedgerLine[] | null {
  const bySeq = new Map(heard.map((record) => [Number(record.seq), record]));
  const mine = [...bySeq.values()]
    .filter((record) => Number(record.seq) >= Number(reply.from) && Number(record.seq) < Number(reply.to))
    .sort((a, b) => Number(a.seq) - Number(b.seq));
  return recordsDigest(mine) === reply.sha256 ? mine : null;
}

export function recordsOf(message: { topic: string; payload: Uint8Array }): LedgerLine[] {
  if (parseTopic(message.topic)?.topic.name !== "up/event") return [];
  const records = asRecord(parseJson(message.payload))?.records;
  return Array.isArray(records) ? records.map(asRecord).filter((one) => one !== null) : [];
}
