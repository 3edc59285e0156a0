import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { unionOf } from "../../src/core/ranges.ts";
import { decodeAck, encodeAck } from "../../src/protocol/ack.ts";

const track = fc.record({
  boot: fc.nat(0xffffffff),
  track: fc.constantFrom("router1/rx", "router1/tx", "a/rx"),
  ranges: fc
    .array(fc.tuple(fc.nat(1_000), fc.nat(1_000)).map(([from, length]) => [from, from + length] as const))
    .map(unionOf),
});
const tracks = fc.uniqueArray(track, { selector: (one) => `${one.boot}/${one.track}` });

describe("an acknowledgement", () => {
  it("says the same after it has travelled", () => {
    fc.assert(
      fc.property(tracks, (all) => {
        const ack = { receiver: "vault", tracks: all };
        expect(decodeAck(encodeAck(ack))).toEqual(ack);
        expect(decodeAck(encodeAck({ ...ack, site: "acme/one" }))).toEqual({ ...ack, site: "acme/one" });
      }),
    );
  });

  it("of the ledger counts over boots, whichever the key names", () => {
    const body = Buffer.from('{"receiver": "vault", "tracks": {"77/ledger": [[5, 9], [0, 6]]}}');
    expect(decodeAck(body)?.tracks).toEqual([{ boot: 0, track: "ledger", ranges: [[0, 9]] }]);
  });

  it.each([
    ["no JSON", "{"],
    ["no receiver", '{"tracks": {}}'],
    ["a receiver that is no name", '{"receiver": "../up", "tracks": {}}'],
    ["a site that is no text", '{"receiver": "vault", "site": 7, "tracks": {}}'],
    ["tracks as a list", '{"receiver": "vault", "tracks": []}'],
    ["a track without a boot", '{"receiver": "vault", "tracks": {"router1/rx": [[0, 1]]}}'],
    ["a boot beyond 32 bits", '{"receiver": "vault", "tracks": {"4294967296/router1/rx": []}}'],
    ["a range that runs backwards", '{"receiver": "vault", "tracks": {"1/router1/rx": [[2, 1]]}}'],
    ["a range of three", '{"receiver": "vault", "tracks": {"1/router1/rx": [[0, 1, 2]]}}'],
    ["half a byte", '{"receiver": "vault", "tracks": {"1/router1/rx": [[0, 0.5]]}}'],
    ["one from below zero", '{"receiver": "vault", "tracks": {"1/router1/rx": [[-1, 5]]}}'],
  ])("is none when it has %s", (_, text) => expect(decodeAck(Buffer.from(text))).toBeNull());
});
