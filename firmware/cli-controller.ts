import { notify } from "../src/linux/notify.ts";
import { feedWatchdog } from "../src/linux/watchdog.ts";
import { type CliArgs, type CliCommand, EXIT, flag, text, UsageError } from "../src/operator/cli/command.ts";
import { jsonText, note, paint, print } from "../src/operator/cli/out.ts";
import { type CheckReport, checkSite, problemLines, runController } from "./main.ts";
import { StartRefused } from "./start-refused.ts";

export const command: CliCommand = {
  usage: ["controller --config site.yaml [--insecure-lab]", "controller --config site.yaml --check [--boot-pins]"],
  about: "Runs one site, or checks its config and says what each outlet does without it.",
  examples: ["towpath controller --config /etc/towpath/site.yaml --check", "towpath controller --config site.yaml"],
  options: {
    config: { type: "string" },
    check: { type: "boolean" },
    "boot-pins": { type: "boolean" },
    "insecure-lab": { type: "boolean" },
    quiet: { type: "boolean" },
  },
  optionHelp: {
    config: "the site's config; its powerRestore acts after a power cut, not after a restart or a reboot",
    check: "check everything, start and make nothing",
    "boot-pins": "with --check: only the lines for the Pi's config.txt that release the relays early in a boot",
    "insecure-lab": "allow a plaintext broker beyond this machine",
    quiet: "log errors only",
  },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const configFile = text(args, "config");
  if (configFile === undefined) throw new UsageError("which site? --config site.yaml");
  const insecureLab = flag(args, "insecure-lab");
  if (flag(args, "check")) return check(args, configFile, insecureLab);
  if (flag(args, "boot-pins")) throw new UsageError("--boot-pins goes with --check");
  return serve({ configFile, insecureLab, simTroubleMs: 0, quiet: flag(args, "quiet") });
}

function check(args: CliArgs, configFile: string, insecureLab: boolean): number {
  const report = checkSite(configFile, insecureLab);
  if (args.json) print(jsonText(report));
  else {
    for (const line of problemLines(report.problems)) note(`${paint("red", "problem")}: ${line}`);
    for (const line of report.warnings) note(`${paint("yellow", "warning")}: ${line}`);
    if (flag(args, "boot-pins")) return bootPinsOf(report);
    if (report.ok) print(`${configFile}: ${paint("green", "ok")}`);
    for (const [name, { off, booting, crashed, rebooting }] of Object.entries(report.outlets)) {
      print(
        `  ${name}: controller's machine off: ${off}; booting: ${booting}; rebooting: ${rebooting}; program crashed: ${crashed}`,
      );
    }
  }
  return report.ok ? EXIT.done : EXIT.usage;
}

function bootPinsOf({ ok, bootPins }: CheckReport): number {
  if (!ok) return EXIT.usage;
  if (bootPins === "") note("nothing is needed: no outlet is on a line of a Pi");
  else print(bootPins.trimEnd());
  return EXIT.done;
}

/** Runs until a signal, then ends cleanly. */
export async function serve(
  args: Parameters<typeof runController>[0],
  onReady: () => Promise<void> = async () => undefined,
): Promise<number> {
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  try {
    const controller = await runController(args);
    const watchdog = feedWatchdog(() => controller.standing());
    notify("READY=1");
    note("ready");
    await onReady();
    await ended;
    notify("STOPPING=1");
    await controller.stop();
    watchdog.stop();
    return EXIT.done;
  } catch (error) {
    if (!(error instanceof StartRefused)) throw error;
    for (const line of error.message.split("\n")) note(`towpath: ${line}`);
    return EXIT.usage;
  }
}
