import { BootClocks, bootText } from "../boot-clocks.ts";
import type { CaptureSource, Extent } from "../capture-source.ts";
import { PastRead } from "../past.ts";
import type { Item } from "../pieces.ts";
import { followByLooking } from "../polling.ts";
import { planSpans } from "../spans.ts";
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
import { GREP_OPTIONS, refuseTogether, searchOf, TIME_HELP, TIME_OPTIONS, timesOf } from "./log-options.ts";
import { type LogPlace, openLogPlace } from "./log-place.ts";
import { type LogMode, LogPrinter, type LogSink } from "./log-printer.ts";
import { Progress } from "./progress.ts";
import { failureOfRead } from "./read-failure.ts";
import { Screen } from "./screen.ts";

export const command: CliCommand = {
  usage: [
    "log SITE/CONSOLE [--since T] [--until T] [--all] [--follow] [--timestamps] [--raw] [--grep PATTERN] [--cast FILE]",
    "log --data DATA CONSOLE …                 from the card of a dead site",
    "log --dir DIR [FLEET/]SITE/CONSOLE …      from the folder of a collector",
  ],
  about:
    "What a console said: the last 16 KiB (before --until), or since a time, or all that is still held. Gaps and restarts of the\n" +
    "site's machine are told on standard error, where they belong; captured text is never mixed with them.",
  examples: [
    "towpath log demo/router1 --follow",
    "towpath log demo/router1 --since 1h --timestamps",
    'towpath log demo/router1 --since "2026-11-23 02:30" --until 03:15 --grep "panic|oops" -i',
    "towpath log demo/router1 --all --raw > router1.log",
    "towpath log demo/router1 --since 10m --cast crash.cast && asciinema play -i 2 crash.cast",
    "towpath log --data /mnt/card/towpath router1 --all",
    "towpath log --dir /srv/consoles harbour-07/router1 --since 1d",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    ...TIME_OPTIONS,
    all: { type: "boolean" },
    from: { type: "string" },
    follow: { type: "boolean", short: "f" },
    timestamps: { type: "boolean" },
    raw: { type: "boolean" },
    ...GREP_OPTIONS,
    tx: { type: "boolean" },
    cast: { type: "string" },
    data: { type: "string" },
    dir: { type: "string" },
  },
  optionHelp: {
    ...TIME_HELP,
    all: "everything that is still held",
    from: "BOOT/OFFSET: go on exactly where another read said that it stopped",
    follow: "and what comes from now on, until Ctrl-C; survives lost links",
    timestamps: "RFC 3339 UTC with milliseconds before each line (boot+seconds where no time of day is known)",
    raw: "the exact bytes, escapes and all",
    grep: "only lines that match a regular expression; colours in a line hide nothing; a line is at most 64 KiB and may take 1 s",
    "ignore-case": "-i, for --grep: upper and lower case are the same",
    tx: "what was typed into the console instead (only with `capture: rx+tx`)",
    cast: "write an asciicast that asciinema plays, with the real pauses; plays the console's escapes as they were",
    data: "read the journal of a site's data folder on this machine",
    dir: "read the folder in which `towpath collect` stores",
    ...CONNECTION_HELP,
    json: "one JSON object a line: t, boot, offset, text",
  },
  run,
};

const CONTRADICTIONS = [
  ["data", "dir"],
  ["data", "follow"],
  ["until", "follow"],
  ["all", "since"],
  ["all", "from"],
  ["since", "from"],
  ["raw", "json"],
  ["raw", "timestamps"],
  ["raw", "grep"],
  ["cast", "raw"],
  ["cast", "json"],
  ["cast", "timestamps"],
  ["cast", "grep"],
] as const;

function modeOf(args: CliArgs): LogMode {
  if (args.json) return "json";
  if (flag(args, "raw")) return "raw";
  return flag(args, "timestamps") ? "timestamps" : "text";
}

function fromOf(args: CliArgs): { boot: number; offset: number } | null {
  const written = text(args, "from");
  if (written === undefined) return null;
  const found = /^(\d{1,10})\/(\d{1,15})$/.exec(written);
  if (found === null) throw new UsageError(`--from ${written}: write BOOT/OFFSET, as 4021/65536`);
  return { boot: Number(found[1]), offset: Number(found[2]) };
}

async function run(args: CliArgs): Promise<number> {
  refuseTogether(args, CONTRADICTIONS);
  const nowMs = Date.now();
  const want = { all: flag(args, "all"), from: fromOf(args), ...timesOf(args, nowMs), nowMs };
  const search = searchOf(args);
  const screen = new Screen();
  const cast = text(args, "cast");
  const file = cast === undefined ? null : (await import("./cast-file.ts")).openCast(cast, screen.note);
  const printer = file === null ? new LogPrinter(modeOf(args), screen.write, { search, note: screen.note }) : null;
  const stop = new AbortController();
  const place = await openLogPlace(args, stop.signal, screen.note);
  process.once("SIGINT", () => stop.abort());
  const sink = file?.sink(place.name) ?? printer;
  if (sink === null) return EXIT.failed;
  const reading = new Reading(place, sink, screen, stop, flag(args, "tx") ? "tx" : "rx");
  try {
    await reading.past(want);
    if (flag(args, "follow")) await reading.live();
    else if (search !== null && printer !== null) tellCount(screen, printer);
    return EXIT.done;
  } catch (error) {
    return failureOfRead(error, { json: args.json, place, note: screen.note, reached: reading.toGoOn() });
  } finally {
    sink.end();
    file?.close();
    await place.stop();
  }
}

/** Nothing found and nothing read look the same; a person must know which it was. */
function tellCount(screen: Screen, printer: LogPrinter): void {
  printer.end();
  if (printer.matched === 0) screen.note(`-- none of ${printer.searched} lines matches --`);
}

class Reading {
  private readonly place: LogPlace;
  private readonly sink: LogSink;
  private readonly screen: Screen;
  private readonly stop: AbortController;
  private read: PastRead | null = null;
  private whole = false;
  private extent: Extent | null = null;

  private readonly nothing: string;

  constructor(place: LogPlace, sink: LogSink, screen: Screen, stop: AbortController, way: "rx" | "tx") {
    this.place = place;
    this.sink = sink;
    this.screen = screen;
    this.stop = stop;
    this.nothing =
      way === "rx"
        ? "has said nothing yet"
        : "has been told nothing that was recorded; what is typed is kept only with `capture: rx+tx` in site.yaml";
  }

  private get source(): CaptureSource {
    return this.place.source;
  }

  /** Where a read that was ended early can be gone on with; null when it was whole, or never began. */
  toGoOn(): { boot: number; offset: number } | null {
    return this.whole ? null : (this.read?.reached ?? null);
  }

  async past(want: Parameters<typeof planSpans>[2]): Promise<void> {
    this.extent = await this.source.extent();
    this.place.verified();
    const { from } = want;
    if (from !== null && !this.extent.boots.some(({ boot }) => boot === from.boot)) {
      const held = this.extent.boots.map(({ boot }) => boot).join(", ") || "none";
      throw new UsageError(`--from ${from.boot}/${from.offset}: of that boot nothing is held; boots that are: ${held}`);
    }
    this.sink.learnClocks(this.extent.clocks);
    const plan = await planSpans(this.source, this.extent, want);
    for (const doubt of plan.doubts) this.screen.note(`-- ${doubt} --`);
    if (want.all) this.tellForgotten(this.extent);
    if (plan.spans.length === 0) await this.tellNothing(this.extent, want.since !== null || want.until !== null);
    const show = (item: Item): void => this.sink.item(item);
    let progress: Progress | null = null;
    this.read = new PastRead(this.source, plan, {
      show,
      ready: () => this.screen.ready(),
      progress: (bytes) => progress?.at(bytes),
      signal: this.stop.signal,
    });
    progress = new Progress(this.screen, this.place.name, this.read.totalBytes);
    await this.read.run().finally(() => progress?.end());
    this.whole = true;
  }

  private async tellNothing({ boots, clocks }: Extent, timed: boolean): Promise<void> {
    const last = boots.findLast(({ first, next }) => first < next);
    if (last === undefined) return this.screen.note(`-- ${this.place.name} ${this.nothing} --`);
    if (!timed) return;
    const times = new BootClocks();
    times.learn(clocks);
    let newest = "";
    for await (const { chunks } of this.source.read({ boot: last.boot, from: last.next - 1, to: last.next }))
      for (const chunk of chunks) newest = `; the newest text is of ${times.text(chunk.boot, chunk.monoMs)}`;
    this.screen.note(`-- nothing was said in that time${newest} --`);
  }

  /** "All" is what is held; what was overwritten before is said. */
  private tellForgotten({ boots }: Extent): void {
    for (const { boot, first } of boots)
      if (first > 0)
        this.screen.note(
          `-- ${first} older bytes of boot ${bootText(boot)} are no longer held (overwritten by newer text) --`,
        );
  }

  async live(): Promise<void> {
    const last = this.extent?.boots.at(-1) ?? null;
    const reached = this.read?.reached ?? null;
    // What was read ends where the plan ended, also where nothing was to be read.
    const start = last === null ? null : { boot: last.boot, offset: last.next };
    const begin = reached !== null && reached.boot === last?.boot ? reached : start;
    const gaps = this.read?.gaps;
    if (gaps === undefined) return;
    let failed: unknown = null;
    // It is called by whoever hears the link: what goes wrong here must not end them.
    const show = (item: Item): void => {
      try {
        if (failed === null) this.sink.item(item);
      } catch (error) {
        failed = error;
        this.stop.abort();
      }
    };
    await (this.place.live !== null
      ? this.place.live(begin, show, gaps)
      : followByLooking(this.source, begin, show, gaps, this.stop.signal));
    if (failed !== null) throw failed;
  }
}
