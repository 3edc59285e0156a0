import { createInterface } from "node:readline/promises";

/** What reaches a person's terminal. Nothing that a site or a console said gets there unescaped. */

const COLOURS = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;

export function paint(colour: keyof typeof COLOURS, text: string): string {
  const plain = !process.stdout.isTTY || process.env.NO_COLOR !== undefined;
  return plain ? text : `\u001b[${COLOURS[colour]}m${text}\u001b[0m`;
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

export function printError(what: string, todo: string): void {
  note(`towpath: ${what}${todo === "" ? "" : `\n  ${todo}`}`);
}

/** Controls, and the characters that turn text around or hide in it. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

/** Text of others on one line: everything that does not print becomes an escape. */
export function safe(text: string): string {
  return [...text].map((char) => (UNPRINTABLE.test(char) ? escapeChar(char) : char)).join("");
}

function escapeChar(char: string): string {
  const point = char.codePointAt(0) ?? 0;
  if (point <= 0xff) return `\\x${point.toString(16).padStart(2, "0")}`;
  return point <= 0xffff ? `\\u${point.toString(16).padStart(4, "0")}` : `\\u{${point.toString(16)}}`;
}

/** JSON that a terminal survives: what does not print is escaped inside the strings. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value).replace(/[^\x20-\x7e]/gu, (char) =>
    UNPRINTABLE.test(char)
      ? [...Array(char.length).keys()].map((at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join("")
      : char,
  );
}

/**
 * A console's bytes as text for a terminal: newline and tab pass, a lone carriage return is a newline, bytes that are
 * not UTF-8 and characters that do not print are shown as escapes. Takes the bytes as they come.
 */
export class ConsoleText {
  private held: Uint8Array = new Uint8Array();
  private afterReturn = false;

  push(bytes: Uint8Array, end = false): string {
    const all = Buffer.concat([this.held, bytes]);
    let out = "";
    let at = 0;
    while (at < all.length) {
      const plain = plainEnd(all, at);
      if (plain > at) {
        out += all.toString("latin1", at, plain);
        at = plain;
        this.afterReturn = false;
        continue;
      }
      const length = sequenceLength(all[at] ?? 0);
      if (at + length > all.length && !end) break;
      const char = decodeOne(all.subarray(at, at + length));
      out += char === null ? `\\x${(all[at] ?? 0).toString(16).padStart(2, "0")}` : this.show(char);
      if (char === null) this.afterReturn = false;
      at += char === null ? 1 : length;
    }
    this.held = Uint8Array.from(all.subarray(at));
    return out;
  }

  private show(char: string): string {
    const again = char === "\n" && this.afterReturn;
    this.afterReturn = char === "\r";
    if (again) return "";
    if (char === "\n" || char === "\r") return "\n";
    return char !== "\t" && UNPRINTABLE.test(char) ? escapeChar(char) : char;
  }
}

/** Where the characters end that show as they are: most of what consoles say. */
function plainEnd(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let byte = bytes[at]; byte !== undefined && byte >= 0x20 && byte <= 0x7e; byte = bytes[at]) at++;
  return at;
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function sequenceLength(first: number): number {
  if (first < 0xc2 || first > 0xf4) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

function decodeOne(bytes: Uint8Array): string | null {
  try {
    return UTF8.decode(bytes);
  } catch {
    return null;
  }
}

export function interactive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

export async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await lines.question(question)).trim();
  } finally {
    lines.close();
  }
}
