import { machineFiles } from "../src/linux/machine-files.ts";
import { type CliArgs, type CliCommand, EXIT, text } from "../src/operator/cli/command.ts";
import { jsonText, note, paint, print, safe } from "../src/operator/cli/out.ts";
import { findConfig } from "./found-config.ts";
import { type PortRow, portsReport } from "./ports-report.ts";

export const command: CliCommand = {
  usage: ["ports [--config site.yaml]"],
  about:
    "The serial adapters of this machine: which console uses each, what is wrong with it, and the line that names it in site.yaml. Opens none of them.",
  examples: ["towpath ports", "sudo towpath ports --config /etc/towpath/site.yaml", "towpath ports --json"],
  options: { config: { type: "string" } },
  optionHelp: { config: "the site's config, /etc/towpath/site.yaml unless said" },
  run: async (args) => run(args),
};

function run(args: CliArgs): number {
  const config = findConfig(text(args, "config"), "which console uses a port is not shown");
  const report = portsReport(machineFiles(), config);
  if (args.json) {
    print(jsonText(report));
    return EXIT.done;
  }
  for (const line of portLines(report, config !== null)) print(line);
  if (process.getuid?.() !== 0) note("programs of other users that hold a port may not be seen: sudo towpath ports");
  return EXIT.done;
}

/** The report as a person reads it. */
export function portLines(report: ReturnType<typeof portsReport>, withConfig: boolean): string[] {
  const lines = report.adapters.flatMap((row) => rowLines(row, withConfig));
  if (lines.length === 0) lines.push(...NONE);
  for (const { console, code, detail } of report.unbound)
    lines.push(`${paint("red", `console ${safe(console)}`)}  ${safe(detail)} (${code})`);
  return lines;
}

const NONE = [
  "no serial adapter is plugged in",
  "  Plug one in and look again; if it stays away, `dmesg` tells whether the kernel saw it and has its driver.",
];

function rowLines(row: PortRow, withConfig: boolean): string[] {
  const { usb } = row;
  const what =
    usb === null
      ? `on the board (${row.driver ?? "no driver"})`
      : [usb.id, usb.manufacturer, usb.product, usb.serial === null ? null : `serial ${usb.serial}`, row.driver]
          .filter((one) => one !== null)
          .join("  ");
  const place = usb === null ? [] : [`  socket   ${safe(`${usb.controller}/${usb.hub}`)}, interface ${usb.interface}`];
  const used = row.consoles.length > 0 ? paint("green", row.consoles.join(", ")) : "none";
  return [
    `${paint("bold", row.node)}  ${safe(what)}`,
    ...place,
    ...(withConfig ? [`  console  ${used}`] : []),
    ...row.problems.map((one) => `  ${paint("yellow", "problem")}  ${safe(one.what)}. ${one.todo}`),
    `  port: ${safe(row.yaml)}`,
  ];
}
