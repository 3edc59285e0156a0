import { createHash } from "node:crypto";
import { type Chunk, chunkHead, DICTIONARY_LIMIT, decodeChunk } from "../protocol/chunk.ts";
import { parseTopic } from "../protocol/topics.ts";
import { type RangeReply, readRangeReply } from "./answers.ts";
import { asRecord, type Client, type SiteReply, sleep } from "./client.ts";
import type { Who } from "./who.ts";

/** Ranges of capture as they come over the wire, put together and checked against the site's signed answer. */

export type ReadOutcome =
  | { ok: true; range: RangeReply; chunks: readonly Chunk[] }
  | { ok: false; reply: SiteReply | null; why: string };

/** The chunks may arrive after the answer that names them. */
const STRAGGLERS_MS = 3_000;
const TRIES = 3;

export async function readRange(
  client: Client,
  who: Who | null,
  console: string,
  args: Readonly<Record<string, unknown>>,
): Promise<ReadOutcome> {
  let why = "";
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const collected = collect(client, console);
    const reply = await client.send({ kind: "read", args: { console, ...args } }, { who, timeoutMs: 15_000 });
    if (reply === null || reply.phase !== "result") {
      collected.stop();
      return { ok: false, reply, why: "" };
    }
    const range = readRangeReply(reply);
    if (range === null) {
      collected.stop();
      return { ok: false, reply: null, why: "the answer makes no sense" };
    }
    const chunks = await whole(collected.payloads, range);
    collected.stop();
    if (chunks === null) {
      why = "pieces of the range did not arrive";
      continue;
    }
    const hash = createHash("sha256");
    for (const chunk of chunks) hash.update(chunk.data);
    if (range.boot === null || hash.digest("hex") === range.sha256) return { ok: true, range, chunks };
    why = "the pieces are not those that the site signed for (reply.unverified)";
  }
  return { ok: false, reply: null, why };
}

function collect(client: Client, console: string): { payloads: Uint8Array[]; stop: () => void } {
  const payloads: Uint8Array[] = [];
  const stop = client.onMessage(({ topic, payload }) => {
    const parsed = parseTopic(topic)?.topic;
    if (parsed?.name === "up/capture/{console}/{track}" && parsed.console === console) payloads.push(payload);
  });
  return { payloads, stop };
}

async function whole(payloads: readonly Uint8Array[], range: RangeReply): Promise<Chunk[] | null> {
  const deadline = Date.now() + STRAGGLERS_MS;
  for (;;) {
    const chunks = range.boot === null ? [] : decodeAll(payloads, range.boot, range.from, range.to);
    const have = chunks.reduce((sum, chunk) => sum + chunk.data.length, 0);
    if (have >= range.bytes) return chunks;
    if (Date.now() > deadline) return null;
    await sleep(20);
  }
}

/** Decodes what belongs to the range, in order, each with the bytes before it as dictionary. */
function decodeAll(payloads: readonly Uint8Array[], boot: number, from: number, to: number): Chunk[] {
  const mine = payloads
    .map((payload) => ({ payload, head: chunkHead(payload) }))
    .filter(({ head }) => head !== null && head.boot === boot && head.offset >= from && head.offset < to)
    .sort((a, b) => (a.head?.offset ?? 0) - (b.head?.offset ?? 0));
  const chunks: Chunk[] = [];
  let before: Uint8Array = new Uint8Array();
  let end = from;
  for (const { payload, head } of mine) {
    if (head === null || head.offset < end) continue;
    const chunk = decodeChunk(payload, head.offset === end ? before : new Uint8Array());
    if (chunk === null) continue;
    chunks.push(chunk);
    before = Buffer.concat([head.offset === end ? before : new Uint8Array(), chunk.data]).subarray(-DICTIONARY_LIMIT);
    end = chunk.offset + chunk.data.length;
  }
  return chunks;
}

/** Live chunks of one console from `from` on; calls back in order. Pieces that were missed are read again. */
export async function follow(
  client: Client,
  who: Who | null,
  console: string,
  start: { boot: number | null; next: number },
  onChunk: (chunk: Chunk) => void,
  onGaps: (gaps: RangeReply["gaps"]) => void,
  signal: AbortSignal,
): Promise<SiteReply | null> {
  let { boot, next } = start;
  let behind = false;
  let history: Uint8Array = new Uint8Array();
  const take = (chunk: Chunk): void => {
    const skip = Math.max(0, next - chunk.offset);
    if (skip >= chunk.data.length) return;
    const data = chunk.data.subarray(skip);
    history = Buffer.concat([history, data]).subarray(-DICTIONARY_LIMIT);
    onChunk({ ...chunk, offset: chunk.offset + skip, marks: skip > 0 ? [] : chunk.marks, data });
    next = chunk.offset + chunk.data.length;
  };
  const stop = client.onMessage(({ topic, payload }) => {
    const parsed = parseTopic(topic)?.topic;
    if (parsed?.name !== "up/capture/{console}/{track}" || parsed.console !== console || parsed.track !== "rx") return;
    const head = chunkHead(payload);
    if (head === null) return;
    // Somebody else may be reading an older boot on the same topic: only the site's signed word changes the boot.
    if (head.boot !== boot) return;
    const chunk = head.offset > next ? null : decodeChunk(payload, head.offset === next ? history : new Uint8Array());
    if (chunk === null) behind = true;
    else take(chunk);
  });
  try {
    let renewAt = 0;
    while (!signal.aborted) {
      if (Date.now() >= renewAt) {
        const reply = await client.send({ kind: "watch", args: { console } }, { who, timeoutMs: 10_000, signal });
        if (!signal.aborted && (reply === null || reply.phase !== "result")) return reply;
        renewAt = Date.now() + 30_000;
        if (reply?.boot !== undefined && reply.boot !== boot) {
          boot = reply.boot;
          next = 0;
          history = new Uint8Array();
        }
        behind = true;
      }
      if (behind && !signal.aborted) {
        behind = false;
        const missed = await readRange(client, who, console, boot === null ? { from: next } : { boot, from: next });
        if (missed.ok) {
          onGaps(missed.range.gaps);
          for (const chunk of missed.chunks) take(chunk);
          behind = missed.range.more;
        }
      }
      await sleep(100);
    }
    return asRecord({ id: "", phase: "result" }) as SiteReply;
  } finally {
    stop();
  }
}
