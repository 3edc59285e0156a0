import { BadPattern, compileSearch, type LineSearch } from "../grep.ts";
import { parseWhen, WHEN_EXAMPLES, type When } from "../when.ts";
import { type CliArgs, flag, text, UsageError } from "./command.ts";

/** What `log` and `events` read alike from the command line. */

export interface TimeRange {
  readonly since: When | null;
  readonly until: When | null;
}

export const TIME_OPTIONS = { since: { type: "string" }, until: { type: "string" } } as const;

export const TIME_HELP = {
  since: `from then on: ${WHEN_EXAMPLES}`,
  until: "only what came before then, written the same way",
} as const;

export const GREP_OPTIONS = { grep: { type: "string" }, "ignore-case": { type: "boolean", short: "i" } } as const;

export function timesOf(args: CliArgs, nowMs: number): TimeRange {
  const [since, until] = [whenOf(args, "since", nowMs), whenOf(args, "until", nowMs)];
  if (since !== null && since.wallMs > nowMs)
    throw new UsageError(`--since ${since.text}: that is still to come; this machine says it is ${localTime(nowMs)}`);
  if (since !== null && until !== null && since.wallMs >= until.wallMs)
    throw new UsageError(`--since ${since.text} is not before --until ${until.text}`);
  return { since, until };
}

function whenOf(args: CliArgs, name: "since" | "until", nowMs: number): When | null {
  const written = text(args, name);
  if (written === undefined) return null;
  const when = parseWhen(written, nowMs);
  if (when === null) throw new UsageError(`--${name} ${written}: write ${WHEN_EXAMPLES}`);
  return when;
}

function localTime(ms: number): string {
  const date = new Date(ms);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function searchOf(args: CliArgs): LineSearch | null {
  const pattern = text(args, "grep");
  if (pattern === undefined) {
    if (flag(args, "ignore-case")) throw new UsageError("--ignore-case goes with --grep PATTERN");
    return null;
  }
  if (pattern === "") throw new UsageError("--grep wants a pattern");
  try {
    return compileSearch(pattern, flag(args, "ignore-case"));
  } catch (error) {
    if (!(error instanceof BadPattern)) throw error;
    const place = `${pattern}\n  ${" ".repeat(error.at)}^`;
    throw new UsageError(`--grep: ${error.message}, at character ${error.at + 1}:\n  ${place}`);
  }
}

/** Two options that cannot both be meant. */
export function refuseTogether(args: CliArgs, pairs: readonly (readonly [string, string])[]): void {
  const given = (name: string) => (name === "json" ? args.json : args.values[name] !== undefined);
  const pair = pairs.find(([one, other]) => given(one) && given(other));
  if (pair !== undefined) throw new UsageError(`--${pair[0]} and --${pair[1]} do not go together: leave one out`);
}
