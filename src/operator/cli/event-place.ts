import { asRecord, type Client, sleep } from "../client.ts";
import { type LedgerLine, type LedgerSource, pagesOf, recordsOf, SiteLedger } from "../ledger-source.ts";
import { type CliArgs, text, UsageError } from "./command.ts";
import { connectTo, contextOf, sayVerification, silence, viewerOf } from "./connect.ts";
import { isLost } from "./read-failure.ts";

/** Where events are read from: the site, its card, or a collector's folder. */
export interface EventPlace {
  readonly name: string;
  readonly source: LedgerSource;
  /** What is added from `next` on, until somebody stops it. */
  live(next: () => number, take: (records: readonly LedgerLine[]) => void, signal: AbortSignal): Promise<void>;
  verified(): void;
  silence(): Error;
  stop(): Promise<void>;
}

const LOOK_MS = 500;
/** A record that was missed while the link was away is asked for at the latest then. */
const CHECK_MS = 60_000;

export async function openEventPlace(args: CliArgs): Promise<EventPlace> {
  const [word] = args.words;
  if (args.words.length > 1) throw new UsageError(`one site at a time: what is "${args.words[1]}"?`);
  const data = text(args, "data");
  if (data !== undefined) return ofCard(data);
  const dir = text(args, "dir");
  if (dir !== undefined) return ofFolder(dir, word, text(args, "fleet") ?? null);
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, word?.replace(/\/.*$/, "") ?? null);
  const source = new SiteLedger(client, who);
  return {
    name: client.site,
    source,
    live: (next, take, signal) => followSite(client, source, next, take, signal),
    verified: () => sayVerification(client, client.site),
    silence: () => silence(client, client.site),
    stop: () => client.stop(),
  };
}

const QUIET = {
  verified: () => undefined,
  silence: () => new Error("a folder does not answer"),
  stop: async () => undefined,
};

async function ofCard(data: string): Promise<EventPlace> {
  const { openCard } = await import("./card.ts");
  const { recoverDurable } = await import("../../site/recover.ts");
  const store = openCard(data);
  const { clocks } = recoverDurable(store.recovered);
  const lines = store.readLedger(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  function* records(): Generator<LedgerLine> {
    for (const json of lines) yield asRecord(JSON.parse(json)) ?? {};
  }
  return {
    ...QUIET,
    name: data,
    source: { clocks: () => clocks, read: (start) => pagesOf(records(), clocks, start) },
    live: async () => {
      throw new UsageError("--data and --follow do not go together: leave one out");
    },
  };
}

async function ofFolder(dir: string, word: string | undefined, fleet: string | null): Promise<EventPlace> {
  if (word === undefined) throw new UsageError("which site? towpath events --dir DIR SITE");
  const { collectedClocks, findCollected } = await import("../folder-source.ts");
  const { CollectedLedger } = await import("../../collect/reader.ts");
  const site = findCollected(dir, word, fleet);
  const known = collectedClocks(dir, site);
  const clocks = () => known;
  const ledger = new CollectedLedger(dir, site);
  return {
    ...QUIET,
    name: site.site,
    source: { clocks, read: (start) => pagesOf(ledger.records(), clocks(), start) },
    async live(_next, take, signal) {
      for (; !signal.aborted; await sleep(LOOK_MS)) take([...ledger.records()]);
    },
  };
}

async function followSite(
  client: Client,
  source: SiteLedger,
  next: () => number,
  take: (records: readonly LedgerLine[]) => void,
  signal: AbortSignal,
): Promise<void> {
  let behind = true;
  const stopLost = client.onLost(() => {
    behind = true;
  });
  const stop = client.onMessage((message) => {
    for (const record of recordsOf(message)) {
      // Only in order: what is missing before it is read first.
      if (Number(record.seq) > next()) behind = true;
      else take([record]);
    }
  });
  try {
    for (let checkAt = 0; !signal.aborted; await sleep(100)) {
      if (!behind && Date.now() < checkAt) continue;
      checkAt = Date.now() + CHECK_MS;
      behind = !(await catchUp(source, Math.max(next(), source.head + 1), take));
      if (behind) await sleep(1_000);
    }
  } finally {
    stop();
    stopLost();
  }
}

/** False when nobody answered: the link may come back. */
async function catchUp(
  source: SiteLedger,
  from: number,
  take: (records: readonly LedgerLine[]) => void,
): Promise<boolean> {
  try {
    for await (const records of source.from({ from })) take(records);
    return true;
  } catch (error) {
    if (isLost(error)) return false;
    throw error;
  }
}
