import { type CliArgs, type CliCommand, EXIT, text } from "../src/operator/cli/command.ts";
import { jsonText, paint, print, safe } from "../src/operator/cli/out.ts";
import { examine } from "./doctor/diagnose.ts";
import { machineFacts } from "./doctor/facts.ts";
import type { Finding, Level } from "./doctor/finding.ts";
import { findConfig } from "./found-config.ts";

export const command: CliCommand = {
  usage: ["doctor [--config site.yaml]"],
  about:
    "Looks at this machine as a site: lines, consoles, rights, card, clock, heat, supply, watchdog. Moves no relay and opens no port; writes 20 times to the card to see how long that takes. Exit 4 when something is bad.",
  examples: ["sudo towpath doctor", "towpath doctor --config /etc/towpath/site.yaml --json"],
  options: { config: { type: "string" } },
  optionHelp: { config: "the site's config, /etc/towpath/site.yaml unless said" },
  run: async (args) => run(args),
};

function run(args: CliArgs): number {
  const config = findConfig(text(args, "config"), "only the machine itself is looked at");
  const findings = examine(machineFacts(), config);
  const bad = findings.some(({ level }) => level === "bad");
  if (args.json) print(jsonText({ ok: !bad, findings }));
  else for (const line of doctorLines(findings)) print(line);
  return bad ? EXIT.failed : EXIT.done;
}

const COLOUR = { ok: "green", note: "dim", warn: "yellow", bad: "red" } as const;
const ORDER: readonly Level[] = ["bad", "warn", "note", "ok"];

/** The worst first: at night nobody reads to the end. */
export function doctorLines(findings: readonly Finding[]): string[] {
  const lines = ORDER.flatMap((level) => findings.filter((one) => one.level === level)).flatMap((one) => [
    `${paint(COLOUR[one.level], one.level.padEnd(4))}  ${safe(one.what)} (${one.check})`,
    ...(one.todo === "" ? [] : [`      → ${safe(one.todo)}`]),
  ]);
  const count = (level: Level) => findings.filter((one) => one.level === level).length;
  return [...lines, `${count("bad")} bad, ${count("warn")} to look after, ${count("ok")} fine`];
}
