import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { decodeAck } from "../../src/protocol/ack.ts";
import { chunkHead, decodeChunk } from "../../src/protocol/chunk.ts";
import { bent } from "../bent.ts";

const GOLDEN = join(import.meta.dirname, "../../src/protocol/golden");

function golden<T>(folder: string): [name: string, value: T][] {
  return readdirSync(join(GOLDEN, folder)).map((file) => [
    file,
    JSON.parse(readFileSync(join(GOLDEN, folder, file), "utf8")) as T,
  ]);
}

const ACKS = golden<{ body: unknown; expect: unknown }>("acks");
const CHUNKS = golden<{ hex: string; before: string; expect: { offset: number; data: string } }>("chunks");

describe("golden acknowledgements and chunks", () => {
  it.each(ACKS)("%s reads as it always did", (_, { body, expect: wanted }) => {
    expect(decodeAck(Buffer.from(JSON.stringify(body)))).toEqual(wanted);
  });

  it.each(CHUNKS)("%s reads as it always did", (_, { hex, before, expect: wanted }) => {
    const bytes = Buffer.from(hex, "hex");
    const chunk = decodeChunk(bytes, Buffer.from(before));
    expect(chunk && { ...chunk, data: Buffer.from(chunk.data).toString() }).toEqual(wanted);
    expect(chunkHead(bytes)).toMatchObject({ offset: wanted.offset, dictionaryLength: before.length });
  });
});

const LONG = process.env.TOWPATH_LONG !== undefined;

describe("whatever comes as one", () => {
  it("a chunk is whole or nothing, and never more than 1 MiB of text", () => {
    const seeds = CHUNKS.map(([, { hex }]) => Buffer.from(hex, "hex"));
    const dictionary = Buffer.from(CHUNKS.map(([, { before }]) => before).join(""));
    const counts = { whole: 0, nothing: 0 };
    for (const bytes of bent(seeds, LONG ? 500_000 : 40_000)) {
      const chunk = decodeChunk(bytes, dictionary);
      counts[chunk === null ? "nothing" : "whole"]++;
      if (chunk === null) continue;
      expect(chunk.data.length).toBeLessThanOrEqual(1024 * 1024);
      expect(chunk.marks.length).toBeLessThanOrEqual(bytes.length);
    }
    expect(Math.min(counts.whole, counts.nothing)).toBeGreaterThan(1_000);
  });

  it("an acknowledgement is whole or nothing, its ranges in order", () => {
    const seeds = ACKS.map(([, { body }]) => Buffer.from(JSON.stringify(body)));
    const counts = { whole: 0, nothing: 0 };
    for (const bytes of bent(seeds, LONG ? 500_000 : 40_000)) {
      const ack = decodeAck(bytes);
      counts[ack === null ? "nothing" : "whole"]++;
      for (const { ranges } of ack?.tracks ?? []) {
        const flat = ranges.flat();
        expect(flat.every((value, at) => value > (flat[at - 1] ?? -1))).toBe(true);
      }
    }
    expect(Math.min(counts.whole, counts.nothing)).toBeGreaterThan(1_000);
  });
});
