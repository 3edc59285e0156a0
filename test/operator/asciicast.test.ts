import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CastWriter } from "../../src/operator/cli/asciicast.ts";
import type { Item } from "../../src/operator/pieces.ts";
import { chunk, consoleBytes, cut } from "./chunks.ts";

type Event = [seconds: number, kind: string, text: string];

function cast(items: readonly Item[], clocks: Parameters<CastWriter["learnClocks"]>[0] = []) {
  const written: string[] = [];
  const writer = new CastWriter("demo/router1", (line) => written.push(line));
  writer.learnClocks(clocks);
  for (const item of items) writer.item(item);
  writer.end();
  const [header, ...events] = written
    .join("")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  return { header, events: events as Event[], lines: written };
}

describe("an asciicast", () => {
  it("has all the text as it would be decoded in one piece, in time order, however it was cut", () => {
    fc.assert(
      fc.property(consoleBytes, fc.array(fc.nat(80), { maxLength: 8 }), (bytes, cuts) => {
        const { header, events, lines } = cast(cut(bytes, cuts).map((one) => ({ chunk: one })));
        expect(header).toMatchObject({ version: 2, width: 80, height: 24 });
        expect(events.map(([, , text]) => text).join("")).toBe(Buffer.from(bytes).toString("utf8"));
        const times = events.map(([seconds]) => seconds);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        expect(lines.every((line) => line.endsWith("\n") && !line.slice(0, -1).includes("\n"))).toBe(true);
      }),
    );
  });

  it("keeps the pauses that there were, also inside a piece", () => {
    const spoken = { ...chunk(0, "login: root\r\n", 5_000), marks: [{ at: 7, monoMs: 8_250 }] };
    const { header, events } = cast(
      [{ chunk: spoken }, { chunk: chunk(13, "# ", 9_000) }],
      [{ boot: 1, mono: 0, wall: 1_700_000_000_000 }],
    );
    expect(header.timestamp).toBe(1_700_000_005);
    expect(events).toEqual([
      [0, "o", "login: "],
      [3.25, "o", "root\r\n"],
      [4, "o", "# "],
    ]);
  });

  it("marks gaps and restarts, and shows a character that a gap tore as unreadable", () => {
    const torn = Buffer.from("✓").subarray(0, 2);
    const { events } = cast([
      { chunk: chunk(0, torn, 1_000) },
      { boot: 1, gap: { cause: "replug", length: null, offset: 2, monoMs: 2_000 } },
      { chunk: chunk(2, "on", 2_500) },
      { chunk: chunk(0, "again", 70, 2) },
    ]);
    expect(events.map(([seconds, kind]) => [seconds, kind])).toEqual([
      [0, "o"],
      [1, "m"],
      [1.5, "o"],
      [2.5, "m"],
      [2.5, "o"],
    ]);
    expect(events[0]?.[2]).toBe("\ufffd");
    expect(events[1]?.[2]).toContain("replug");
  });

  it("lasts as long as the site was dark where both clocks are known", () => {
    const clocks = [
      { boot: 1, mono: 0, wall: 1_000_000 },
      { boot: 2, mono: 0, wall: 1_600_000 },
    ];
    const { events } = cast([{ chunk: chunk(0, "a", 10_000) }, { chunk: chunk(0, "b", 5_000, 2) }], clocks);
    expect(events.at(-1)).toEqual([595, "o", "b"]);
  });

  it("of nothing is still one that opens", () => expect(cast([]).header.version).toBe(2));
});
