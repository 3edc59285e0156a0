import { PANIC_BEGINS, PANIC_WORDS } from "../core/panic.ts";

/** Finds the last words of a kernel in a stream of bytes, also where they are cut in two. */

const BEFORE = ["\n", "\r", "\t", " ", "]"];

const PATTERNS = [...PANIC_WORDS, ...PANIC_BEGINS.flatMap((word) => BEFORE.map((char) => `${char}${word}`))];

/** One automaton for all words (Aho and Corasick): a table of states by byte; the last state means found. */
const TABLE = build(PATTERNS);
const FOUND = TABLE.length / 256 - 1;

const SHORTEST = Math.min(...PATTERNS.map(({ length }) => length));
/** Two bytes that follow each other somewhere in a word: what lies around others need not be looked at. */
const PAIRS = pairsOf(PATTERNS);

export interface PanicSearch {
  /** True when a word ended in these bytes. */
  feed(bytes: Uint8Array): boolean;
}

export function createPanicSearch(): PanicSearch {
  let state = 0;
  return {
    feed(bytes) {
      let found = false;
      for (let at = 0; at < bytes.length; at++) {
        if (state === 0) at = skipFrom(bytes, at);
        state = TABLE[(state << 8) | (bytes[at] ?? 0)] ?? 0;
        if (state !== FOUND) continue;
        found = true;
        state = 0;
      }
      return found;
    },
  };
}

/** Where the next word could begin, at the earliest: each that began before would hold these two bytes. */
function skipFrom(bytes: Uint8Array, from: number): number {
  let at = from;
  const last = bytes.length - SHORTEST;
  while (at <= last) {
    const pair = ((bytes[at + SHORTEST - 2] ?? 0) << 8) | (bytes[at + SHORTEST - 1] ?? 0);
    if (PAIRS[pair] === 1) break;
    at += SHORTEST - 1;
  }
  return at;
}

function pairsOf(patterns: readonly string[]): Uint8Array {
  const pairs = new Uint8Array(256 * 256);
  const written = (char: string): number[] => [char.toLowerCase(), char.toUpperCase()].map((one) => one.charCodeAt(0));
  for (const word of patterns) {
    for (let at = 0; at + 1 < word.length; at++) {
      for (const first of written(word.charAt(at)))
        for (const second of written(word.charAt(at + 1))) pairs[(first << 8) | second] = 1;
    }
  }
  return pairs;
}

function build(patterns: readonly string[]): Uint16Array {
  const prefixes = [...new Set(patterns.flatMap((word) => [...word].map((_, end) => word.slice(0, end))))];
  const table = new Uint16Array((prefixes.length + 1) * 256);
  const found = prefixes.length;
  for (const [state, prefix] of prefixes.entries()) {
    for (let byte = 0; byte < 256; byte++) {
      const text = prefix + String.fromCharCode(byte).toLowerCase();
      const next = patterns.some((word) => text.endsWith(word)) ? found : longestEnd(text, prefixes);
      table[(state << 8) | byte] = next;
    }
  }
  return table;
}

/** The longest prefix of a word that the text ends with. */
function longestEnd(text: string, prefixes: readonly string[]): number {
  for (let from = 0; from < text.length; from++) {
    const state = prefixes.indexOf(text.slice(from));
    if (state >= 0) return state;
  }
  return prefixes.indexOf("");
}
