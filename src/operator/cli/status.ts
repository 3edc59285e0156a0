import { decodeStatement } from "../../access/statement.ts";
import { explain } from "../../core/codes.ts";
import { formatDuration } from "../../core/duration.ts";
import { parseTopic } from "../../protocol/topics.ts";
import { asRecord, type Client, openTransport, sleep, startTransport } from "../client.ts";
import { Unreachable } from "../errors.ts";
import { LineCutter } from "../lines.ts";
import { Presences } from "../presences.ts";
import { readRange } from "../reading.ts";
import type { Who } from "../who.ts";
import { type CliArgs, type CliCommand, CONNECTION_HELP, CONNECTION_OPTIONS, EXIT, SilentError } from "./command.ts";
import { type Context, connectTo, contextOf, sayVerification, viewerOf } from "./connect.ts";
import { modemLines } from "./modem-text.ts";
import { ConsoleText, jsonText, note, paint, print, safe } from "./out.ts";
import { pendingText } from "./pending.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["status [SITE]"],
  about: "How a site is: what it says of itself, fresh and signed; without a name, every site of the fleet.",
  examples: ["towpath status", "towpath status harbour-07", "towpath status harbour-07 --json"],
  options: CONNECTION_OPTIONS,
  optionHelp: CONNECTION_HELP,
  run,
};

type Json = Readonly<Record<string, unknown>>;

async function run(args: CliArgs): Promise<number> {
  const context = contextOf(args);
  const site = args.words[0]?.replace(/\/.*$/, "") ?? null;
  if (site === null && context.settings.local === null && context.settings.site === null) return fleet(args, context);
  const who = await viewerOf(context);
  const client = await connectTo(context, site);
  try {
    const reply = await client.send({ kind: "status" }, { who, timeoutMs: 10_000 });
    if (reply === null) return silent(args, client);
    sayVerification(client, client.site);
    if (reply.phase !== "result") {
      return tellRejected(args.json, reply);
    }
    const state = asRecord(reply.state) ?? {};
    if (args.json) print(jsonText({ ok: true, answers: true, verified: client.verified(), state }));
    else {
      showState(state, `answers now${client.local ? ", over its local socket" : ""}`);
      await showConsoles(client, who, state);
    }
    return EXIT.done;
  } finally {
    await client.stop();
  }
}

/** No answer: what it last said, and how long ago. */
function silent(args: CliArgs, client: Client): number {
  const last = client.state();
  const wall = Number(last?.body.wall ?? Number.NaN);
  const ageMs = Number.isFinite(wall) ? Math.max(0, Date.now() - wall) : null;
  const age = ageMs === null ? "of unknown age" : `${formatDuration(ageMs)} old by the site's clock`;
  const forged = client.sawForged() ? "; answers came that its key did not sign (reply.unverified)" : "";
  if (args.json) {
    print(
      jsonText({
        ok: false,
        answers: false,
        code: "site.silent",
        ageMs,
        presence: client.presence(),
        verified: last?.verified ?? null,
        state: last?.body ?? null,
      }),
    );
    return EXIT.silent;
  }
  note(`${paint("red", "silent")}: ${explain("site.silent")}${forged}`);
  const presence = client.presence();
  if (presence !== null) note(`  the broker last heard it ${safe(String(presence.state))}`);
  if (last === null) note("  nothing is known of it");
  else showState(last.body, `last known state, ${age}`);
  return EXIT.silent;
}

function showState(state: Json, how: string): void {
  print(`${paint("bold", `${safe(String(state.fleet))}/${safe(String(state.name))}`)}  ${how}`);
  const site = asRecord(state.site) ?? {};
  const storage = asRecord(site.storage);
  const links = Object.entries(asRecord(site.links) ?? {}).filter(([name]) => name !== "rev");
  print(
    `  version ${safe(String(state.version))}  trust epoch ${safe(String(asRecord(site.trust)?.epoch ?? "none: nothing can be switched"))}  clock ${safe(String(asRecord(site.clock)?.trust))}`,
  );
  for (const [name, item] of links) print(`  path ${pathText(name, asRecord(item) ?? {}, Number(state.mono))}`);
  showModem(asRecord(site.modem), Number(state.mono));
  print(`  storage ${storage?.state === "ok" ? "ok" : paint("red", `degraded: ${safe(String(storage?.detail))}`)}`);
  showReceivers(site, Number(state.mono));
  showBudget(asRecord(site.budget));
  showMachine(asRecord(site.machine)?.findings);
  print(`  key ${safe(String(state.key))}`);
  const outlets = asRecord(state.outlets) ?? {};
  for (const [name, item] of Object.entries(asRecord(state.devices) ?? {}))
    showDevice(name, asRecord(item) ?? {}, outlets, Number(state.mono));
  const owned = Object.values(asRecord(state.devices) ?? {}).flatMap(
    (item) => (asRecord(item)?.outlets as string[] | undefined) ?? [],
  );
  for (const name of Object.keys(outlets).filter((one) => !owned.includes(one)))
    showOutlet(name, asRecord(outlets[name]) ?? {}, Number(state.mono));
  for (const pending of Array.isArray(state.pending) ? state.pending.map(asRecord) : []) {
    showPending(String(state.name), pending ?? {});
  }
}

/** A command in execution: what comes next, when, and how to have it sooner. */
function showPending(site: string, pending: Json): void {
  const { id, verb, by, target } = pending;
  print(
    `  ${paint("yellow", "running")} ${safe(`${verb} ${target ?? ""} by ${by}`)}: ${pendingText(pending)} ${safe(String(id))}`,
  );
  const [first] = String(target ?? "").split(",");
  if (typeof pending.leftMs !== "number" || !first) return;
  const cancel = `towpath power cancel ${safe(`${site}/${first}`)}`;
  if (pending.doing === "stay-off") print(`    at once with: ${cancel}`);
  else if (String(pending.next).endsWith(" off")) print(`    not at all with: ${cancel}`);
}

function showModem(modem: Json | null, monoMs: number): void {
  for (const line of modem === null ? [] : modemLines(modem, monoMs)) print(`  ${line}`);
}

/** Who stores what the consoles say, and whether it still does. */
function showReceivers(site: Json, monoMs: number): void {
  const heard = asRecord(site.heard) ?? {};
  for (const [name, item] of Object.entries(asRecord(site.receivers) ?? {}).filter(([one]) => one !== "rev")) {
    const atMs = heard[name];
    const when =
      typeof atMs === "number"
        ? `last heard ${formatDuration(Math.max(0, monoMs - atMs))} ago`
        : paint("yellow", "not heard since the controller started");
    print(`  receiver ${safe(name)} (key of ${safe(String(asRecord(item)?.by))}) ${when}`);
  }
}

/** Only when it runs out: what is left out then, and that commands are not. */
function showBudget(budget: Json | null): void {
  if (budget === null || budget.level === "normal") return;
  const spent = `${Number(budget.tenths) * 10} % of the ${safe(String(budget.per))}'s data is spent`;
  const left = budget.level === "last" ? "only commands, alarms and what is watched go" : "consoles are not shipped";
  print(`  ${paint("yellow", `LTE: ${spent}`)}; ${left} over it`);
}

/** What `doctor` finds bad, and what to do about it. */
function showMachine(findings: unknown): void {
  for (const finding of Array.isArray(findings) ? findings.map(asRecord) : []) {
    const level = finding?.level === "bad" ? paint("red", "bad") : paint("yellow", "warn");
    print(`  machine ${level}: ${safe(String(finding?.what))}`);
    print(`    → ${safe(String(finding?.todo))}`);
  }
}

/** Which way, since when, and through what or why not. */
function pathText(name: string, link: Json, monoMs: number): string {
  const up = link.state === "up" ? paint("green", "up") : paint("red", "down");
  const since = typeof link.sinceMs === "number" ? ` for ${formatDuration(Math.max(0, monoMs - link.sinceMs))}` : "";
  return `${safe(name)} ${up}${since}: ${safe(String(link.detail))}`;
}

function showDevice(name: string, device: Json, outlets: Json, monoMs: number): void {
  const power = String(device.power);
  print(
    `\n  ${paint("bold", safe(name))}  power ${power === "on" ? paint("green", "on") : paint("yellow", safe(power))}${alive(device)}`,
  );
  for (const outlet of (device.outlets as string[] | undefined) ?? [])
    showOutlet(outlet, asRecord(outlets[outlet]) ?? {}, monoMs);
}

function alive(device: Json): string {
  return typeof device.alive === "string" ? `, alive (${safe(device.alive)})` : "";
}

function showOutlet(name: string, outlet: Json, monoMs: number): void {
  const fact = (what: string): string => {
    const { value, atMs } = asRecord(outlet[what]) ?? {};
    const age = typeof atMs === "number" ? ` (${formatDuration(Math.max(0, monoMs - atMs))} ago)` : "";
    return `${what} ${safe(String(value))}${value === "unknown" ? "" : age}`;
  };
  const lock = asRecord(outlet.lock);
  print(`    ${safe(name)}: ${["commanded", "driven", "observed"].map(fact).join(", ")}`);
  print(`      ${safety(outlet)}`);
  if (lock !== null)
    print(
      `      ${paint("yellow", "locked")} by ${safe(String(lock.by))}${safe(lockedSince(lock, monoMs))}: ${safe(String(lock.reason || "no reason given"))}${lockEnd(lock)}`,
    );
  if (outlet.alarm === true) print(`      ${paint("red", "ALARM")} ${explain("fact.disagrees")}`);
}

/** By the site's clock where it had one then; else as long as its machine has been up since. */
function lockedSince({ sinceWallMs, atMs }: Json, monoMs: number): string {
  if (typeof sinceWallMs === "number") return ` since ${dateText(sinceWallMs)}`;
  return typeof atMs === "number" ? ` for at least ${formatDuration(Math.max(0, monoMs - atMs))}` : "";
}

/** A site that is not known may say anything. */
function dateText(wallMs: number): string {
  const date = new Date(wallMs);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString();
}

function lockEnd(lock: Json): string {
  if (typeof lock.untilWallMs === "number") return ` (until ${dateText(lock.untilWallMs)})`;
  return typeof lock.forMs === "number" ? " (does not end before the site's clock can be trusted)" : "";
}

/** What is safe now, in a line. */
function safety(outlet: Json): string {
  if (asRecord(outlet.lock) !== null) return "nothing: locked";
  if (asRecord(outlet.busy) !== null) return "nothing: a command is in execution";
  if (outlet.ownBranch !== null && outlet.ownBranch !== undefined) {
    const cycle =
      outlet.contact === "nc" ? "cycle only (it feeds the site's own path)" : "on only (it feeds the site's own path)";
    return `safe: ${cycle}`;
  }
  return "safe: on, off, cycle";
}

async function showConsoles(client: Client, who: Who | null, state: Json): Promise<void> {
  for (const [name, item] of Object.entries(asRecord(state.consoles) ?? {})) {
    const console = asRecord(item) ?? {};
    const up = console.state === "up";
    const why = up ? "" : ` ${safe(String(console.code ?? ""))} ${safe(String(console.detail ?? ""))}`;
    print(
      `\n  console ${paint("bold", safe(name))}  ${up ? paint("green", "up") : paint("red", safe(String(console.state ?? "not opened yet")))}${why}`,
    );
    showLine(asRecord(console.line));
    const tail = await readRange(client, who, name, { last: 600 });
    if (!tail.ok) continue;
    const cutter = new LineCutter();
    const lines = [...tail.chunks.flatMap((chunk) => cutter.push(chunk)), ...cutter.end()];
    for (const line of lines.slice(-3))
      print(paint("dim", `    | ${new ConsoleText().push(line.bytes, true).slice(0, 120)}`));
  }
}

/** What the driver tells of the line: only what is not as it should be is worth a line at night. */
function showLine(line: Json | null): void {
  const errors = Object.entries(asRecord(line?.errors) ?? {}).filter(([, count]) => Number(count) > 0);
  if (errors.length > 0)
    print(
      paint(
        "yellow",
        `    line errors: ${errors.map(([what, count]) => `${safe(what)} ${safe(String(count))}`).join(", ")}`,
      ),
    );
}

/** One line a site, from what the broker keeps. */
async function fleet(args: CliArgs, context: Context): Promise<number> {
  const seen = new Map<string, { state: Json | null; verified: boolean | null; presence: Json | null }>();
  const presences = new Map<string, Presences>();
  const transport = await openTransport(context.settings, [
    `towpath/1/+/${context.settings.fleet ?? "+"}/+/up/state`,
    `towpath/1/+/${context.settings.fleet ?? "+"}/+/up/link/+`,
  ]);
  try {
    await startTransport(transport, (message) => {
      const parsed = parseTopic(message.topic);
      if (parsed === null) return;
      const before = seen.get(parsed.site) ?? { state: null, verified: null, presence: null };
      if (parsed.topic.name === "up/link/{uplink}") {
        const said = presences.get(parsed.site) ?? new Presences();
        presences.set(parsed.site, said);
        said.say(parsed.topic.uplink, message.payload);
        seen.set(parsed.site, { ...before, presence: said.best() });
      }
      const statement = decodeStatement(message, context.sites.keyOf(parsed.site));
      if (statement !== null && statement.verified !== false)
        seen.set(parsed.site, { ...before, state: statement.body, verified: statement.verified });
    });
  } catch (error) {
    if (error instanceof Unreachable)
      throw new SilentError(`cannot reach ${context.settings.brokers.join(", ")}: ${error.message}`);
    throw error;
  }
  await sleep(1_000);
  await transport.stop();
  const sites = [...seen].sort(([a], [b]) => a.localeCompare(b));
  if (args.json) print(jsonText({ ok: true, sites: Object.fromEntries(sites) }));
  else if (sites.length === 0) note("the broker knows no site of this fleet");
  for (const [name, { state, verified, presence }] of args.json ? [] : sites) {
    const online = presence?.state === "online";
    const devices = Object.entries(asRecord(state?.devices) ?? {}).map(
      ([device, item]) => `${safe(device)} ${safe(String(asRecord(item)?.power))}`,
    );
    const doubt = verified === null ? paint("yellow", "unverified") : "";
    print(
      `${safe(name).padEnd(20)} ${online ? paint("green", "online ") : paint("red", "offline")} ${devices.join(", ")} ${doubt}`,
    );
  }
  return sites.length === 0 ? EXIT.silent : EXIT.done;
}
