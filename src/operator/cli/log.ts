import { parseDuration } from "../../core/duration.ts";
import type { RangeReply } from "../answers.ts";
import type { Client, SiteReply } from "../client.ts";
import { follow, readRange } from "../reading.ts";
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
import { connectTo, contextOf, parsePlace, sayVerification, silence, viewerOf } from "./connect.ts";
import { type LogMode, LogPrinter } from "./log-printer.ts";
import { printError } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["log SITE/CONSOLE [--since 1h | --all] [--follow] [--timestamps] [--raw]", "log --data DATA CONSOLE [--all]"],
  about: "What a console said: the last 16 KiB, or since a time, or all that the site still holds.",
  examples: [
    "towpath log demo/router1 --follow",
    "towpath log demo/router1 --since 1h --timestamps",
    "towpath log --data /mnt/card/towpath router1 --all",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    since: { type: "string" },
    all: { type: "boolean" },
    follow: { type: "boolean", short: "f" },
    timestamps: { type: "boolean" },
    raw: { type: "boolean" },
    data: { type: "string" },
  },
  optionHelp: {
    since: "only what came in the last so long (30m, 2h)",
    all: "everything the site still holds",
    follow: "and what comes from now on, until Ctrl-C",
    timestamps: "RFC 3339 UTC with milliseconds before each line",
    raw: "the exact bytes, escapes and all",
    data: "read the journal of a site's data folder on this machine",
    ...CONNECTION_HELP,
  },
  run,
};

const TAIL_BYTES = 16 * 1024;

function modeOf(args: CliArgs): LogMode {
  if (args.json) return "json";
  if (flag(args, "raw")) return "raw";
  return flag(args, "timestamps") ? "timestamps" : "text";
}

async function run(args: CliArgs): Promise<number> {
  const since = text(args, "since");
  const sinceMs = since === undefined ? null : parseDuration(since);
  if (since !== undefined && sinceMs === null) throw new UsageError(`--since ${since}: write 30m, 2h or 1d`);
  const printer = new LogPrinter(modeOf(args), (piece) => void process.stdout.write(piece));
  const data = text(args, "data");
  if (data !== undefined)
    return (await import("./card.ts")).logOfCard(data, args.words[0], printer, { all: flag(args, "all"), sinceMs });
  const place = parsePlace(args.words[0], "SITE/CONSOLE");
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, place.site);
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  try {
    const reader = new Reading(client, who, place.site, place.rest, printer, stop.signal);
    const want = flag(args, "all") ? "all" : sinceMs === null ? "tail" : { sinceMs };
    const code = await reader.past(want);
    if (code !== EXIT.done || !flag(args, "follow")) return code;
    return await reader.live();
  } finally {
    printer.end();
    await client.stop();
  }
}

class Reading {
  private boot: number | null = null;
  private next = 0;
  private readonly client: Client;
  private readonly who: Who | null;
  private readonly site: string;
  private readonly console: string;
  private readonly printer: LogPrinter;
  private readonly signal: AbortSignal;

  constructor(
    client: Client,
    who: Who | null,
    site: string,
    console: string,
    printer: LogPrinter,
    signal: AbortSignal,
  ) {
    this.client = client;
    this.who = who;
    this.site = site;
    this.console = console;
    this.printer = printer;
    this.signal = signal;
  }

  async past(want: "all" | "tail" | { sinceMs: number }): Promise<number> {
    const head = await this.read({ from: Number.MAX_SAFE_INTEGER });
    if (typeof head === "number") return head;
    sayVerification(this.client, this.site);
    if (head.boot === null) return EXIT.done;
    for (const { boot } of head.boots) {
      const code = await this.pastOfBoot(boot, this.startIn(boot, head, want));
      if (code !== EXIT.done) return code;
    }
    return EXIT.done;
  }

  /** Where to begin in one boot, or null to leave it out. */
  private startIn(
    boot: number,
    head: RangeReply,
    want: "all" | "tail" | { sinceMs: number },
  ): Record<string, number> | null {
    if (want === "all") return { from: 0 };
    if (want === "tail") return boot === head.boot ? { last: TAIL_BYTES } : null;
    if (boot === head.boot) return { sinceMs: want.sinceMs };
    const clock = head.clocks.find((one) => one.boot === boot);
    return clock === undefined
      ? null
      : { fromMonoMs: Math.floor(clock.mono + (Date.now() - want.sinceMs - clock.wall)) };
  }

  private async pastOfBoot(boot: number, start: Record<string, number> | null): Promise<number> {
    if (start === null) return EXIT.done;
    let args: Record<string, number> = { boot, ...start };
    for (;;) {
      const range = await this.read(args);
      if (typeof range === "number") return range;
      this.boot = boot;
      this.next = range.to;
      if (!range.more || this.signal.aborted) return EXIT.done;
      args = { boot, from: range.to };
    }
  }

  private async read(args: Record<string, number>): Promise<RangeReply | number> {
    const outcome = await readRange(this.client, this.who, this.console, args);
    if (!outcome.ok) return this.failed(outcome.reply, outcome.why);
    this.printer.learnClocks(outcome.range.clocks);
    this.printer.gaps(outcome.range.gaps);
    for (const chunk of outcome.chunks) this.printer.chunk(chunk);
    return outcome.range;
  }

  async live(): Promise<number> {
    const start = { boot: this.boot, next: this.next };
    const reply = await follow(
      this.client,
      this.who,
      this.console,
      start,
      (chunk) => this.printer.chunk(chunk),
      (gaps) => this.printer.gaps(gaps),
      this.signal,
    );
    return reply?.phase === "result" ? EXIT.done : this.failed(reply, "");
  }

  private failed(reply: SiteReply | null, why: string): number {
    if (reply === null && why === "") throw silence(this.client, this.site);
    if (reply === null) {
      printError(why, "Try again.");
      return EXIT.failed;
    }
    return tellRejected(this.printer.json, reply);
  }
}
