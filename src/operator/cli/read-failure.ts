import { ReadFailed, UnknownConsole } from "../capture-source.ts";
import { Unreachable } from "../errors.ts";
import { CostlyPattern, LINE_MS } from "../grep.ts";
import { Interrupted, Refused, Silent } from "../site-source.ts";
import { EXIT, SilentError, UsageError } from "./command.ts";
import { printError } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export interface EndedRead {
  readonly json: boolean;
  readonly place: { readonly name: string; silence(): Error };
  readonly note: (line: string) => void;
  /** Where it can be gone on with, if something was shown. */
  readonly reached: { readonly boot: number; readonly offset: number } | null;
}

/** Why a read ended early, in words, with where to go on; gives the exit code. */
export function failureOfRead(error: unknown, { json, place, note, reached }: EndedRead): number {
  if (error instanceof UnknownConsole) return tellRejected(json, unknownConsole(place.name, error.message));
  if (error instanceof Refused) return tellRejected(json, error.reply);
  const ours = isLost(error) || [Interrupted, ReadFailed, CostlyPattern].some((kind) => error instanceof kind);
  if (!ours) throw error;
  if (reached !== null)
    note(
      `-- not all of it: it ends before byte ${reached.offset} of boot ${reached.boot}; go on with --from ${reached.boot}/${reached.offset} --`,
    );
  if (error instanceof Interrupted) return EXIT.failed;
  if (error instanceof ReadFailed) {
    printError(error.message, "Try again.");
    return EXIT.failed;
  }
  if (error instanceof CostlyPattern)
    throw new UsageError(
      `--grep: the pattern took over ${LINE_MS / 1_000} s on one line; write it without repeats inside repeats, as (a+)+`,
    );
  throw error instanceof Unreachable ? new SilentError(error.message) : place.silence();
}

function unknownConsole(name: string, detail: string) {
  return { id: "", phase: "rejected", code: "console.unknown", detail: detail === name ? name : `${name}: ${detail}` };
}

/** Nobody answered, or the connection went. */
export function isLost(error: unknown): boolean {
  return error instanceof Silent || error instanceof Unreachable;
}
