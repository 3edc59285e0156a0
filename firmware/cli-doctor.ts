import { setTimeout as sleep } from "node:timers/promises";
import { kernelGpio } from "../src/linux/gpio.ts";
import { type CliArgs, type CliCommand, EXIT, flag, text, UsageError } from "../src/operator/cli/command.ts";
import { ask, jsonText, note, paint, print, safe } from "../src/operator/cli/out.ts";
import { clickRelay } from "./click.ts";
import { examine } from "./doctor/diagnose.ts";
import { machineFacts } from "./doctor/facts.ts";
import type { Finding, Level } from "./doctor/finding.ts";
import { gpioFacts } from "./doctor/gpio-facts.ts";
import { findConfig } from "./found-config.ts";

export const command: CliCommand = {
  usage: ["doctor [--config site.yaml]", "doctor --relay N [--yes]"],
  about:
    "Looks at this machine as a site: lines, consoles, rights, card, clock, heat, supply, watchdog. Moves no relay and opens no port; writes 20 times to the card to see how long that takes. Exit 4 when something is bad. With --relay it moves that one relay for a second and back, after a typed yes, while no controller runs.",
  examples: [
    "sudo towpath doctor",
    "towpath doctor --config /etc/towpath/site.yaml --json",
    "sudo towpath doctor --relay 1",
  ],
  options: { config: { type: "string" }, relay: { type: "string" }, yes: { type: "boolean" } },
  optionHelp: {
    config: "the site's config, /etc/towpath/site.yaml unless said",
    relay: "move this relay for one second and back, to hear it and to prove its wiring",
    yes: "answer the question with yes",
  },
  run: async (args) => run(args),
};

async function run(args: CliArgs): Promise<number> {
  const relay = text(args, "relay");
  if (relay !== undefined) return click(args, relay);
  const config = findConfig(text(args, "config"), "only the machine itself is looked at");
  const findings = examine(machineFacts(gpioFacts(kernelGpio)), config);
  const bad = findings.some(({ level }) => level === "bad");
  if (args.json) print(jsonText({ ok: !bad, findings }));
  else for (const line of doctorLines(findings)) print(line);
  return bad ? EXIT.failed : EXIT.done;
}

async function click(args: CliArgs, relay: string): Promise<number> {
  if (!/^[1-9]\d?$/.test(relay)) throw new UsageError("which relay? --relay 1");
  const config = findConfig(text(args, "config"), "which line a relay is on is not known");
  if (config === null) throw new UsageError("--relay needs a config: --config site.yaml");
  const yes = flag(args, "yes");
  const clicked = await clickRelay({
    ...{ config, relay: Number(relay), wait: () => sleep(1_000) },
    async agreed(preview) {
      note(preview);
      if (!yes && !process.stdin.isTTY) throw new UsageError("nobody is there to type yes; --yes answers it");
      return yes || (await ask("Type yes to move it: ")) === "yes";
    },
  });
  if (args.json) print(jsonText(clicked));
  else if (clicked.ok) for (const step of clicked.steps) print(step);
  else note(`towpath: ${clicked.why}`);
  return clicked.ok ? EXIT.done : EXIT.failed;
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
