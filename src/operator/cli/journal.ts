import { applyRecord, EMPTY_DURABLE, type LedgerRecord } from "../../core/ledger.ts";
import { recoverDurable } from "../../site/recover.ts";
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
  return EXIT.done;
}

/** The ledger must be one sequence without a hole; capture offsets must not go back within a boot. */
function verify(args: CliArgs, data: string): number {
  const store = openCard(data);
  const problems: string[] = [];
  let durable = EMPTY_DURABLE;
  let before: number | null = null;
  let records = 0;
  for (const json of store.readLedger(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)) {
    const record = JSON.parse(json) as LedgerRecord;
    if (before !== null && record.seq !== before + 1) problems.push(`ledger: ${record.seq} follows ${before}`);
    before = record.seq;
    records++;
    durable = applyRecord(durable, record);
  }
  for (const [track, { boots }] of Object.entries(store.stat())) {
    for (const { boot, next } of boots) problems.push(...captureProblems(store, track, boot, next));
  }
  const ok = problems.length === 0;
  const report = { ok, records, ledger: durable.seq, consoles: consolesOf(store), problems };
  if (args.json) print(jsonText(report));
  else {
    for (const problem of problems) print(`${paint("red", "wrong")}: ${problem}`);
    print(
      ok
        ? `${paint("green", "ok")}: ${records} ledger records, consoles ${report.consoles.join(", ") || "none"}`
        : `${problems.length} problems`,
    );
  }
  return ok ? EXIT.done : EXIT.failed;
}

/** Between two pieces that do not follow each other there must be a gap record of that length. */
function captureProblems(store: ReturnType<typeof openCard>, track: string, boot: number, next: number): string[] {
  const problems: string[] = [];
  const step = 256 * 1024;
  let from = 0;
  let expected: number | null = null;
  while (from < next) {
    const range = store.readCapture(track, boot, from, next, step);
    if (range === null || range.end <= from) break;
    for (const piece of range.pieces) {
      const { gaps } = range;
      const start: number | null = expected;
      if (start !== null && piece.offset !== start) {
        const declared = gaps.some(
          (gap) => gap.offset >= start && gap.offset + (gap.length ?? 0) <= piece.offset && gap.length !== null,
        );
        if (!declared) problems.push(`${track}: ${piece.offset} follows ${start} without a gap record (boot ${boot})`);
      }
      expected = piece.offset + piece.data.length;
    }
    from = range.end;
  }
  return problems;
}
