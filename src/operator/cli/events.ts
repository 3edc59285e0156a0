import { parseJson } from "../../protocol/envelope.ts";
import { recordsDigest } from "../../protocol/records.ts";
import { parseTopic } from "../../protocol/topics.ts";
import { type ClockAt, readClocks } from "../answers.ts";
import { asRecord, type Client, type SiteReply, sleep } from "../client.ts";
import type { Who } from "../who.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  flag,
  text,
  UsageError,
} from "./command.ts";
import { connectTo, contextOf, sayVerification, silence, viewerOf } from "./connect.ts";
import { jsonText, print, printError, safe } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["events SITE [--last N | --all] [--follow]"],
  about: "The site's ledger: what was decided, what moved, what came and went.",
  examples: ["towpath events demo", "towpath events demo --all --json", "towpath events demo --follow"],
  options: {
    ...CONNECTION_OPTIONS,
    last: { type: "string" },
    all: { type: "boolean" },
    follow: { type: "boolean", short: "f" },
  },
  optionHelp: {
    last: "so many of the newest records (default 50)",
    all: "everything the site still holds",
    follow: "and what happens from now on, until Ctrl-C",
    ...CONNECTION_HELP,
  },
  run,
};

const TRIES = 3;

type Json = Readonly<Record<string, unknown>>;

async function run(args: CliArgs): Promise<number> {
  const last = Number(text(args, "last") ?? 50);
  if (!Number.isInteger(last) || last < 1) throw new UsageError("--last wants a whole number");
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, args.words[0]?.replace(/\/.*$/, "") ?? null);
  try {
    const events = new Events(client, who, args.json);
    const code = await events.past(flag(args, "all") ? { from: 0 } : { last });
    if (code !== EXIT.done) return code;
    sayVerification(client, client.site);
    if (flag(args, "follow")) return await events.live();
    if (args.json) print(jsonText({ ok: true, events: events.seen }));
    else for (const record of events.seen) print(lineOf(record, events.clocks));
    return EXIT.done;
  } finally {
    await client.stop();
  }
}

class Events {
  readonly seen: Json[] = [];
  clocks: readonly ClockAt[] = [];
  private next = 0;
  private readonly client: Client;
  private readonly who: Who | null;
  private readonly json: boolean;

  constructor(client: Client, who: Who | null, json: boolean) {
    this.client = client;
    this.who = who;
    this.json = json;
  }

  async past(first: Json): Promise<number> {
    let args = first;
    for (let tries = 0; tries < TRIES; ) {
      const page = await this.page(args);
      if (page.reply.phase !== "result") return tellRejected(this.json, page.reply);
      if (page.records === null) {
        tries++;
        continue;
      }
      for (const record of page.records) this.take(record);
      if (page.reply.more !== true) return EXIT.done;
      args = { from: Number(page.reply.to) };
    }
    printError("the records that came are not those that the site signed for (reply.unverified)", "Try again.");
    return EXIT.failed;
  }

  /** One read; `records` is null when what came does not match the signed answer. */
  private async page(args: Json): Promise<{ reply: SiteReply; records: Json[] | null }> {
    const heard: Json[] = [];
    const stop = this.client.onMessage((message) => void heard.push(...recordsOf(message)));
    const reply = await this.client.send(
      { kind: "read", args: { console: null, ...args } },
      { who: this.who, timeoutMs: 15_000 },
    );
    if (reply === null) throw silence(this.client, this.client.site);
    this.clocks = readClocks(reply.clocks);
    let records = reply.phase === "result" ? signedRecords(heard, reply) : null;
    for (let waited = 0; reply.phase === "result" && records === null && waited < 3_000; waited += 50) {
      await sleep(50);
      records = signedRecords(heard, reply);
    }
    stop();
    return { reply, records };
  }

  private take(record: Json): boolean {
    if (Number(record.seq) < this.next) return false;
    this.next = Number(record.seq) + 1;
    this.seen.push(record);
    return true;
  }

  async live(): Promise<number> {
    const show = (record: Json) => print(this.json ? jsonText(record) : lineOf(record, this.clocks));
    for (const record of this.seen) show(record);
    this.client.onMessage((message) => {
      for (const record of recordsOf(message)) if (this.take(record)) show(record);
    });
    await new Promise<void>((resolve) => process.once("SIGINT", () => resolve()));
    return EXIT.done;
  }
}

/** The records of a range, if they are exactly those whose hash the site signed. */
function signedRecords(heard: readonly Json[], reply: SiteReply): Json[] | null {
  const bySeq = new Map(heard.map((record) => [Number(record.seq), record]));
  const mine = [...bySeq.values()]
    .filter((record) => Number(record.seq) >= Number(reply.from) && Number(record.seq) < Number(reply.to))
    .sort((a, b) => Number(a.seq) - Number(b.seq));
  return recordsDigest(mine) === reply.sha256 ? mine : null;
}

function recordsOf(message: { topic: string; payload: Uint8Array }): Json[] {
  if (parseTopic(message.topic)?.topic.name !== "up/event") return [];
  const records = asRecord(parseJson(message.payload))?.records;
  return Array.isArray(records) ? records.map(asRecord).filter((one) => one !== null) : [];
}

function lineOf(record: Json, clocks: readonly ClockAt[]): string {
  // Evidence is for `towpath audit`; a person reads what was decided.
  const {
    seq,
    boot,
    mono,
    kind,
    reply: _,
    prev: _prev,
    signed: _signed,
    document: _document,
    intent,
    ...rest
  } = record;
  const clock = clocks.find((one) => one.boot === boot);
  const time =
    clock === undefined ? `boot ${boot} +${mono} ms` : new Date(clock.wall + (Number(mono) - clock.mono)).toISOString();
  const detail = Object.entries({ ...rest, ...asRecord(intent) }).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return safe(`${time} #${seq} ${kind} ${detail.join(" ")}`);
}
