import { createHash } from "node:crypto";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stateView } from "../../src/core/view.ts";
import { encodeEnvelope } from "../../src/protocol/envelope.ts";
import { packJson, unpackJson } from "../../src/protocol/packed.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { Bench } from "../core/bench.ts";

const STATE = `${siteRoot("acme", "one")}/up/state`;
const same = (a: Uint8Array, b: Uint8Array) => Buffer.from(a).equals(Buffer.from(b));

describe("JSON on its way over LTE", () => {
  it("comes out byte by byte as it went in, signed or not, whatever it is", () => {
    const sig = fc.uint8Array({ maxLength: 300 });
    const envelope = fc.record({ body: fc.uint8Array({ maxLength: 5_000 }), sigs: fc.array(sig, { maxLength: 4 }) });
    const text = fc.oneof(
      envelope.map((one) => encodeEnvelope(one)),
      fc.json(),
      fc.string({ maxLength: 3_000 }),
      // An envelope that somebody else wrote, with blanks and padding.
      envelope.map((one) => JSON.stringify(JSON.parse(encodeEnvelope(one)), null, 2)),
    );
    fc.assert(
      fc.property(text, (said) => {
        const payload = Buffer.from(said);
        const packed = packJson(STATE, payload);
        expect(packed.length).toBeLessThanOrEqual(payload.length);
        if (payload[0] !== 1) expect(same(unpackJson(STATE, packed), payload)).toBe(true);
      }),
    );
  });

  it("costs a signed state less than a third", () => {
    const bench = new Bench();
    bench.order("off", "nas1");
    bench.pass(1_000);
    const body = Buffer.from(JSON.stringify(stateView(bench.state, bench.nowMs, bench.state.items)));
    const sig = createHash("sha512").update(body).digest();
    const payload = Buffer.from(encodeEnvelope({ body, sigs: [Buffer.concat([sig, sig])] }));
    expect(packJson(STATE, payload).length / payload.length).toBeLessThan(0.33);
  });

  it("leaves chunks and commands alone, and what no version here has packed", () => {
    const chunk = Buffer.concat([Buffer.from([1, 1]), Buffer.alloc(500)]);
    for (const topic of ["up/capture/router1/rx", "dn/command", "up/stream/1"]) {
      const full = `${siteRoot("acme", "one")}/${topic}`;
      expect(packJson(full, chunk)).toBe(chunk);
      expect(unpackJson(full, chunk)).toBe(chunk);
    }
    for (const broken of [[1], [1, 2, 3], [2, 0, 0, 0], [], [0x7b, 0x7d]].map((one) => Buffer.from(one)))
      expect(unpackJson(STATE, broken)).toBe(broken);
  });

  it("does not blow up on who packs a gigabyte, nor on parts that do not add up", () => {
    const bomb = Buffer.concat([Buffer.from([1]), deflateRawSync(Buffer.alloc(50_000_000))]);
    expect(unpackJson(STATE, bomb)).toBe(bomb);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (parts) => {
        const packed = Buffer.concat([Buffer.from([1]), deflateRawSync(parts)]);
        expect(() => unpackJson(STATE, packed)).not.toThrow();
      }),
    );
  });
});
