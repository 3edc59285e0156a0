import { createContext, Script } from "node:vm";

/** A search over lines that a costly pattern cannot make endless. */
export interface LineSearch {
  /** Which of the lines match. */
  matching(lines: readonly string[]): readonly boolean[];
}

/** The pattern is none; `at` is where it stops making sense. */
export class BadPattern extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** The pattern needs too long on one line. */
export class CostlyPattern extends Error {}

/** So long may one line take. Any sound pattern needs less than a thousandth of it. */
export const LINE_MS = 1_000;

/** `lineMs` bounds the search in one line: a pattern that backtracks without end is given up with `CostlyPattern`. */
export function compileSearch(pattern: string, ignoreCase: boolean, lineMs: number = LINE_MS): LineSearch {
  const regex = compile(pattern, ignoreCase ? "i" : "");
  const context = createContext({ regex, lines: [] as readonly string[] });
  // Only a script of its own can be stopped while an expression is being matched.
  const script = new Script("lines.map((line) => regex.test(line))");
  const search = (lines: readonly string[]): boolean[] => {
    context.lines = lines;
    return Array.from(script.runInContext(context, { timeout: lineMs }) as ArrayLike<boolean>);
  };
  return {
    matching(lines) {
      try {
        return lines.length === 0 ? [] : search(lines);
      } catch (error) {
        if (!isTimeout(error)) throw error;
      }
      // All together were too much: which one is it?
      return lines.map((line) => {
        try {
          return search([line])[0] === true;
        } catch (error) {
          throw isTimeout(error) ? new CostlyPattern(pattern) : error;
        }
      });
    },
  };
}

/** It may be an `Error` of the script's own world. */
function isTimeout(error: unknown): boolean {
  return (
    typeof error === "object" && error !== null && "code" in error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
  );
}

function compile(pattern: string, flags: string): RegExp {
  const wrong = whyWrong(pattern, flags);
  if (wrong === null) return new RegExp(pattern, flags);
  // The longest beginning that still is a pattern ends where it goes wrong.
  let at = pattern.length - 1;
  while (at > 0 && whyWrong(pattern.slice(0, at), flags) !== null) at--;
  throw new BadPattern(wrong, at);
}

function whyWrong(pattern: string, flags: string): string | null {
  try {
    new RegExp(pattern, flags);
    return null;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return message.slice(message.lastIndexOf(": ") + 2).toLowerCase();
  }
}

/** Colours and other orders to a terminal inside a line: what a person sees is searched. */
const ORDERS =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences begin with one.
  /\u001b(?:\[[0-?]{0,64}[ -/]{0,16}[@-~]|\][^\u0007\u001b]{0,1024}(?:\u0007|\u001b\\)|[PX^_][^\u001b]{0,1024}\u001b\\|[ -/]{0,16}[0-OQ-WYZ\\`a-~])|\u009b[0-?]{0,64}[ -/]{0,16}[@-~]/g;

export function withoutOrders(text: string): string {
  return text.replace(ORDERS, "");
}
