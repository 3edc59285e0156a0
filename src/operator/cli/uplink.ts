import { formatDuration } from "../../core/duration.ts";
import { BootClocks } from "../boot-clocks.ts";
import { asRecord } from "../client.ts";
import type { LedgerLine } from "../ledger-source.ts";
import { SiteLedger } from "../ledger-source.ts";
import { Refused } from "../site-source.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  text,
  UsageError,
} from "./command.ts";
import { connectTo, contextOf, sayVerification, silence, viewerOf } from "./connect.ts";
import { eventLine } from "./event-line.ts";
import { jsonText, note, paint, print, safe } from "./out.ts";
import { isLost } from "./read-failure.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["uplink status SITE", "uplink history SITE [--last N]"],
  about:
    "The ways that a site has to us: what is wrong with each and since when, whether power-cycling something could help, its addresses, and what changed before.",
  examples: ["towpath uplink status harbour-07", "towpath uplink history harbour-07 --last 500"],
  options: { ...CONNECTION_OPTIONS, last: { type: "string" } },
  optionHelp: { last: "history: look through so many of the newest records (default 1000)", ...CONNECTION_HELP },
  run,
};

type Json = Readonly<Record<string, unknown>>;

const LAST = 1_000;

function run(args: CliArgs): Promise<number> {
  const [what, site] = args.words;
  if (what !== "status" && what !== "history") throw new UsageError("uplink status SITE, or uplink history SITE");
  if (site === undefined) throw new UsageError(`which site? towpath uplink ${what} SITE`);
  return what === "status" ? status(args, site) : history(args, site);
}

async function status(args: CliArgs, site: string): Promise<number> {
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, site);
  try {
    const reply = await client.send({ kind: "status" }, { who, timeoutMs: 10_000 });
    if (reply === null) throw silence(client, site);
    sayVerification(client, site);
    if (reply.phase !== "result") return tellRejected(args.json, reply);
    const state = asRecord(reply.state) ?? {};
    const all = asRecord(state.site) ?? {};
    const { uplinks, links, budget, spent, modem } = all;
    const known = { uplinks: uplinks ?? null, links: links ?? null, budget: budget ?? null, spent: spent ?? null };
    if (args.json) print(jsonText({ ok: true, mono: state.mono, ...known, modem: modem ?? null }));
    else for (const line of statusLines(all, Number(state.mono))) print(line);
    return EXIT.done;
  } finally {
    await client.stop();
  }
}

/** For people: the worst is not hidden in a word, and what to do stands below it. */
export function statusLines(site: Json, monoMs: number): string[] {
  const uplinks = asRecord(site.uplinks) ?? {};
  const links = asRecord(site.links) ?? {};
  const names = ["lte", "primary"].filter((name) => asRecord(uplinks[name]) !== null || asRecord(links[name]) !== null);
  if (asRecord(site.uplinks) === null)
    return [
      "the site has no `uplinks:` in its config: one connection, by the machine's own routes",
      ...linkLines(links, monoMs),
    ];
  const costs = asRecord(site.budget);
  const level =
    costs === null ? [] : [`  budget   ${safe(String(costs.level ?? ""))}  (towpath status --json has the figures)`];
  return names.flatMap((name) => [
    ...uplinkLines(name, asRecord(uplinks[name]) ?? {}, asRecord(links[name]), monoMs),
    ...(name === "lte" ? level : []),
  ]);
}

function linkLines(links: Json, monoMs: number): string[] {
  return Object.entries(links).flatMap(([name, link]) => {
    const item = asRecord(link);
    return item === null
      ? []
      : [`  ${safe(name)} ${safe(String(item.state))}${ago(item.sinceMs, monoMs)}: ${safe(String(item.detail))}`];
  });
}

function uplinkLines(name: string, item: Json, link: Json | null, monoMs: number): string[] {
  const verdict = String(item.verdict ?? "unknown");
  const colour = verdict === "ok" ? "green" : verdict === "unknown" ? "yellow" : "red";
  const addresses = Array.isArray(item.addresses) ? item.addresses.map((one) => safe(String(one))) : [];
  const session = link === null ? "none" : `${String(link.state)}${ago(link.sinceMs, monoMs)}: ${String(link.detail)}`;
  const help = item.powerCycleCouldHelp === true;
  const bad = name === "primary" && verdict !== "ok" && verdict !== "unknown";
  return [
    `${paint("bold", name.padEnd(8))} ${paint(colour, safe(verdict))}${ago(item.sinceMs, monoMs)}${item.detail ? `: ${safe(String(item.detail))}` : ""}`,
    ...(bad ? [`  → ${help ? "power-cycling its router could help" : "power-cycling would not help"}`] : []),
    ...(bad && item.works === true ? ["  it works again; counted as well after ten good looks and a minute"] : []),
    ...(item.flapping === true ? ["  it flapped, so it is believed later"] : []),
    `  address  ${addresses.join(", ") || "none"}`,
    `  session  ${safe(session)}`,
  ];
}

function ago(sinceMs: unknown, monoMs: number): string {
  return typeof sinceMs === "number" ? ` for ${formatDuration(Math.max(0, monoMs - sinceMs))}` : "";
}

async function history(args: CliArgs, site: string): Promise<number> {
  const last = Number(text(args, "last") ?? LAST);
  if (!Number.isInteger(last) || last < 1) throw new UsageError("--last wants a whole number, as --last 200");
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, site);
  try {
    const ledger = new SiteLedger(client, who);
    const clocks = new BootClocks();
    const found: LedgerLine[] = [];
    for await (const page of ledger.read({ last })) {
      clocks.learn(ledger.clocks());
      found.push(...page.filter(isOfUplinks));
    }
    sayVerification(client, site);
    if (args.json) print(jsonText({ ok: true, events: found }));
    else for (const record of found) print(eventLine(record, clocks));
    if (!args.json && found.length === 0) note(`-- nothing about uplinks in the newest ${last} records --`);
    return EXIT.done;
  } catch (error) {
    if (error instanceof Refused) return tellRejected(args.json, error.reply);
    throw isLost(error) ? silence(client, site) : error;
  } finally {
    await client.stop();
  }
}

/** Verdicts, connections, and drift of what keeps LTE apart. */
export function isOfUplinks(record: LedgerLine): boolean {
  if (record.kind === "link") return record.connection !== "local";
  return record.kind === "uplink" || (record.kind === "config" && record.code === "uplink.drift");
}
