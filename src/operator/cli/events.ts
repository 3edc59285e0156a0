import { readClocks } from "../answers.ts";
import { BootClocks } from "../boot-clocks.ts";
import type { LineSearch } from "../grep.ts";
import type { LedgerLine } from "../ledger-source.ts";
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
import { eventLine } from "./event-line.ts";
import { type EventPlace, openEventPlace } from "./event-place.ts";
import {
  GREP_OPTIONS,
  refuseTogether,
  searchOf,
  TIME_HELP,
  TIME_OPTIONS,
  type TimeRange,
  timesOf,
} from "./log-options.ts";
import { jsonText } from "./out.ts";
import { failureOfRead } from "./read-failure.ts";
import { Screen } from "./screen.ts";

export const command: CliCommand = {
  usage: [
    "events SITE [--since T] [--until T] [--last N | --all] [--follow] [--grep PATTERN]",
    "events --data DATA …                 from the card of a dead site",
    "events --dir DIR [FLEET/]SITE …      from the folder of a collector",
  ],
  about: "The site's ledger: what was decided, what moved, what came and went.",
  examples: [
    "towpath events demo",
    "towpath events demo --since 1d --grep 'console .*down'",
    "towpath events demo --all --json",
    "towpath events demo --follow",
    "towpath events --data /mnt/card/towpath --last 20",
    "towpath events --dir /srv/consoles harbour-07 --since 03:00",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    ...TIME_OPTIONS,
    last: { type: "string" },
    all: { type: "boolean" },
    follow: { type: "boolean", short: "f" },
    ...GREP_OPTIONS,
    data: { type: "string" },
    dir: { type: "string" },
  },
  optionHelp: {
    ...TIME_HELP,
    last: "so many of the newest records (default 50, where neither --since nor --until nor --all is given)",
    all: "everything that is still held",
    follow: "and what happens from now on, until Ctrl-C; survives lost links",
    grep: "only records whose line, as it is printed, matches a regular expression",
    "ignore-case": "-i, for --grep: upper and lower case are the same",
    data: "read the journal of a site's data folder on this machine",
    dir: "read the folder in which `towpath collect` stores",
    ...CONNECTION_HELP,
    json: "one JSON document; with --follow one record a line",
  },
  run,
};

const CONTRADICTIONS = [
  ["data", "dir"],
  ["data", "follow"],
  ["until", "follow"],
  ["all", "since"],
  ["all", "last"],
  ["since", "last"],
  ["until", "last"],
] as const;

const LAST = 50;

async function run(args: CliArgs): Promise<number> {
  refuseTogether(args, CONTRADICTIONS);
  const last = Number(text(args, "last") ?? LAST);
  if (!Number.isInteger(last) || last < 1) throw new UsageError("--last wants a whole number, as --last 200");
  const times = timesOf(args, Date.now());
  const search = searchOf(args);
  const ranged = flag(args, "all") || times.since !== null || times.until !== null;
  const start = ranged ? { sinceMs: times.since?.wallMs ?? 0 } : { last };
  const place = await openEventPlace(args);
  const screen = new Screen();
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const events = new Events(place, screen, { times, search, json: args.json, follow: flag(args, "follow") });
  try {
    await events.past(start, stop.signal);
    if (flag(args, "follow")) await events.live(stop);
    return events.end(stop.signal.aborted && !flag(args, "follow"));
  } catch (error) {
    events.breakOff();
    return failureOfRead(error, { json: args.json && !events.begun, place, note: screen.note, reached: null });
  } finally {
    await place.stop();
  }
}

interface Shown {
  readonly times: TimeRange;
  readonly search: LineSearch | null;
  readonly json: boolean;
  readonly follow: boolean;
}

class Events {
  /** JSON of a range is one document, written as it comes. */
  begun = false;
  private next = 0;
  private count = 0;
  private read = 0;
  private readonly clocks = new BootClocks();
  private readonly doubted = new Set<number>();
  private readonly place: EventPlace;
  private readonly screen: Screen;
  private readonly how: Shown;

  constructor(place: EventPlace, screen: Screen, how: Shown) {
    this.place = place;
    this.screen = screen;
    this.how = how;
  }

  async past(start: { last: number } | { sinceMs: number }, signal: AbortSignal): Promise<void> {
    let first = true;
    for await (const page of this.place.source.read(start)) {
      if (first) this.place.verified();
      first = false;
      this.clocks.learn(this.place.source.clocks());
      this.take(page);
      await this.screen.ready();
      if (signal.aborted || this.isPast(page.at(-1))) return;
    }
  }

  private wall(record: LedgerLine): number | null {
    return this.clocks.wallMs(Number(record.boot), Number(record.mono));
  }

  private inTime(record: LedgerLine): boolean {
    const wall = this.wall(record);
    const { since, until } = this.how.times;
    if (wall === null) return true;
    return (since === null || wall >= since.wallMs) && (until === null || wall < until.wallMs);
  }

  private isPast(record: LedgerLine | undefined): boolean {
    const wall = record === undefined ? null : this.wall(record);
    const { until } = this.how.times;
    return until !== null && wall !== null && wall >= until.wallMs;
  }

  private take(records: readonly LedgerLine[]): void {
    const fresh = records.filter((record) => Number(record.seq) >= this.next);
    if (fresh.length === 0) return;
    this.next = fresh.reduce((next, record) => Math.max(next, Number(record.seq) + 1), this.next);
    const wanted = fresh.filter((record) => this.inTime(record));
    this.read += wanted.length;
    const lines = wanted.map((record) => eventLine(record, this.clocks));
    const found = this.how.search?.matching(lines) ?? null;
    for (const [index, record] of wanted.entries())
      if (found === null || found[index] === true) this.show(record, lines[index] ?? "");
  }

  private show(record: LedgerLine, line: string): void {
    if (this.how.json) {
      this.screen.write(this.how.follow ? `${jsonText(record)}\n` : `${this.opening()}${jsonText(record)}`);
    } else {
      this.doubt(Number(record.boot));
      this.screen.write(`${line}\n`);
    }
    this.count++;
  }

  private opening(): string {
    this.begun = true;
    return this.count === 0 ? '{"events":[\n' : ",\n";
  }

  private doubt(boot: number): void {
    const doubt = this.doubted.has(boot) ? null : this.clocks.doubt(boot);
    this.doubted.add(boot);
    if (doubt !== null) this.screen.note(`-- ${doubt} --`);
  }

  async live(stop: AbortController): Promise<void> {
    let failed: unknown = null;
    const take = (records: readonly LedgerLine[]): void => {
      try {
        this.learnFrom(records);
        this.take(records);
      } catch (error) {
        failed = error;
        stop.abort();
      }
    };
    await this.place.live(() => this.next, take, stop.signal);
    if (failed !== null) throw failed;
  }

  /** A clock that is set while somebody watches is a record itself. */
  private learnFrom(records: readonly LedgerLine[]): void {
    for (const record of records) if (record.kind === "clock") this.clocks.learn(readClocks([record]));
  }

  end(interrupted: boolean): number {
    const code = interrupted ? EXIT.failed : EXIT.done;
    if (this.how.json && !this.how.follow)
      this.screen.write(`${this.begun ? "\n]" : '{"events":[]'},"ok":${code === EXIT.done}}\n`);
    else if (!this.how.json && this.count === 0 && !this.how.follow)
      this.screen.note(
        this.read === 0 ? "-- nothing happened in that time --" : `-- none of ${this.read} records matches --`,
      );
    return code;
  }

  /** A document that was begun is ended, so that what came can be read. */
  breakOff(): void {
    if (this.begun) this.screen.write('\n],"ok":false}\n');
  }
}
