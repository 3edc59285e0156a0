import type { Message } from "../../link/transport.ts";
import { decodeEnvelope, type Envelope, parseJson } from "../../protocol/envelope.ts";
import { textHash } from "../../protocol/ledger-chain.ts";
import { parseTopic } from "../../protocol/topics.ts";
import { asRecord, type Client, type SiteReply, sleep } from "../client.ts";
import type { Who } from "../who.ts";

/** The whole ledger of a site over its link, with the site's last signed answer as it came. */

export interface Fetched {
  readonly records: readonly string[];
  readonly head: Envelope | null;
}

/** `refused`: what the site said instead; `silent`: it did not answer; `unlike`: what came is not what it signed for. */
export type Failed =
  | { readonly why: "refused"; readonly reply: SiteReply }
  | { readonly why: "silent" }
  | { readonly why: "unlike" };

interface Page {
  readonly reply: SiteReply;
  readonly envelope: Envelope;
  readonly texts: readonly string[];
}

const ANSWER_MS = 20_000;
const BUSY_MS = 500;
const PATIENCE = { tries: 10, stragglersMs: 3_000 };

export async function fetchLedger(client: Client, who: Who | null, patience = PATIENCE): Promise<Fetched | Failed> {
  const records: string[] = [];
  let head: Envelope | null = null;
  for (let from = 0; ; ) {
    const page = await pageWhenFree(client, who, from, patience);
    if ("why" in page) return page;
    if (page.texts.length === 0) return { records, head };
    records.push(...page.texts);
    head = page.envelope;
    if (page.reply.more !== true) return { records, head };
    from = Number(page.reply.to);
  }
}

/** Others may be reading as well, and a link may lose what is not signed. */
async function pageWhenFree(
  client: Client,
  who: Who | null,
  from: number,
  { tries: most, stragglersMs }: typeof PATIENCE,
): Promise<Page | Failed> {
  let last: Page | Failed = { why: "silent" };
  for (let tries = 0; tries < most; tries++) {
    last = await pageOf(client, who, from, stragglersMs);
    if (!("why" in last) || last.why === "silent") return last;
    if (last.why === "refused" && last.reply.code !== "read.too-many") return last;
    await sleep(BUSY_MS);
  }
  return last;
}

async function pageOf(client: Client, who: Who | null, from: number, stragglersMs: number): Promise<Page | Failed> {
  const heard = new Map<number, string>();
  const answers = new Map<string, Envelope>();
  const stop = client.onMessage((message) => {
    take(message, heard);
    const envelope = answerIn(message);
    if (envelope !== null) answers.set(envelope.id, envelope);
  });
  try {
    const command = { kind: "read", args: { console: null, from } };
    const reply = await client.send(command, { who, timeoutMs: ANSWER_MS });
    if (reply === null) return { why: "silent" };
    if (reply.phase !== "result") return { why: "refused", reply };
    for (let waited = 0; ; waited += 50) {
      const texts = textsOf(heard, reply);
      const answer = answers.get(reply.id);
      if (texts !== null && answer !== undefined) {
        const { body, sigs } = answer;
        return { reply, envelope: { body, sigs }, texts };
      }
      if (waited >= stragglersMs) return { why: "unlike" };
      await sleep(50);
    }
  } finally {
    stop();
  }
}

/** A record's text survives being read and written again: the order of its names and its numbers are JSON's own. */
function take({ topic, payload }: Message, heard: Map<number, string>): void {
  if (parseTopic(topic)?.topic.name !== "up/event") return;
  const records = asRecord(parseJson(payload))?.records;
  for (const one of Array.isArray(records) ? records : []) {
    const seq = asRecord(one)?.seq;
    if (typeof seq === "number") heard.set(seq, JSON.stringify(one));
  }
}

function answerIn({ topic, payload }: Message): (Envelope & { id: string }) | null {
  if (parseTopic(topic)?.topic.name !== "up/reply") return null;
  const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
  const id = asRecord(envelope && parseJson(envelope.body))?.id;
  return envelope === null || typeof id !== "string" ? null : { ...envelope, id };
}

function textsOf(heard: ReadonlyMap<number, string>, reply: SiteReply): string[] | null {
  const texts: string[] = [];
  for (let seq = Number(reply.from); seq < Number(reply.to); seq++) {
    const text = heard.get(seq);
    if (text === undefined) return null;
    texts.push(text);
  }
  return textHash(texts.join("\n")) === reply.sha256 ? texts : null;
}
