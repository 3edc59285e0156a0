import { explain } from "../../core/codes.ts";
import { formatDuration, parseDuration } from "../../core/duration.ts";
import { OPERATE_VERBS, type OperateVerb, OVERRIDES, type PowerArgs } from "../../core/messages.ts";
import type { ShownPreview } from "../answers.ts";
import { asRecord, type Client, type SiteReply } from "../client.ts";
import { type Ended, freshen, newId, type Order, operate, type Selected, select } from "../switching.ts";
import type { Who } from "../who.ts";
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
import {
  type Context,
  connectTo,
  contextOf,
  parsePlace,
  sayVerification,
  silence,
  viewerOf,
  whoOf,
} from "./connect.ts";
import { ask, interactive, jsonText, note, paint, print, safe } from "./out.ts";
import { pendingText } from "./pending.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: [
    "power on|off|cycle SITE/DEVICE|SITE/DEVICE:OUTLET|SITE/:OUTLET … [--for T] [--partial] [--reason TEXT] [--yes]",
    "power lock SITE/DEVICE … [--for T] [--reason TEXT] [--yes]",
    "power unlock|cancel SITE/DEVICE … [--yes]",
    "power status SITE",
    "power outcome SITE ID",
  ],
  about: "Switches power: shows what would move, asks, then follows the command to its verdict.",
  examples: [
    "towpath power cycle demo/router1",
    "towpath power off demo/switch1 --for 10m --reason 'drain capacitors'",
    "towpath power cycle demo/router1 demo/switch1      # one command: all of them or none, in the order of `after`",
    "towpath power status demo                          # with what is pending, and the time to its next edge",
    "towpath power cancel demo/switch1                  # ends that wait: what is owed comes on now",
    "towpath power lock demo/switch1 --for 2h --reason 'hands inside'",
    "towpath power outcome demo 01JD8Q6Z5W3X1V9K7C2M4N6P8R",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    for: { type: "string" },
    from: { type: "string" },
    partial: { type: "boolean" },
    override: { type: "string", multiple: true },
    reason: { type: "string" },
    yes: { type: "boolean", short: "y" },
    "without-record": { type: "boolean" },
  },
  optionHelp: {
    for: "off: come back on after so long; cycle: stay off so long; lock: until then, by a trusted clock (10m)",
    from: "any: cycle an outlet that is off as well",
    partial: "with several targets: leave out those that are refused",
    override: "min-time, rate: go before that limit (an admin's, with --reason; never before a lock)",
    reason: "why; it is in the ledger",
    yes: "answer every question with yes",
    "without-record": "go ahead although the card takes no records",
    ...CONNECTION_HELP,
  },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const [verb, where, ...rest] = args.words;
  if (verb === "outcome") return outcome(args, where, rest[0]);
  if (verb === "status")
    return (await import("./status.ts")).command.run({ ...args, words: where === undefined ? [] : [where] });
  const known: readonly string[] = OPERATE_VERBS;
  if (verb === undefined || !known.includes(verb))
    throw new UsageError(`what to do? one of ${known.join(", ")}, status, outcome`);
  const places = [where, ...rest].map((one) => parsePlace(one, "SITE/DEVICE, SITE/DEVICE:OUTLET or SITE/:OUTLET"));
  const [place = { site: "", rest: "" }] = places;
  const other = places.find(({ site }) => site !== place.site);
  if (other !== undefined) throw new UsageError(`one site at a time: ${place.site}, not also ${other.site}`);
  const target = places.map((one) => one.rest).join(",");
  const order: Order = { verb: verb as OperateVerb, target, args: powerArgs(args, verb) };
  const context = contextOf(args);
  const who = await whoOf(context);
  const client = await connectTo(context, place.site);
  try {
    return await new Switching(args, context, client, who, order, place.site).run();
  } finally {
    await client.stop();
  }
}

function powerArgs(args: CliArgs, verb: string): PowerArgs {
  const wait = text(args, "for");
  const forMs = wait === undefined ? undefined : parseDuration(wait);
  if (forMs === null) throw new UsageError(`--for ${wait}: write 30s, 10m or 1h`);
  if (forMs !== undefined && !["off", "cycle", "lock"].includes(verb))
    throw new UsageError("--for goes with off, cycle and lock");
  const from = text(args, "from");
  if (from !== undefined && from !== "any") throw new UsageError("--from any is the only one there is");
  const reason = text(args, "reason");
  return {
    ...(forMs !== undefined && { forMs }),
    ...(from !== undefined && { from: "any" as const }),
    ...(reason !== undefined && { reason }),
    ...(flag(args, "without-record") && { withoutRecord: true }),
    ...(flag(args, "partial") && { partial: true }),
    ...overrideArg(args),
  };
}

function overrideArg(args: CliArgs): PowerArgs {
  const given = list(args, "override").flatMap((one) => one.split(","));
  if (given.length === 0) return {};
  const known: readonly string[] = OVERRIDES;
  const wrong = given.find((one) => !known.includes(one));
  if (wrong !== undefined) throw new UsageError(`--override ${wrong}: one of ${OVERRIDES.join(", ")}`);
  if (text(args, "reason") === undefined) throw new UsageError("--override wants --reason TEXT; it is in the ledger");
  return { override: OVERRIDES.filter((one) => given.includes(one)) };
}

/** One command from its preview to its verdict. */
class Switching {
  private readonly args: CliArgs;
  private readonly context: Context;
  private readonly client: Client;
  private readonly who: Who;
  private readonly order: Order;
  private readonly site: string;

  constructor(args: CliArgs, context: Context, client: Client, who: Who, order: Order, site: string) {
    this.args = args;
    this.context = context;
    this.client = client;
    this.who = who;
    this.order = order;
    this.site = site;
  }

  async run(): Promise<number> {
    for (;;) {
      const first = await select(this.client, this.who, this.context.trust, this.order);
      if (!first.ok) return this.refused(first.reply);
      const { preview } = first.selected;
      if (!this.args.json) showPreview(this.site, preview);
      if (preview.refusal !== null) return this.refused({ id: "", phase: "rejected", ...preview.refusal });
      if (!(await this.agreed(preview))) {
        note("Nothing was sent.");
        return EXIT.silent;
      }
      const fresh = await freshen(this.client, this.who, this.context.trust, this.order, first.selected);
      if (fresh === null) {
        note("It is no longer as it was shown:");
        continue;
      }
      if (!fresh.ok) return this.refused(fresh.reply);
      return this.follow(fresh.selected);
    }
  }

  private refused(reply: SiteReply | null): number {
    if (reply === null) throw silence(this.client, this.site);
    sayVerification(this.client, this.site);
    return tellRejected(this.args.json, reply);
  }

  /** The typed name is for what a tired person overlooks: others lose power too, or the way to the site itself. */
  private async agreed(preview: ShownPreview): Promise<boolean> {
    if (flag(this.args, "yes")) return true;
    if (!interactive()) throw new UsageError("nobody to ask: add --yes");
    const others = preview.loses.some((device) => !preview.named.includes(device));
    const cutsPower = preview.loses.length > 0 || preview.moves.some((move) => "power" in move && move.power === "off");
    if (cutsPower && (others || preview.ownBranch !== "none")) {
      const name = preview.named[0] ?? preview.target;
      return (await ask(`Type ${safe(name)} to go on: `)) === name;
    }
    return /^y(es)?$/i.test(await ask(safe(`${preview.verb} ${preview.target}? [y/N] `)));
  }

  private async follow(selected: Selected): Promise<number> {
    const id = newId();
    const stop = new AbortController();
    const onInterrupt = () => stop.abort();
    process.once("SIGINT", onInterrupt);
    const ended = await operate(this.client, this.who, this.order, selected, {
      id,
      signal: stop.signal,
      onSent: () => undefined,
      onReply: (reply) => this.args.json || showProgress(reply),
    });
    process.removeListener("SIGINT", onInterrupt);
    sayVerification(this.client, this.site);
    return this.verdict(id, ended);
  }

  private verdict(id: string, ended: Ended): number {
    if (ended.how === "unknown") return this.unknown(id, ended.why);
    const { reply } = ended;
    const code = exitOf(reply);
    if (this.args.json) print(jsonText({ ok: code === EXIT.done, ...reply, verified: this.client.verified() }));
    else showVerdict(reply);
    return code;
  }

  private unknown(id: string, why: Extract<Ended, { how: "unknown" }>["why"]): number {
    const what = {
      "no-accept": "The command was sent and not answered within 10 s.",
      "no-result": "The command was accepted; its result was not heard.",
      interrupted: "Stopped watching; the command goes on at the site.",
    }[why];
    if (this.args.json) print(jsonText({ ok: false, id, phase: "unknown", why }));
    else note(`${paint("yellow", "unknown")}: ${what}\n  Ask: towpath power outcome ${this.site} ${id}`);
    return EXIT.unknown;
  }
}

export function exitOf(reply: SiteReply): number {
  if (reply.phase === "rejected") return EXIT.rejected;
  if (reply.phase !== "result") return EXIT.unknown;
  return reply.verdict === "failed" || reply.verdict === "interrupted" ? EXIT.failed : EXIT.done;
}

function showPreview(site: string, preview: ShownPreview): void {
  print(paint("bold", safe(`${preview.verb} ${site}/${preview.target}`)));
  const moves = preview.moves.map((move) =>
    "waitMs" in move ? `wait ${formatDuration(move.waitMs)}` : `${move.outlet} ${move.power}`,
  );
  if (moves.length > 0) print(`  moves      ${safe(moves.join(" → "))}`);
  for (const { target, code, detail } of preview.left)
    print(`  ${paint("yellow", "left out")}   ${safe(`${target}: ${detail} (${code})`)}`);
  if (preview.loses.length > 0) print(`  loses      ${safe(preview.loses.join(", "))}`);
  for (const [name, { commanded, driven, observed }] of Object.entries(preview.facts)) {
    print(
      safe(`  ${name.padEnd(10)} commanded ${commanded.value}, driven ${driven.value}, observed ${observed.value}`),
    );
  }
  for (const warning of preview.warnings) print(`  ${paint("yellow", "warning")}    ${safe(warning)}`);
}

function showProgress(reply: SiteReply): void {
  if (reply.phase === "accepted")
    print(`accepted ${reply.id}${reply.durability === "memory" ? " (not on the card)" : ""}`);
  const step = asRecord(reply.step);
  if (reply.phase === "progress" && step !== null)
    print(`  ${safe(String(step.outlet))} ${step.power === "on" ? "on" : "off"}${step.ok === true ? "" : " FAILED"}`);
}

const MEANING: Readonly<Record<string, string>> = {
  verified: "done, and the observation agrees",
  commanded: "done; nothing observes it, so it is not verified",
  done: "done",
  cancelled: "cancelled; what was owed was paid",
  failed: "FAILED",
  interrupted: "interrupted by a restart of the controller",
};

function showVerdict(reply: SiteReply): void {
  if (reply.phase === "rejected") return void tellRejected(false, reply);
  const verdict = safe(String(reply.verdict));
  const good = verdict === "verified" || verdict === "commanded" || verdict === "done" || verdict === "cancelled";
  print(`${paint(good ? "green" : "red", verdict)}: ${MEANING[verdict] ?? ""}`);
  for (const failure of Array.isArray(reply.failures) ? reply.failures.map(asRecord) : []) {
    note(`  ${safe(String(failure?.outlet))}: ${safe(String(failure?.detail))} (${safe(String(failure?.code))})`);
  }
  if (!good) note(`  ${explain(safe(String(reply.code)))}`);
}

async function outcome(args: CliArgs, site: string | undefined, id: string | undefined): Promise<number> {
  if (site === undefined || id === undefined) throw new UsageError("which one? towpath power outcome SITE ID");
  const context = contextOf(args);
  const who = await viewerOf(context);
  const client = await connectTo(context, site.replace(/\/.*$/, ""));
  try {
    const reply = await client.send({ kind: "outcome", args: { id } }, { who, timeoutMs: 10_000 });
    if (reply === null) throw silence(client, site);
    sayVerification(client, site);
    const stored = asRecord(reply.outcome) as SiteReply | null;
    if (args.json) print(jsonText({ ok: reply.phase === "result", ...reply }));
    else if (reply.phase === "rejected" || stored === null) tellRejected(false, reply);
    else if (stored.phase === "accepted") print(`in execution: ${pendingText(asRecord(reply.pending) ?? {})}`);
    else showVerdict(stored);
    return reply.phase === "rejected" || stored === null ? EXIT.rejected : exitOf(stored);
  } finally {
    await client.stop();
  }
}
