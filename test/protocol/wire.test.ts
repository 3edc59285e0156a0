import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CODES } from "../../src/core/codes.ts";
import { CHUNK_HEADER, type Chunk, chunkHead, decodeChunk, encodeChunk } from "../../src/protocol/chunk.ts";
import { decodeCommand } from "../../src/protocol/command.ts";
import { decodeEnvelope, encodeEnvelope } from "../../src/protocol/envelope.ts";
import { encodeFrame, type Frame, FrameReader } from "../../src/protocol/frame.ts";
import { filterMatches, parseTopic, shardOf, siteRoot, TOPICS, topicText } from "../../src/protocol/topics.ts";

const PROTOCOL = join(import.meta.dirname, "../../src/protocol");

describe("golden messages", () => {
  const golden = join(PROTOCOL, "golden");
  const files = readdirSync(golden).filter((file) => file.endsWith(".json"));

  it("there are some", () => expect(files.length).toBeGreaterThan(8));

  for (const file of files) {
    it(`${file} reads as it always did`, () => {
      const { body, expect: wanted } = JSON.parse(readFileSync(join(golden, file), "utf8")) as {
        body: unknown;
        expect: unknown;
      };
      const decoded = decodeCommand(Buffer.from(JSON.stringify(body)));
      expect(JSON.parse(JSON.stringify(decoded))).toEqual(wanted);
    });
  }
});

describe("topics", () => {
  const root = siteRoot("acme", "harbour-07");

  it("the shard is the first two hex digits of SHA-256 of fleet/site", () => {
    expect(root).toBe(`towpath/1/${shardOf("acme", "harbour-07")}/acme/harbour-07`);
    expect(shardOf("acme", "harbour-07")).toBe("99");
  });

  it("every topic of the table can be written and read", () => {
    const samples = [
      { name: "up/link/{uplink}", uplink: "lte" },
      { name: "up/birth" },
      { name: "up/state" },
      { name: "up/telemetry" },
      { name: "up/event" },
      { name: "up/reply" },
      { name: "dn/command" },
      { name: "dn/ack" },
      { name: "up/capture/{console}/{track}", console: "router1", track: "rx" },
      { name: "up/stream/{id}", id: "00112233445566778899aabbccddeeff" },
      { name: "dn/stream/{id}", id: "00112233445566778899aabbccddeeff" },
    ] as const;
    expect(samples.map(({ name }) => name).sort()).toEqual(Object.keys(TOPICS).sort());
    for (const topic of samples)
      expect(parseTopic(topicText(root, topic))).toEqual({ fleet: "acme", site: "harbour-07", topic });
  });

  it("what is not in the table is nothing", () => {
    const wrong = [
      "towpath/1/00/acme/harbour-07/dn/command",
      `${root}/dn`,
      `${root}/dn/command/x`,
      `${root}/up/capture/a/zz`,
      "",
      "towpath/2/x",
    ];
    for (const topic of wrong) expect(parseTopic(topic)).toBeNull();
    fc.assert(fc.property(fc.string(), (text) => parseTopic(text) === null || text.startsWith("towpath/1/")));
  });

  it("filters match as MQTT says", () => {
    expect(filterMatches("a/+/c", "a/b/c")).toBe(true);
    expect(filterMatches("a/#", "a/b/c")).toBe(true);
    expect(filterMatches("a/+", "a/b/c")).toBe(false);
    expect(filterMatches("a/b/c", "a/b")).toBe(false);
  });

  it("asyncapi.yaml says the same as the table", () => {
    const document = parse(readFileSync(join(PROTOCOL, "asyncapi.yaml"), "utf8")) as {
      channels: Record<string, { address: string; "x-retained": boolean; "x-signed": boolean; "x-qos": number }>;
    };
    const said = Object.values(document.channels).map((channel) => [
      channel.address.replace("towpath/1/{shard}/{fleet}/{site}/", ""),
      { retained: channel["x-retained"], signed: channel["x-signed"], qos: channel["x-qos"] },
    ]);
    expect(Object.fromEntries(said)).toEqual(TOPICS);
  });
});

describe("the manual", () => {
  it("lists every code with its text and remedy, and no other", () => {
    const manual = readFileSync(join(PROTOCOL, "README.md"), "utf8");
    const codes = manual.slice(manual.indexOf("## Codes"));
    const rows = [...codes.matchAll(/^\| `([a-z]+\.[a-z-]+)`\s*\| (.*?)\s*\| (.*?)\s*\|$/gm)].map(
      ([, code, text, remedy]) => [code, [text, remedy]],
    );
    expect(Object.fromEntries(rows)).toEqual(CODES);
  });
});

describe("envelopes and commands", () => {
  it("carry the exact bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.uint8Array(), { maxLength: 4 }), (body, sigs) => {
        const back = decodeEnvelope(encodeEnvelope({ body, sigs }));
        expect(back && [...back.body]).toEqual([...body]);
        expect(back?.sigs.map((sig) => [...sig])).toEqual(sigs.map((sig) => [...sig]));
      }),
    );
  });

  it("whatever arrives, nothing throws", () => {
    fc.assert(
      fc.property(fc.string(), (text) => void decodeEnvelope(text)),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => void decodeEnvelope(JSON.stringify(value))),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => !decodeCommand(bytes).ok),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => !decodeCommand(Buffer.from(JSON.stringify(value))).ok),
      { numRuns: 2_000 },
    );
  });

  it.each(["", "{}", "null", '{"body":1,"sigs":[]}', '{"body":"a+b","sigs":[]}', '{"body":"","sigs":["!"]}'])(
    "%j is no envelope",
    (text) => {
      expect(decodeEnvelope(text)).toBeNull();
    },
  );
});

describe("chunks", () => {
  const arbitrary = fc.record({
    boot: fc.nat(0xffffffff),
    offset: fc.maxSafeNat(),
    monoMs: fc.nat(2 ** 40),
    steps: fc.array(fc.record({ at: fc.nat(50), ms: fc.nat(100_000) }), { maxLength: 20 }),
    data: fc.uint8Array({ minLength: 1_000, maxLength: 3_000 }),
    history: fc.uint8Array({ maxLength: 500 }),
  });

  it("come back as they were, with a dictionary and without", () => {
    fc.assert(
      fc.property(arbitrary, ({ boot, offset, monoMs, steps, data, history }) => {
        let at = 0;
        let ms = monoMs;
        const marks = steps.map((step) => {
          at += step.at;
          ms += step.ms;
          return { at, monoMs: ms };
        });
        const chunk: Chunk = { boot, offset, monoMs, marks, data };
        for (const dictionary of [new Uint8Array(), history]) {
          const bytes = encodeChunk(chunk, dictionary);
          const back = decodeChunk(bytes, dictionary);
          expect(back && { ...back, data: [...back.data] }).toEqual({ ...chunk, data: [...data] });
        }
      }),
      { numRuns: 100 },
    );
  });

  it("the header is 24 bytes and says what the dictionary is", () => {
    const text = Buffer.from("the same words again and again, the same words again and again");
    const chunk: Chunk = { boot: 1, offset: 1000, monoMs: 5, marks: [], data: text };
    const bytes = encodeChunk(chunk, text);
    expect(chunkHead(bytes)).toEqual({ boot: 1, offset: 1000, dictionaryLength: text.length });
    expect(bytes.length).toBeLessThan(CHUNK_HEADER + 12);
    expect(decodeChunk(bytes)).toBeNull();
    expect(decodeChunk(bytes, text.subarray(1))).toBeNull();
  });

  it("broken ones are nothing: no throw, no growth", () => {
    const good = encodeChunk({
      boot: 1,
      offset: 0,
      monoMs: 0,
      marks: [{ at: 3, monoMs: 9 }],
      data: Buffer.alloc(9_000, "x"),
    });
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => void decodeChunk(bytes)),
      { numRuns: 3_000 },
    );
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const bent = Uint8Array.from(good);
        bent[at] = value;
        const chunk = decodeChunk(bent);
        return chunk === null || chunk.data.length <= 1024 * 1024;
      }),
      { numRuns: 3_000 },
    );
  });
});

describe("frames of the local socket", () => {
  const frame = fc.record({
    topic: fc.string({ maxLength: 40 }),
    payload: fc.uint8Array(),
    retained: fc.boolean(),
    subscribe: fc.boolean(),
  });

  it("come back whole, however the stream was cut", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.nat(40), { maxLength: 60 }), (frames, cuts) => {
        const stream = Buffer.concat(frames.map((one) => encodeFrame(one as Frame)));
        const reader = new FrameReader();
        const back: Frame[] = [];
        let at = 0;
        for (const cut of [...cuts, stream.length]) {
          back.push(...reader.push(stream.subarray(at, at + cut)));
          at = Math.min(stream.length, at + cut);
        }
        expect(back.map((one) => ({ ...one, payload: [...one.payload] }))).toEqual(
          frames.map((one) => ({ ...one, topic: Buffer.from(one.topic).toString("utf8"), payload: [...one.payload] })),
        );
      }),
    );
  });

  it("nonsense breaks the stream instead of being waited for", () => {
    const reader = new FrameReader();
    expect(reader.push(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0]))).toEqual([]);
    expect(reader.broken).toContain("4294967295");
  });
});
