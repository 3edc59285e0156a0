import { formatDuration } from "../core/duration.ts";
import { QUIET_ONLINE_MS } from "./presence.ts";
import type { ConsoleStatus, SiteStatus, StatusFile } from "./status.ts";

/** What a person should know of a collect folder, told from its status file and the present time. */

export interface Circumstances {
  /** Somebody holds the lock of the folder. */
  readonly running: boolean;
  readonly nowMs: number;
  readonly silentAfterMs: number;
  /** Of the disk that holds the folder. */
  readonly freeBytes: number;
}

export interface Problem {
  /** `fleet/site`, with the console's name behind it; null: the service itself. */
  readonly where: string | null;
  readonly what: string;
  readonly why: string;
  readonly todo: string;
}

/** A status that is older than this was not written by a service that is well. */
const STALE_MS = 90_000;
const LOW_BYTES = 64 * 1024 * 1024;
/** Declared losses are a problem of the day; after it they are only counted. */
const RECENT_MS = 24 * 3_600_000;

export function problemsOf(file: StatusFile, now: Circumstances): Problem[] {
  const sites = Object.entries(file.sites).flatMap(([name, site]) => siteProblems(name, site, file, now));
  const unreadable = Object.entries(file.unreadable).map(([where, why]): Problem => {
    const todo = "check the disk, repair or move that folder away, then restart the collector";
    return { where, what: "its files here cannot be read, nothing of it is stored", why, todo };
  });
  return [...serviceProblems(file, now), ...unreadable, ...sites];
}

function serviceProblems(file: StatusFile, { running, nowMs, freeBytes }: Circumstances): Problem[] {
  const problems: Problem[] = [];
  const add = (what: string, why: string, todo: string): void => void problems.push({ where: null, what, why, todo });
  const age = formatDuration(Math.max(0, nowMs - file.at));
  if (!running) add(`the service does not run since ${age}`, "nothing is collected", "systemctl start towpath-collect");
  else if (nowMs - file.at > STALE_MS)
    add(`the service has written no status for ${age}`, "it hangs, or the disk takes nothing", "look at its log");
  if (running && file.connection.state !== "connected")
    add(
      `no broker for ${since(file.connection.since, nowMs)}`,
      file.connection.detail,
      "check the broker and the path to it",
    );
  if (file.disk.state !== "ok")
    add(
      `the disk takes nothing for ${since(file.disk.since, nowMs)}`,
      file.disk.detail,
      "make room; it goes on by itself",
    );
  else if (freeBytes < LOW_BYTES)
    add(`${Math.floor(freeBytes / 1024 / 1024)} MiB are left on the disk`, "soon nothing is acknowledged", "make room");
  if (file.signing !== null)
    add("acknowledgements cannot be signed", file.signing, "give a key that needs neither passphrase nor touch");
  return problems;
}

function siteProblems(name: string, site: SiteStatus, file: StatusFile, now: Circumstances): Problem[] {
  const problems: Problem[] = [];
  const silence = silenceOf(name, site, file, now);
  if (silence !== null) problems.push({ where: name, ...silence });
  if (site.storage?.state === "degraded")
    problems.push({
      where: name,
      what: "the site's card takes no records",
      why: site.storage.detail,
      todo: "replace the card; what it records meanwhile is in its memory only",
    });
  if (site.events.missing > 0 && silence === null && site.problem !== null)
    problems.push({
      where: name,
      what: `${site.events.missing} events are missing`,
      why: site.problem,
      todo: remedyOf(site.problem),
    });
  problems.push(...doubtsOf(name, site, now.nowMs));
  if (isRecent(site.events.lostAt, now.nowMs))
    problems.push({
      where: name,
      what: `${site.events.lost} events are lost`,
      why: "the site's ledger no longer had them when they were asked for",
      todo: "give its journal more room, or keep the collector connected",
    });
  if (site.renumbered !== null && isRecent(site.renumbered.at, now.nowMs))
    problems.push({
      where: name,
      what: `its ledger went back from #${site.renumbered.had - 1} to #${site.renumbered.next - 1}`,
      why: "its journal was emptied or its card replaced; the new numbers are stored behind the old ones",
      todo: "nothing, if somebody did that; else look at the site's card",
    });
  for (const [console, one] of Object.entries(site.consoles))
    problems.push(...consoleProblems(`${name}/${console}`, one, site, silence !== null, now));
  return problems;
}

function isRecent(at: number | null, nowMs: number): boolean {
  return at !== null && nowMs - at < RECENT_MS;
}

/** Whether what comes in the name of a site is its own. */
function doubtsOf(where: string, site: SiteStatus, nowMs: number): Problem[] {
  const key = `towpath trust site ${where.split("/")[1]}, sign and push the list; a running collector reads it by itself`;
  if (site.verified === null)
    return [{ where, what: "unverified", why: "no key is known for it: anybody could speak in its name", todo: key }];
  if (!isRecent(site.forgedAt, nowMs)) return [];
  const what = `${site.forged} statements in its name are not signed by its key`;
  return [{ where, what, why: "a new card or key, or a stranger at the broker", todo: `if the key is new: ${key}` }];
}

/** Silence counts by the collector's clock, and only while the collector itself could hear. */
function silenceOf(
  name: string,
  site: SiteStatus,
  file: StatusFile,
  { nowMs, silentAfterMs }: Circumstances,
): Omit<Problem, "where"> | null {
  const todo = `towpath status ${name.split("/")[1]}; then its uplinks`;
  if (site.online === null && site.heard === null) {
    const long = nowMs - file.startedAt > silentAfterMs;
    return long ? { what: "never heard", why: "the broker knows nothing of it", todo: "check its name" } : null;
  }
  const offFor = site.online === false && site.since !== null ? nowMs - site.since : 0;
  if (offFor > silentAfterMs) {
    const heard = site.heard === null ? "never heard" : `last heard ${since(site.heard, nowMs)} ago`;
    return { what: `offline for ${formatDuration(offFor)}`, why: heard, todo };
  }
  const quiet = site.heard === null ? 0 : nowMs - Math.max(site.heard, file.startedAt);
  return site.online === true && quiet > Math.max(silentAfterMs, QUIET_ONLINE_MS)
    ? { what: `silent for ${formatDuration(quiet)}`, why: "the broker says that it is online", todo }
    : null;
}

function consoleProblems(
  where: string,
  { holes, recent, damaged, problem }: ConsoleStatus,
  site: SiteStatus,
  silent: boolean,
  { nowMs, silentAfterMs }: Circumstances,
): Problem[] {
  const late = holes.filter((hole) => nowMs - hole.since > silentAfterMs);
  const problems = late.map(({ boot, from, to, since: at, torn }): Problem => {
    const why =
      silent || site.online === false
        ? "the site is silent"
        : (problem ?? site.problem ?? (torn ? "lost on the way" : "not sent yet"));
    const what = `bytes ${from} to ${to} of boot ${boot} are missing for ${since(at, nowMs)}`;
    return { where, what, why, todo: silent ? "they come when the site does" : remedyOf(why) };
  });
  for (const gap of recent.filter(({ heard }) => nowMs - heard < RECENT_MS))
    problems.push({
      where,
      what: `${gap.length === null ? "an unknown number of" : gap.length} bytes are lost at ${gap.offset} of boot ${gap.boot}`,
      why: `${gap.cause}${(gap.count ?? 1) > 1 ? `, ${gap.count} times` : ""}`,
      todo:
        gap.cause === "quota"
          ? "the site's card was full of newer text; give its journal more room"
          : "nothing brings them back",
    });
  if (damaged > 0)
    problems.push({
      where,
      what: `${damaged} lines of the index are damaged`,
      why: "the disk",
      todo: "check the disk",
    });
  return problems;
}

function remedyOf(why: string): string {
  if (why === "role.denied") return "give the receiver's key the verbs view and collect: towpath trust role, trust add";
  if (why === "console.unknown")
    return "the site's config no longer has it: put it back there, or delete its folder here";
  if (/^signature\.|^operator\./.test(why)) return "the site does not know this key: towpath trust add, sign, push";
  return "they are asked for again by themselves";
}

function since(at: number, nowMs: number): string {
  return formatDuration(Math.max(0, nowMs - at));
}
