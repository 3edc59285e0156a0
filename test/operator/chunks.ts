import fc from "fast-check";
import type { Chunk } from "../../src/protocol/chunk.ts";

/** Chunks for tests: text or bytes with their times, cut at will. */

export function chunk(offset: number, text: string | Uint8Array, monoMs = 0, boot = 1): Chunk {
  return { boot, offset, monoMs, marks: [], data: typeof text === "string" ? Buffer.from(text) : text };
}

/** The same bytes and times as a run of chunks, cut at these places. */
export function cut(bytes: Uint8Array, cuts: readonly number[], msPerByte = 1): Chunk[] {
  const places = [...new Set([0, ...cuts.map((at) => at % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return places.slice(0, -1).map((from, index) => {
    const data = bytes.subarray(from, places[index + 1]);
    const marks = [...data.keys()].slice(1).map((at) => ({ at, monoMs: (from + at) * msPerByte }));
    return { boot: 1, offset: from, monoMs: from * msPerByte, marks, data };
  });
}

/** What consoles say: text with every kind of trouble in it. */
export const consoleBytes = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc
    .array(
      fc.constantFrom(
        "login: ",
        "\r\n",
        "\n",
        "\r",
        "\u001b[31m",
        "\u001b]0;x\u0007",
        "日本",
        "✓",
        "\t",
        "a",
        "\u202e",
      ),
      { maxLength: 30 },
    )
    .map((parts) => Uint8Array.from(Buffer.from(parts.join("")))),
);
