import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type NetUplinks, readNetUplinks } from "../src/config/uplinks.ts";
import { floorOf } from "../src/core/clock.ts";
import { EMPTY_DURABLE } from "../src/core/ledger.ts";
import { type CliArgs, type CliCommand, EXIT, text, UsageError } from "../src/operator/cli/command.ts";
import { jsonText, note, print, safe } from "../src/operator/cli/out.ts";
import { parseJson } from "../src/protocol/envelope.ts";
import { loadConfig } from "./config-file.ts";
import { type Answer, answer } from "./net/answer.ts";
import { type Memory, openMemory } from "./net/machine.ts";

export const command: CliCommand = {
  usage: ["net apply [--config site.yaml]", "net answer [--config site.yaml]"],
  about:
    "Sets up what keeps the LTE path apart from everything else on this machine: our address, rules, table 100, lines of nftables; and tells what was not so. For root; the package runs it at boot. `answer` takes one request of the controller on its input.",
  examples: ["sudo towpath net apply", "sudo towpath net apply --config site.yaml --json"],
  options: { config: { type: "string" }, state: { type: "string" }, user: { type: "string" } },
  optionHelp: {
    config: "the site's config, /etc/towpath/site.yaml unless said",
    state: "folder of what it remembers, /var/lib/towpath-net unless said",
    user: "as whom the controller runs, towpath unless said",
  },
  run: async (args) => run(args),
};

const APPLY = Buffer.from('{"do":"apply"}');

function run(args: CliArgs): number {
  const [what] = args.words;
  if (what !== "apply" && what !== "answer") throw new UsageError("net apply, or net answer");
  const memory = openMemory(text(args, "state") ?? "/var/lib/towpath-net");
  const uplinks = uplinksOf(text(args, "config") ?? "/etc/towpath/site.yaml", memory);
  const uid = uidOf(text(args, "user") ?? "towpath");
  const request = what === "apply" ? APPLY : readFileSync(0);
  const done = answer(request, uplinks, uid, memory, floorOf(EMPTY_DURABLE));
  if (what === "answer") process.stdout.write(`${JSON.stringify(done)}\n`);
  else tell(done, args.json);
  return done.ok ? EXIT.done : EXIT.failed;
}

/** A config that was spoilt must not keep the path down after the next boot: the last good one does then. */
function uplinksOf(file: string, memory: Memory): NetUplinks {
  const loaded = loadConfig(file, { insecureLab: true, mayFallBack: false });
  if (loaded.ok) {
    memory.set("uplinks.json", JSON.stringify(loaded.config.uplinks));
    return loaded.config.uplinks;
  }
  const kept = readNetUplinks(parseJson(Buffer.from(memory.get("uplinks.json") ?? "null")));
  if (kept === null) throw new UsageError(`${file} has errors: towpath controller --config ${file} --check`);
  note(`${file} has errors: what it last said without them holds`);
  return kept;
}

function uidOf(user: string): number {
  try {
    return Number(execFileSync("id", ["-u", "--", user], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    throw new UsageError(`there is no user ${user}; name the controller's with --user`);
  }
}

function tell(done: Answer, json: boolean): void {
  if (json) print(jsonText(done));
  else if (!done.ok) note(`towpath: ${safe(done.error)}`);
  else if (done.mended.length === 0) print("everything is as it should be");
  else for (const one of done.mended) print(`made: ${safe(one)}`);
}
