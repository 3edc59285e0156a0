import { describe, expect, it } from "vitest";
import {
  encodeSessionData,
  encodeSessionMessage,
  readSessionRequest,
  SessionReader,
} from "../../src/protocol/session.ts";
import { seeded } from "../sim/random.ts";

const COUNT = process.env.TOWPATH_LONG ? 1_000_000 : 100_000;

describe("the frames of a session", () => {
  it("carry bytes and messages in order, however the stream is cut", () => {
    const big = new Uint8Array(200_000).fill(7);
    const stream = Buffer.concat([
      encodeSessionMessage({ t: "beat" }),
      encodeSessionData(Buffer.from("ls\r")),
      encodeSessionData(big),
      encodeSessionMessage({ t: "send", name: "break", confirmed: false }),
    ]);
    const random = seeded(3);
    const reader = new SessionReader();
    const seen: string[] = [];
    let bytes = 0;
    for (let at = 0; at < stream.length; ) {
      const end = at + random.between(1, 5_000);
      for (const frame of reader.push(stream.subarray(at, end))) {
        if ("data" in frame) bytes += frame.data.length;
        else seen.push(readSessionRequest(frame.message)?.t ?? "?");
      }
      at = end;
    }
    expect([bytes, seen, reader.broken]).toEqual([200_003, ["beat", "send"], false]);
  });

  it("a request that this version does not know is none", () => {
    for (const wrong of [null, [], { t: "fly" }, { t: "send" }, { t: "beat", x: 1 }, { t: "begin", lines: -1 }])
      expect(readSessionRequest(wrong)).toBeNull();
    expect(readSessionRequest({ t: "begin", sinceMs: 5 })).toEqual({ t: "begin", sinceMs: 5 });
  });

  it(`${COUNT} hostile inputs never throw, and what is broken stays broken`, () => {
    const random = seeded(9);
    let reader = new SessionReader();
    for (let n = 0; n < COUNT; n++) {
      const bytes = Uint8Array.from({ length: random.between(0, 12) }, () =>
        random.chance(0.7) ? random.pick([0, 1, 2, 123, 125]) : random.between(0, 256),
      );
      for (const frame of reader.push(bytes)) if ("message" in frame) readSessionRequest(frame.message);
      if (!reader.broken) continue;
      expect(reader.push(encodeSessionMessage({ t: "beat" }))).toEqual([]);
      reader = new SessionReader();
    }
  });
});
