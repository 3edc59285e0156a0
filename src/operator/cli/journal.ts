import { damaged, inspect, type JournalReport } from "../../journal/inspect.ts";
import type { JournalStore } from "../../journal/store.ts";
import { recoverDurable, stoppedAt } from "../../site/recover.ts";
import { consolesOf, openCard } from "./card.ts";
import { type CliArgs, type CliCommand, EXIT, UsageError } from "./command.ts";
import { jsonText, paint, print } from "./out.ts";

export const command: CliCommand = {
  usage: ["journal stat DATA", "journal verify DATA"],
  about: "Reads the journal in a site's data folder, of a running controller or from a card that was pulled out.",
  examples: ["towpath journal stat /var/lib/towpath", "towpath journal verify /mnt/card/towpath --json"],
  options: {},
  optionHelp: {},
  run,
};

async function run(args: CliArgs): Promise<number> {
  const [what, data] = args.words;
  if (data === undefined || (what !== "stat" && what !== "verify"))
    throw new UsageError("towpath journal stat|verify DATA");
  return what === "stat" ? stat(args, data) : verify(args, data);
}

function stat(args: CliArgs, data: string): number {
  const store = openCard(data);
  const stats = store.stat();
  const consoles = Object.fromEntries(
    consolesOf(store).map((name) => {
      const { bytes = 0, gaps = 0, boots = [] } = stats[`${name}/rx`] ?? {};
      return [name, { bytes, gaps, boots }];
    }),
  );
  const durable = recoverDurable(store.recovered);
  const owed = durable.unsettled
    .filter((one) => one.verb !== "off")
    .map((one) => ({ id: one.id, outlets: one.outlets }));
  const report = {
    consoles,
    ledger: { seq: durable.seq, boot: durable.boot, start: durable.start, owed },
    rings: store.ringStat(),
    clean: store.ledger.endedCleanly(),
  };
  if (args.json) {
    print(jsonText(report));
    return EXIT.done;
  }
  for (const [name, { bytes, gaps, boots }] of Object.entries(consoles))
    print(`${name}: ${bytes} bytes, ${gaps} gaps, ${boots.length} boots`);
  print(
    `ledger: ${durable.seq} records, start ${durable.start} of boot ${durable.boot}, owed: ${owed.map((one) => one.outlets.join(" ")).join(", ") || "nothing"}`,
  );
  for (const [ring, { segments, usedBytes }] of Object.entries(report.rings))
    print(`${ring}: ${segments} segments, ${usedBytes} bytes used`);
  print(endText(report.clean));
  return EXIT.done;
}

/** Everything is read: each segment as far as it checks out, the ledger as one sequence, each console by offset. */
function verify(args: CliArgs, data: string): number {
  const store = openCard(data);
  const report = inspect(store);
  const problems = [...problemsOf(report), ...missingAtEnd(store)];
  const ok = problems.length === 0;
  if (args.json) print(jsonText({ ok, ...report, consoles: consolesOf(store), problems }));
  else {
    for (const line of reportLines(report)) print(line);
    for (const problem of problems) print(`${paint("red", "wrong")}: ${problem}`);
    print(ok ? `${paint("green", "ok")}: all of it checks out` : `${problems.length} problems`);
  }
  return ok ? EXIT.done : EXIT.failed;
}

function problemsOf(report: JournalReport): string[] {
  const { tracks, ledger, unreadable } = report;
  return [
    ...unreadable.map((one) => `cannot be read: ${one}`),
    ...damaged(report).map(
      ({ segment }) =>
        `${segment.name}: ${segment.missingBytes} bytes after the first ${segment.validBytes} do not check out`,
    ),
    ...ledger.holes.map(({ after, before }) => `ledger: ${before} follows ${after}`),
    ...tracks.flatMap(({ track, boot, gaps }) => {
      const { corrupt } = gaps;
      return corrupt === undefined ? [] : [`${track}: ${corrupt.bytes} bytes are missing in boot ${boot}`];
    }),
  ];
}

/** After a clean end each console must stand where the last life left it: no segment after a lost one would tell. */
export function missingAtEnd({ recovered }: JournalStore): string[] {
  const { boot } = recoverDurable(recovered);
  return Object.entries(stoppedAt(recovered.records) ?? {}).flatMap(([track, stopped]) => {
    const head = recovered.tracks[track];
    const next = head?.boot === boot ? head.next : 0;
    if (next >= stopped) return [];
    return [`${track}: bytes ${next} to ${stopped} of boot ${boot} are missing, recorded when the last life ended`];
  });
}

function reportLines({ rings, ledger, tracks, clean }: JournalReport): string[] {
  const ring = (name: "ledger" | "capture"): string => {
    const segments = rings[name];
    const used = segments.reduce((sum, { validBytes }) => sum + validBytes, 0);
    const size = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return `${name}: ${segments.length} segments, ${used} of ${size} bytes used`;
  };
  const twice = ledger.twice > 0 ? `, ${ledger.twice} of them stand twice` : "";
  return [
    ring("ledger"),
    ring("capture"),
    `ledger records: ${ledger.records}, ${ledger.first ?? "none"} to ${ledger.last ?? "none"}${twice}`,
    ...tracks.map(({ track, boot, first, next, bytes, gaps }) => {
      const told = Object.entries(gaps).map(([cause, { count, bytes }]) => `${count} ${cause} (${bytes} bytes)`);
      return `${track} boot ${boot}: ${bytes} bytes, ${first} to ${next}, gaps: ${told.join(", ") || "none"}`;
    }),
    endText(clean),
  ];
}

function endText(clean: boolean | null): string {
  if (clean === null) return "nothing was ever recorded here";
  return clean
    ? "the last life ended in order"
    : "the last life did not end in order, or goes on: killed, power cut, or running now";
}
