import type { CaptureSource } from "../capture-source.ts";
import { SettingsError } from "../errors.ts";
import type { GapsOnce, Item } from "../pieces.ts";
import { type CliArgs, flag, text, UsageError } from "./command.ts";
import { connectTo, contextOf, parsePlace, sayVerification, silence, viewerOf } from "./connect.ts";

/** Where a console is read from: its site, the site's card, or a collector's folder. */
export interface LogPlace {
  /** For people: `harbour-07/router1`. */
  readonly name: string;
  readonly source: CaptureSource;
  /** Goes on with what is said from now on; null where looking again and again is the way. */
  readonly live:
    | ((start: { boot: number; offset: number } | null, show: (item: Item) => void, gaps: GapsOnce) => Promise<void>)
    | null;
  /** Told once something was answered: who it comes from. */
  verified(): void;
  /** Why nobody answered. */
  silence(): Error;
  stop(): Promise<void>;
}

const QUIET = {
  live: null,
  verified: () => undefined,
  silence: () => new Error("a folder does not answer"),
  stop: async () => undefined,
};

export async function openLogPlace(
  args: CliArgs,
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<LogPlace> {
  const way = flag(args, "tx") ? "tx" : "rx";
  const [word] = args.words;
  if (args.words.length > 1) throw new UsageError(`one console at a time: what is "${args.words[1]}"?`);
  const data = text(args, "data");
  if (data !== undefined) return ofCard(data, word, way);
  const dir = text(args, "dir");
  if (dir !== undefined) return ofFolder(dir, word, text(args, "fleet") ?? null, way);
  return ofSite(args, way, signal, note);
}

async function ofCard(data: string, word: string | undefined, way: "rx" | "tx"): Promise<LogPlace> {
  if (word === undefined) throw new UsageError("which console? towpath log --data DATA CONSOLE");
  const { cardSource, openCard } = await import("./card.ts");
  // A card is of one site: `SITE/CONSOLE` means the same.
  const console = word.slice(word.lastIndexOf("/") + 1);
  return { ...QUIET, name: console, source: cardSource(openCard(data), console, way) };
}

async function ofFolder(
  dir: string,
  word: string | undefined,
  fleet: string | null,
  way: "rx" | "tx",
): Promise<LogPlace> {
  const at = word?.lastIndexOf("/") ?? -1;
  if (word === undefined || at <= 0 || at === word.length - 1)
    throw new UsageError("which console? towpath log --dir DIR SITE/CONSOLE");
  const { findCollected, folderSource } = await import("../folder-source.ts");
  const site = findCollected(dir, word.slice(0, at), fleet);
  const console = word.slice(at + 1);
  return { ...QUIET, name: `${site.site}/${console}`, source: folderSource(dir, site, console, way) };
}

async function ofSite(
  args: CliArgs,
  track: "rx" | "tx",
  signal: AbortSignal,
  note: (line: string) => void,
): Promise<LogPlace> {
  const place = parsePlace(args.words[0], "SITE/CONSOLE");
  if (place.rest.includes("/")) throw new SettingsError(`name it as SITE/CONSOLE; a fleet is named by --fleet`);
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, place.site);
  const { siteSource } = await import("../site-source.ts");
  const site = { client, who, console: place.rest, track, signal, note };
  return {
    name: `${place.site}/${place.rest}`,
    source: siteSource(site),
    async live(start, show, gaps) {
      const { follow } = await import("../following.ts");
      await follow(site, { boot: start?.boot ?? null, next: start?.offset ?? 0 }, show, gaps);
    },
    verified: () => sayVerification(client, place.site),
    silence: () => silence(client, place.site),
    stop: () => client.stop(),
  };
}
