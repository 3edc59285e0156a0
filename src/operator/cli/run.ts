import { parseArgs } from "node:util";
import { SettingsError, SigningError, Unreachable } from "../errors.ts";
import { type CliCommand, EXIT, SilentError, UsageError } from "./command.ts";
import { jsonText, printError } from "./out.ts";

type Verbs = Readonly<Record<string, { summary: string; load: () => Promise<{ command: CliCommand }> }>>;

/** Runs one verb and returns the exit code. */
export async function runCommand(verbs: Verbs, argv: readonly string[]): Promise<number> {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // `towpath log … | head` is no error.
    if (error.code === "EPIPE") process.exit(EXIT.done);
    printError(`the output cannot be written: ${error.message}`, "Look at the file or disk that it goes to.");
    process.exit(EXIT.failed);
  });
  const [verb, ...rest] = argv;
  if (verb === undefined || verb === "help" || verb === "--help" || verb === "-h") {
    process.stdout.write(overview(verbs));
    return verb === undefined ? EXIT.usage : EXIT.done;
  }
  if (verb === "--version") return await printVersion();
  const found = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  if (found === undefined) {
    printError(`there is no command "${verb}"`, "`towpath help` lists them.");
    return EXIT.usage;
  }
  const { command } = await found.load();
  if (rest.includes("--help") || rest.includes("-h")) {
    process.stdout.write(help(command));
    return EXIT.done;
  }
  const json = rest.includes("--json");
  try {
    const { positionals, values } = parseArgs({
      args: [...rest],
      options: { ...command.options, json: { type: "boolean" } },
      allowPositionals: true,
      strict: true,
    });
    return await command.run({ words: positionals, values, json });
  } catch (error) {
    return failure(error, command, json);
  }
}

function failure(error: unknown, command: CliCommand, json: boolean): number {
  const message = error instanceof Error ? error.message : String(error);
  const wrongArgs = error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  const expected = [UsageError, SilentError, SigningError, SettingsError, Unreachable].some(
    (kind) => error instanceof kind,
  );
  if (!expected && !wrongArgs) throw error;
  const code = error instanceof SilentError || error instanceof Unreachable ? EXIT.silent : EXIT.usage;
  if (json) process.stdout.write(`${jsonText({ ok: false, error: message })}\n`);
  else printError(message, wrongArgs ? `usage: towpath ${command.usage[0]}` : "");
  return code;
}

async function printVersion(): Promise<number> {
  const { packageVersion } = await import("../../version.ts");
  process.stdout.write(`towpath ${packageVersion()}\n`);
  return EXIT.done;
}

function overview(verbs: Verbs): string {
  const width = Math.max(...Object.keys(verbs).map((verb) => verb.length));
  const lines = Object.entries(verbs).map(([verb, { summary }]) => `  ${verb.padEnd(width)}  ${summary}`);
  return `Towpath: power, consoles and a path of their own, for places without staff.\n\nusage: towpath COMMAND …      \`towpath COMMAND --help\` tells more\n\n${lines.join("\n")}\n\nExit: 0 done · 2 usage or config · 3 rejected · 4 failed · 5 no answer, nothing sent · 6 sent, outcome unknown\n`;
}

function help(command: CliCommand): string {
  const usage = command.usage.map((line) => `  towpath ${line}`).join("\n");
  const options = Object.entries({
    ...command.optionHelp,
    json: command.optionHelp.json ?? "one JSON document instead of text",
  })
    .map(([name, what]) => `  ${`--${name}`.padEnd(18)} ${what}`)
    .join("\n");
  const examples = command.examples.map((line) => `  ${line}`).join("\n");
  return `${command.about}\n\nusage:\n${usage}\n\noptions:\n${options}\n\nexamples:\n${examples}\n`;
}
