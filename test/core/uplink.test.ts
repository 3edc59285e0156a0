import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judge, NEW_TRACK, penaltyAt, type Round, takeRound, type UplinkTrack } from "../../src/core/uplink.ts";

const WELL: Round = {
  interface: "eth0",
  carrier: true,
  addresses: ["10.0.0.2"],
  gateway: { address: "10.0.0.1", alive: true },
  anchors: [true, true],
  dns: { own: true, other: true },
  page: "ok",
  broker: { ok: true, detail: "" },
};
const DARK: Round = {
  ...WELL,
  anchors: [false, false],
  dns: { own: false, other: false },
  page: "silent",
  broker: null,
};

const rounds = fc.record<Round>({
  interface: fc.constant("eth0"),
  carrier: fc.boolean(),
  addresses: fc.constantFrom([], ["10.0.0.2"]),
  gateway: fc.option(fc.record({ address: fc.constant("10.0.0.1"), alive: fc.boolean() })),
  anchors: fc.array(fc.boolean(), { minLength: 2, maxLength: 4 }),
  dns: fc.record({ own: fc.option(fc.boolean()), other: fc.option(fc.boolean()) }),
  page: fc.option(fc.constantFrom("ok" as const, "captive" as const, "silent" as const)),
  broker: fc.option(fc.record({ ok: fc.boolean(), detail: fc.constant("x") })),
});

/** Rounds as they come: each good one 5 s after the one before, each bad one 1 s. */
function replay(
  all: readonly Round[],
  from: UplinkTrack = NEW_TRACK,
  startMs = 0,
): { track: UplinkTrack; nowMs: number } {
  let [track, nowMs] = [from, startMs];
  for (const round of all) {
    nowMs += judge(round) === null ? 5_000 : 1_000;
    track = takeRound(track, round, nowMs);
  }
  return { track, nowMs };
}

const times = (count: number, round: Round): Round[] => Array.from({ length: count }, () => round);

describe("why the primary is down", () => {
  it("each layer has its word", () => {
    const cause = (change: Partial<Round>) => judge({ ...DARK, ...change })?.cause;
    expect(cause({ carrier: false })).toBe("link");
    expect(cause({ addresses: [] })).toBe("l2");
    expect(cause({ gateway: null })).toBe("l2");
    expect(cause({ gateway: { address: "10.0.0.1", alive: false } })).toBe("l2");
    expect(cause({})).toBe("upstream");
    expect(cause({ page: "captive" })).toBe("captive");
    expect(judge({ ...WELL, dns: { own: false, other: true } })?.cause).toBe("dns");
    expect(judge({ ...WELL, broker: { ok: false, detail: "refused" } })?.cause).toBe("service");
    expect(judge(WELL)).toBeNull();
  });

  it("a public resolver that a firewall keeps away is no fault while the site's own answers", () => {
    expect(judge({ ...WELL, dns: { own: true, other: false } })).toBeNull();
  });

  it("never blames the wire while an anchor behind it answers", () => {
    fc.assert(
      fc.property(rounds, (round) => {
        const cause = judge(round)?.cause;
        if (round.carrier && round.anchors.some(Boolean)) expect(["l2", "upstream", "link"]).not.toContain(cause);
        if (!round.carrier) expect(cause).toBe("link");
      }),
    );
  });

  it("is down after three bad rounds in a row, or six of ten, and not before", () => {
    const well = replay(times(10, WELL)).track;
    expect(well.verdict).toBe("ok");
    expect(replay(times(2, DARK), well).track.verdict).toBe("ok");
    expect(replay(times(3, DARK), well).track.verdict).toBe("upstream");
    const limping = [DARK, DARK, WELL];
    expect(replay([...limping, ...limping, DARK], well).track.verdict).toBe("ok");
    expect(replay([...limping, ...limping, DARK, DARK], well).track.verdict).toBe("upstream");
  });

  it("is up again after ten good rounds that took a minute, not sooner", () => {
    const down = replay([...times(10, WELL), ...times(3, DARK)]);
    const nearly = replay(times(10, WELL), down.track, down.nowMs);
    expect(nearly.track.verdict).toBe("upstream");
    expect(replay(times(4, WELL), nearly.track, nearly.nowMs).track.verdict).toBe("ok");
    const broken = replay([...times(9, WELL), DARK, ...times(9, WELL)], down.track, down.nowMs);
    expect(broken.track.verdict).toBe("upstream");
  });

  it("a reason that becomes clearer replaces the first one, an odd round does not", () => {
    const down = replay([WELL, ...times(3, DARK)]).track;
    const gone = { ...DARK, gateway: { address: "10.0.0.1", alive: false } };
    expect(replay([gone], down).track.verdict).toBe("upstream");
    expect(replay([gone, gone], down).track.verdict).toBe("l2");
  });

  it("what flaps is held back, and believed again within the hour", () => {
    let state = replay(times(1, WELL));
    for (let turn = 0; turn < 4; turn++) {
      state = replay(times(3, DARK), state.track, state.nowMs);
      state = replay(times(14, WELL), state.track, state.nowMs);
    }
    expect(state.track.verdict).toBe("upstream");
    expect(penaltyAt(state.track, state.nowMs)).toBeGreaterThan(1_500);
    const hour = replay(times(720, WELL), state.track, state.nowMs);
    expect(hour.track.verdict).toBe("ok");
  });

  it("whatever comes, it says no other than what a round said, and its memory stays small", () => {
    fc.assert(
      fc.property(fc.array(rounds, { maxLength: 60 }), (all) => {
        const { track } = replay(all);
        const said = new Set<string>(["unknown", "ok", ...all.map((round) => judge(round)?.cause ?? "ok")]);
        expect(said.has(track.verdict)).toBe(true);
        expect(track.window.length).toBeLessThanOrEqual(10);
      }),
    );
  });
});
