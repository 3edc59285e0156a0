import { existsSync, readFileSync, statfsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Collector, filtersFor } from "../../collect/collector.ts";
import { openFolder } from "../../collect/folder.ts";
import { createHooks } from "../../collect/hooks.ts";
import { LOCK_FILE, STATUS_FILE } from "../../collect/layout.ts";
import { type Problem, problemsOf } from "../../collect/report.ts";
import { type ConsoleStatus, readStatusFile, type SiteStatus, type StatusFile } from "../../collect/status.ts";
import { formatDuration, parseDuration } from "../../core/duration.ts";
import { makeFolder } from "../../disk/make-folder.ts";
import { NAME } from "../../protocol/topics.ts";
import { openTransport } from "../client.ts";
import { freshSites } from "../fresh-sites.ts";
import { serviceSigner } from "../signer.ts";
import { ulid } from "../ulid.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  flag,
  list,
  text,
  UsageError,
} from "./command.ts";
import { contextOf, whoOf } from "./connect.ts";
import { jsonText, note, paint, print, printError, safe } from "./out.ts";

/** What of this machine the service needs and the operator's part may not import. */
export interface Machine {
  /** Null when somebody else holds the file. */
  readonly lockFile: (path: string, make: "make" | "existing") => { release(): void } | null;
  readonly notify: (state: string) => boolean;
}

export function collectCommand(machine: Machine): CliCommand {
  return {
    usage: [
      "collect --dir DIR [--site SITE…] [--receiver NAME] [--hook PROGRAM] [--pull T]",
      "collect --dir DIR --status [--silent-after T]",
    ],
    about: `The receiving side: stores what sites ship in plain files, and acknowledges it with its key.
Its key needs the verbs view and collect on what it collects:
  towpath trust role collector --verbs view,collect --targets '*/*'
  towpath trust add vault --key vault.pub --role collector
then sign and push. DIR/FLEET/SITE/CONSOLE.rx/DAY.log are the console's own bytes, DAY.idx says when they came.`,
    examples: [
      "towpath collect --dir /var/lib/towpath-collect --fleet acme --broker mqtts://mqtt.example.net:8883 --identity vault",
      "towpath collect --dir /var/lib/towpath-collect --status",
      "grep -a panic /var/lib/towpath-collect/acme/*/*.rx/*.log",
    ],
    options: {
      ...CONNECTION_OPTIONS,
      dir: { type: "string" },
      site: { type: "string", multiple: true },
      receiver: { type: "string" },
      hook: { type: "string" },
      pull: { type: "string" },
      status: { type: "boolean" },
      "silent-after": { type: "string" },
    },
    optionHelp: {
      dir: "the folder of what is collected",
      site: "only this site, may be given more than once; default: every site of the list of sites, or of the fleet",
      receiver: "this receiver's name (default: the machine's)",
      hook: "run for offline, online, gap, pattern, storage: one JSON event on its standard input",
      pull: "also fetch what sites do not ship by themselves, this often",
      status: "say how it stands; 4 when a site is silent, something is missing or was lost in the last day",
      "silent-after": "with --status: how long a site may be away (default 5m)",
      ...CONNECTION_HELP,
    },
    run: (args) => run(args, machine),
  };
}

async function run(args: CliArgs, machine: Machine): Promise<number> {
  const dir = text(args, "dir");
  if (dir === undefined) throw new UsageError("which folder? --dir DIR");
  const [surplus] = args.words;
  if (surplus !== undefined) throw new UsageError(`what is ${surplus}? name sites with --site`);
  return flag(args, "status") ? status(args, dir, machine) : serve(args, dir, machine);
}

function durationOf(args: CliArgs, name: string): number | null {
  const given = text(args, name);
  if (given === undefined) return null;
  const ms = parseDuration(given);
  if (ms === null || ms <= 0) throw new UsageError(`--${name} wants a time such as 5m, not ${given}`);
  return ms;
}

function receiverOf(args: CliArgs): string {
  const name = text(args, "receiver") ?? hostname().toLowerCase().split(".")[0] ?? "";
  if (!NAME.test(name)) throw new UsageError(`--receiver ${name}: small letters, digits and - only`);
  return name;
}

async function serve(args: CliArgs, dir: string, machine: Machine): Promise<number> {
  const sites = list(args, "site");
  for (const site of sites) if (!NAME.test(site)) throw new UsageError(`--site ${site} is not a site's name`);
  const receiver = receiverOf(args);
  const pullMs = durationOf(args, "pull");
  const context = contextOf(args);
  const { fleet, local } = context.settings;
  if (local !== null) throw new UsageError("a collector listens at a broker: give --broker, not --local");
  if (fleet === null || !NAME.test(fleet)) throw new UsageError("which fleet? give --fleet");
  const who = await whoOf(context, serviceSigner);
  const lock = lockFolder(dir, machine);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  const log = (line: string): void => note(`${new Date().toISOString()} ${safe(line)}`);
  const known = freshSites(context.settings, context.sites, log);
  const wanted = sites.length === 0 ? null : sites;
  const collector = new Collector({
    fleet,
    sites: wanted,
    receiver,
    folder: openFolder(dir),
    transport: await openTransport(context.settings, filtersFor(fleet, wanted)),
    keyOf: known.keyOf,
    onlyKnown: () => context.settings.sites !== null && known.doubt === null,
    sign: who.signer.sign,
    by: who.by,
    newId: ulid,
    hooks: createHooks({ program: text(args, "hook") ?? null, log, now: Date.now }),
    pullMs,
    now: Date.now,
    random: Math.random,
    repeat(work, everyMs) {
      const timer = setInterval(work, everyMs);
      return () => clearInterval(timer);
    },
    log,
    pid: process.pid,
  });
  collector.start();
  machine.notify("READY=1");
  note("ready");
  await ended;
  machine.notify("STOPPING=1");
  await collector.stop();
  lock.release();
  return EXIT.done;
}

function lockFolder(dir: string, machine: Machine): { release(): void } {
  try {
    makeFolder(dir, 0o750);
    const lock = machine.lockFile(join(dir, LOCK_FILE), "make");
    if (lock !== null) return lock;
  } catch (error) {
    throw new UsageError(`${dir}: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new UsageError(`${dir}: another collector writes here; one folder belongs to one service`);
}

function status(args: CliArgs, dir: string, machine: Machine): number {
  const silentAfterMs = durationOf(args, "silent-after") ?? 5 * 60_000;
  const path = join(dir, STATUS_FILE);
  if (!existsSync(path)) throw new UsageError(`${path} is not there: no collector has run in ${dir}`);
  const file = readStatusFile(readFileSync(path));
  if (file === null) throw new UsageError(`${path} is not what a collector writes`);
  const lock = existsSync(join(dir, LOCK_FILE))
    ? machine.lockFile(join(dir, LOCK_FILE), "existing")
    : { release: () => undefined };
  lock?.release();
  const running = lock === null;
  const { bavail, bsize } = statfsSync(dir);
  const freeBytes = bavail * bsize;
  const nowMs = Date.now();
  const problems = problemsOf(file, { running, nowMs, silentAfterMs, freeBytes });
  const ok = problems.length === 0;
  if (args.json) print(jsonText({ ok, running, now: nowMs, freeBytes, problems, ...file }));
  else show(file, problems, { running, nowMs, freeBytes });
  return ok ? EXIT.done : EXIT.failed;
}

function show(
  file: StatusFile,
  problems: readonly Problem[],
  { running, nowMs, freeBytes }: { running: boolean; nowMs: number; freeBytes: number },
): void {
  const state = running ? paint("green", `runs, pid ${file.pid}`) : paint("red", "does not run");
  print(
    `collector ${safe(file.receiver)} ${state}, ${safe(file.connection.state)} ${safe(file.connection.detail)}, ${amount(freeBytes)} free`,
  );
  for (const [name, site] of Object.entries(file.sites)) {
    print(`\n${paint("bold", safe(name))}  ${siteLine(site, nowMs)}`);
    for (const [console, one] of Object.entries(site.consoles)) print(`  ${safe(console)}: ${consoleLine(one, nowMs)}`);
  }
  if (Object.keys(file.sites).length === 0) print("no site was heard yet");
  if (problems.length > 0) note("");
  for (const { where, what, why, todo } of problems)
    printError(`${where === null ? "" : `${safe(where)}: `}${safe(what)}${why === "" ? "" : `: ${safe(why)}`}`, todo);
}

function siteLine(site: SiteStatus, nowMs: number): string {
  const word = site.online === null ? "not heard yet" : site.online ? "online" : "offline";
  const colour = site.online === true ? "green" : "red";
  const age = site.since === null ? "" : ` for ${ago(site.since, nowMs)}`;
  const heard = site.heard === null ? "" : `, heard ${ago(site.heard, nowMs)} ago`;
  const acked = site.ackedAt === null ? ", nothing acknowledged" : `, acknowledged ${ago(site.ackedAt, nowMs)} ago`;
  const lost = site.events.lost > 0 ? ` (${site.events.lost} were gone before they were asked for)` : "";
  const doubt = site.verified === null ? paint("yellow", ", unverified") : "";
  const forged = site.forged > 0 ? paint("red", `, ${site.forged} forged statements`) : "";
  return `${paint(colour, word)}${age}${heard}${acked}, events to #${site.events.next - 1}${lost}${doubt}${forged}`;
}

function consoleLine({ bytes, lastByte, gaps, holes }: ConsoleStatus, nowMs: number): string {
  const last = lastByte === null ? "" : `, last came ${ago(lastByte.heard, nowMs)} ago`;
  const lost = Object.entries(gaps).map(([cause, { count, bytes: gone, unknown }]) => {
    const size = unknown > 0 ? `${gone} bytes and an unknown number` : `${gone} bytes`;
    return `${count} × ${safe(cause)} (${size})`;
  });
  const missing = holes.reduce((sum, { from, to }) => sum + (to - from), 0);
  const gapText = lost.length === 0 ? "no gaps" : `gaps: ${lost.join(", ")}`;
  return `${amount(bytes)}${last}, ${gapText}${missing > 0 ? paint("yellow", `, ${missing} bytes to come`) : ""}`;
}

function ago(at: number, nowMs: number): string {
  return formatDuration(Math.max(0, nowMs - at));
}

function amount(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1000)} kB` : `${Math.round(bytes / 1e6)} MB`;
}
