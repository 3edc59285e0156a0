import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Backoff, SITE_RHYTHM } from "../../src/link/backoff.ts";
import { chunksOf } from "../../src/link/chunking.ts";
import { PacketCap } from "../../src/link/packet-cap.ts";

function packet(type: number, flags: number, body: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = body.length;
  do {
    const byte = rest % 128;
    rest = Math.floor(rest / 128);
    length.push(rest > 0 ? byte | 128 : byte);
  } while (rest > 0);
  return Buffer.concat([Buffer.from([(type << 4) | flags]), Buffer.from(length), body]);
}

function publish(topic: string, payload: Uint8Array, version: 4 | 5): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(topic.length);
  return packet(
    3,
    2,
    Buffer.concat([
      head,
      Buffer.from(topic),
      Buffer.from([0, 9]),
      version === 5 ? Buffer.from([0]) : Buffer.alloc(0),
      payload,
    ]),
  );
}

describe("the cap before the parser", () => {
  it("passes what is small unchanged, however it was cut, and empties what is large", () => {
    const arbitrary = fc.array(fc.record({ large: fc.boolean(), size: fc.nat(300) }), { maxLength: 8 });
    fc.assert(
      fc.property(
        arbitrary,
        fc.constantFrom(4 as const, 5 as const),
        fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 80 }),
        (packets, version, cuts) => {
          const topics: string[] = [];
          const cap = new PacketCap({ limitBytes: 400, version, onOversized: (topic) => topics.push(topic) });
          const made = packets.map(({ large, size }, index) => ({
            large,
            topic: `t${index}`,
            payload: Buffer.alloc(large ? 1_000 + size : size, index),
          }));
          const stream = Buffer.concat(made.map(({ topic, payload }) => publish(topic, payload, version)));
          const out: Buffer[] = [];
          let at = 0;
          for (const cut of [...cuts, stream.length]) {
            out.push(...cap.push(stream.subarray(at, at + cut)));
            at = Math.min(stream.length, at + cut);
          }
          expect(topics).toEqual(made.filter(({ large }) => large).map(({ topic }) => topic));
          expect(
            Buffer.concat(out).equals(
              Buffer.concat(
                made.map(({ large, topic, payload }) => publish(topic, large ? Buffer.alloc(0) : payload, version)),
              ),
            ),
          ).toBe(true);
        },
      ),
    );
  });

  it("ends a connection that announces anything else of that size", () => {
    const cap = new PacketCap({ limitBytes: 400, version: 5, onOversized: () => undefined });
    expect(() => cap.push(packet(4, 0, Buffer.alloc(2_000)))).toThrow("type 4");
    const other = new PacketCap({ limitBytes: 400, version: 5, onOversized: () => undefined });
    expect(() => other.push(Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]))).toThrow();
  });

  it("holds no more than it must of a packet that is dropped", () => {
    const cap = new PacketCap({ limitBytes: 400, version: 4, onOversized: () => undefined });
    cap.push(publish("t", Buffer.alloc(1_000_000), 4).subarray(0, 600_000));
    expect(cap.heldBytes).toBe(0);
  });
});

describe("reconnecting", () => {
  it("never gives up, spreads over minutes what was lost in one moment, and wider where it was the broker", () => {
    let toss = 0;
    const dice = () => (toss = (toss + 0.37) % 1);
    const [path, broker] = [new Backoff(SITE_RHYTHM, dice), new Backoff(SITE_RHYTHM, dice)];
    expect(path.next(false)).toBeLessThanOrEqual(1_000);
    const far = Array.from({ length: 200 }, () => path.next(false)).slice(20);
    expect(Math.max(...far)).toBeLessThanOrEqual(300_000);
    expect(Math.max(...far)).toBeGreaterThan(250_000);
    expect(Math.min(...far)).toBeLessThan(50_000);
    const outage = Array.from({ length: 200 }, () => broker.next(true)).slice(20);
    expect(Math.max(...outage)).toBeGreaterThan(550_000);
    expect(Math.max(...outage)).toBeLessThanOrEqual(600_000);
    // A thousand sites, each minute of the ten its share.
    const shares = Array.from({ length: 10 }, (_, minute) => outage.filter((at) => Math.floor(at / 60_000) === minute));
    expect(shares.every((share) => share.length > 10)).toBe(true);
  });

  it("is soon again after a connection that lasted, and never at once", () => {
    const backoff = new Backoff(SITE_RHYTHM, () => 0);
    for (let count = 0; count < 20; count++) expect(backoff.next(true)).toBe(200);
    const late = new Backoff(SITE_RHYTHM, () => 1);
    for (let count = 0; count < 20; count++) late.next(false);
    late.reset();
    expect(late.next(false)).toBe(1_000);
  });
});

describe("chunks of a range", () => {
  it("hold every byte once, with a mark where the time moved on, and none over a gap", () => {
    const piece = fc.record({
      skip: fc.nat(3),
      data: fc.uint8Array({ minLength: 1, maxLength: 5_000 }),
      later: fc.nat(50),
    });
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        let offset = 0;
        let monoMs = 100;
        const range = pieces.map(({ skip, data, later }) => {
          offset += skip;
          monoMs += later;
          const made = { offset, monoMs, data };
          offset += data.length;
          return made;
        });
        const chunks = chunksOf(1, range);
        const bytes = (list: readonly { offset: number; data: Uint8Array }[]) =>
          list.flatMap((one) => [...one.data].map((byte, at) => [one.offset + at, byte]));
        expect(bytes(chunks)).toEqual(bytes(range));
        for (const chunk of chunks)
          expect(
            chunk.marks.every(
              (mark, at) => mark.at < chunk.data.length && mark.monoMs > (chunk.marks[at - 1]?.monoMs ?? chunk.monoMs),
            ),
          ).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});
