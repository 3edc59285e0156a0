import { createHash } from "node:crypto";
import { type Chunk, chunkHead, DICTIONARY_LIMIT, decodeChunk } from "../protocol/chunk.ts";
import { parseTopic } from "../protocol/topics.ts";
import { type RangeReply, readRangeReply } from "./answers.ts";
import { type Client, type SiteReply, sleep } from "./client.ts";
import { sliceChunk } from "./pieces.ts";
import type { Who } from "./who.ts";

/** Ranges of capture as they come over the wire, put together and checked against the site's signed answer. */

export type ReadOutcome =
  | { ok: true; range: RangeReply; chunks: readonly Chunk[] }
  | { ok: false; reply: SiteReply | null; why: string };

export interface ReadOptions {
  readonly track?: "rx" | "tx";
  readonly signal?: AbortSignal;
  /** Hears how far the pieces have come, before the answer that signs them. */
  readonly progress?: (offset: number) => void;
}

/** Nothing of it came for so long: it is not answered. A slow link may take longer as long as something comes. */
const IDLE_MS = 15_000;
/** The chunks may arrive after the answer that names them. */
const STRAGGLERS_MS = 3_000;
const TRIES = 3;

export async function readRange(
  client: Client,
  who: Who | null,
  console: string,
  args: Readonly<Record<string, unknown>>,
  options: ReadOptions = {},
): Promise<ReadOutcome> {
  let why = "";
  for (let attempt = 0; attempt < TRIES && options.signal?.aborted !== true; attempt++) {
    const pieces = new Pieces(client, console, options);
    try {
      const reply = await pieces.ask(who, args);
      if (reply === null || reply.phase !== "result") return { ok: false, reply, why: "" };
      const range = rangeOf(reply, args);
      if (range === null) return { ok: false, reply: null, why: "the answer makes no sense" };
      if (range.boot === null) return { ok: true, range, chunks: [] };
      const chunks = await pieces.whole(range.boot, range);
      if (chunks !== null && isSigned(chunks, range)) return { ok: true, range, chunks };
      why =
        chunks === null
          ? "pieces of the range did not arrive"
          : "the pieces are not those that the site signed for (reply.unverified)";
    } finally {
      pieces.stop();
    }
  }
  return { ok: false, reply: null, why };
}

/**
 * Each statement of a site names the boot in which it was made. The boot of the range is the one that was asked for, or
 * the last one that the console spoke in.
 */
function rangeOf(reply: SiteReply, args: Readonly<Record<string, unknown>>): RangeReply | null {
  const range = readRangeReply(reply);
  const boot = typeof args.boot === "number" ? args.boot : (range?.boots.at(-1)?.boot ?? null);
  return range && { ...range, boot };
}

function isSigned(chunks: readonly Chunk[], range: RangeReply): boolean {
  const hash = createHash("sha256");
  for (const chunk of chunks) hash.update(chunk.data);
  return range.sha256 === hash.digest("hex");
}

/** What comes on a console's topic while a range is asked for. */
class Pieces {
  private readonly payloads: Uint8Array[] = [];
  private heardAt = Date.now();
  private readonly client: Client;
  private readonly console: string;
  private readonly options: ReadOptions;
  readonly stop: () => void;

  constructor(client: Client, console: string, options: ReadOptions) {
    this.client = client;
    this.console = console;
    this.options = options;
    this.stop = client.onMessage(({ topic, payload }) => {
      const parsed = parseTopic(topic)?.topic;
      if (parsed?.name !== "up/capture/{console}/{track}" || parsed.console !== console) return;
      if (parsed.track !== (options.track ?? "rx")) return;
      this.heardAt = Date.now();
      this.payloads.push(payload);
      const head = options.progress && chunkHead(payload);
      if (head) options.progress?.(head.offset);
    });
  }

  async ask(who: Who | null, args: Readonly<Record<string, unknown>>): Promise<SiteReply | null> {
    const idle = new AbortController();
    const timer = setInterval(() => {
      if (Date.now() - this.heardAt > IDLE_MS) idle.abort();
    }, 500);
    const stopListening = this.client.onLost(() => idle.abort());
    const signal = this.options.signal ? AbortSignal.any([idle.signal, this.options.signal]) : idle.signal;
    const track = this.options.track === "tx" ? { track: "tx" } : {};
    try {
      return await this.client.send(
        { kind: "read", args: { console: this.console, ...track, ...args } },
        { who, timeoutMs: 3_600_000, signal },
      );
    } finally {
      clearInterval(timer);
      stopListening();
    }
  }

  /** Null when a piece is missing. */
  async whole(boot: number, range: RangeReply): Promise<Chunk[] | null> {
    let decoded = -1;
    for (const from = Date.now(); ; await sleep(20)) {
      if (decoded !== this.payloads.length) {
        decoded = this.payloads.length;
        const chunks = decodeAll(this.payloads, boot, range.from, range.to);
        if (chunks.reduce((sum, chunk) => sum + chunk.data.length, 0) >= range.bytes) return chunks;
      }
      const late = Date.now() - Math.max(from, this.heardAt) > STRAGGLERS_MS;
      if (late || this.options.signal?.aborted === true) return null;
    }
  }
}

/**
 * Decodes what belongs to the range, in order, each with the bytes before it as dictionary. Others read and receive the
 * same console on the same topic: their pieces may overlap ours, and may need bytes that we do not have.
 */
function decodeAll(payloads: readonly Uint8Array[], boot: number, from: number, to: number): Chunk[] {
  const chunks: Chunk[] = [];
  let before: Uint8Array = new Uint8Array();
  let end = from;
  for (const { payload, offset } of piecesOf(payloads, boot, from, to)) {
    const known = offset > end ? new Uint8Array() : before.subarray(0, Math.max(0, before.length - (end - offset)));
    const chunk = decodeChunk(payload, known);
    if (chunk === null) continue;
    const fresh = sliceChunk(chunk, Math.max(0, end - offset), Math.min(chunk.data.length, to - offset));
    if (fresh.data.length === 0) continue;
    chunks.push(fresh);
    before = Buffer.concat([fresh.offset === end ? before : new Uint8Array(), fresh.data]).subarray(-DICTIONARY_LIMIT);
    end = fresh.offset + fresh.data.length;
  }
  return chunks;
}

function piecesOf(
  payloads: readonly Uint8Array[],
  boot: number,
  from: number,
  to: number,
): { payload: Uint8Array; offset: number }[] {
  return payloads
    .flatMap((payload) => {
      const head = chunkHead(payload);
      const mine = head !== null && head.boot === boot && head.offset >= from && head.offset < to;
      return mine ? [{ payload, offset: head.offset }] : [];
    })
    .sort((a, b) => a.offset - b.offset);
}
