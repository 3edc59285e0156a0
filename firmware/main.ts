import { MOMENTS, type Moment, outletWhile } from "../src/config/board.ts";
import { bootPins } from "../src/config/boot-pins.ts";
import type { Problem } from "../src/config/config.ts";
import { scanAdapters } from "../src/console/adapters.ts";
import { tooManyPorts } from "../src/console/port-limits.ts";
import type { Code } from "../src/core/codes.ts";
import { machineFiles } from "../src/linux/machine-files.ts";
import type { LogLine } from "../src/site/edges.ts";
import { packageVersion } from "../src/version.ts";
import { boundPorts, sharedPortProblems } from "./bound-ports.ts";
import { type Controller, startController } from "./compose.ts";
import { lastGood, loadConfig, rememberConfig } from "./config-file.ts";
import { unlessReadOnly } from "./read-only-card.ts";
import { StartRefused } from "./start-refused.ts";
import { trustFileProblem } from "./trust-file.ts";

/** `towpath controller`: runs or checks one site. */
export interface ControllerArgs {
  readonly configFile: string;
  readonly insecureLab: boolean;
  readonly simTroubleMs: number;
  readonly quiet: boolean;
}

/** Problems as text, one a line. */
export function problemLines(problems: readonly Problem[]): string[] {
  return problems.map(({ where, what, todo }) => `${where}: ${what}. ${todo}`);
}

export interface CheckReport {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  readonly outlets: Readonly<Record<string, Readonly<Record<Moment, string>>>>;
  /** What belongs into the Pi's config.txt for these outlets; empty where nothing does. */
  readonly bootPins: string;
  /** What is allowed and may still go wrong on this machine. */
  readonly warnings: readonly string[];
}

/** Reads and checks, makes nothing. */
export function checkSite(configFile: string, insecureLab: boolean): CheckReport {
  const loaded = loadConfig(configFile, { insecureLab, mayFallBack: false });
  if (!loaded.ok) return { ok: false, problems: loaded.problems, outlets: {}, bootPins: "", warnings: [] };
  const { config } = loaded;
  const wrong = trustFileProblem(config);
  if (wrong !== null) {
    const problem = {
      where: "trust",
      what: `${config.trustFile} ${wrong}`,
      todo: "Make it with `towpath trust init` and `towpath trust sign`.",
    };
    return { ok: false, problems: [problem], outlets: {}, bootPins: "", warnings: [] };
  }
  const files = machineFiles();
  const shared = sharedPortProblems(boundPorts(config, scanAdapters(files), files));
  if (shared.length > 0) return { ok: false, problems: shared, outlets: {}, bootPins: "", warnings: [] };
  const outlets = Object.values(config.plan.outlets).flatMap(({ name, contact, relay }) => {
    const onBoard = config.board.relays[relay];
    if (onBoard === undefined) return [];
    return [[name, Object.fromEntries(MOMENTS.map((moment) => [moment, outletWhile(onBoard, contact, moment)]))]];
  });
  const used = Object.values(config.plan.outlets).map(({ relay }) => relay);
  const real = config.consoles.filter(({ port }) => !("sim" in port)).length;
  const crowded = tooManyPorts(files.read("/proc/device-tree/model"), real);
  return {
    ok: true,
    problems: [],
    outlets: Object.fromEntries(outlets),
    bootPins: bootPins(config.board, used),
    warnings: crowded === null ? [] : [crowded],
  };
}

export async function runController(args: ControllerArgs): Promise<Controller> {
  const log = (line: LogLine): void => {
    if (args.quiet && line.level !== "error") return;
    process.stderr.write(`${JSON.stringify({ t: new Date().toISOString(), ...line })}\n`);
  };
  const fatal = (error: Error): void => {
    log({ level: "error", code: "controller.failed", detail: error.stack ?? String(error) });
    process.exit(1);
  };
  const loaded = loadConfig(args.configFile, { insecureLab: args.insecureLab, mayFallBack: true });
  if (!loaded.ok) throw new StartRefused(problemLines(loaded.problems).join("\n"));
  const notes = problemLines(loaded.rejected ?? []).map((detail): Note => ({ code: "config.rejected", detail }));
  for (const note of notes) log({ level: "error", ...note });
  const { config } = loaded;
  const controller = await startController({
    config,
    notes,
    log,
    fatal,
    version: packageVersion(),
    simTroubleMs: args.simTroubleMs,
    lastGood: () => lastGood(config.data, args.insecureLab),
  });
  if (loaded.rejected === null && !controller.fellBack)
    unlessReadOnly("the last good config", log, () => rememberConfig(config, args.configFile));
  return controller;
}

type Note = { code: Code; detail: string };
