import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CODES, explain } from "../../src/core/codes.ts";
import { formatDuration, parseDuration } from "../../src/core/duration.ts";
import { applyRecord, EMPTY_DURABLE } from "../../src/core/ledger.ts";
import { energisedFor, powerOf } from "../../src/core/plan.ts";
import {
  addSelection,
  findSelection,
  NONCE_TTL_MS,
  type Selection,
  type Selections,
  spend,
} from "../../src/core/selection.ts";
import { advance, afterDrive, newSequence } from "../../src/core/sequence.ts";
import { plannedSteps } from "../../src/core/steps.ts";
import { parseTarget, targetText } from "../../src/core/target.ts";
import { acceptTrust, allows, identify, segmentCovers, type TrustDocument } from "../../src/core/trust.ts";
import { Bench, PLAN, TRUST } from "./bench.ts";

describe("contacts", () => {
  it("each combination of contact and relay, once and for all", () => {
    expect([
      energisedFor("no", "on"),
      energisedFor("no", "off"),
      energisedFor("nc", "on"),
      energisedFor("nc", "off"),
    ]).toEqual([true, false, false, true]);
  });

  it("what is driven reads back as what was meant", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("no", "nc"),
        fc.constantFrom("on", "off"),
        (contact, power) => powerOf(contact, energisedFor(contact, power)) === power,
      ),
    );
  });
});

describe("sequence", () => {
  const arbitrary = fc.record({
    verb: fc.constantFrom("on" as const, "off" as const, "cycle" as const),
    outlets: fc.constantFrom(["a1"], ["a1", "a2"], ["a5"], ["a5", "a1"]),
    waitMs: fc.nat(20_000),
    faults: fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
    sensor: fc.constantFrom("on" as const, "off" as const, "unknown" as const),
    steps: fc.array(fc.nat(5_000), { minLength: 200, maxLength: 200 }),
  });

  it("whatever fails on the way, it ends, and an on or cycle drives every outlet on last", () => {
    fc.assert(
      fc.property(arbitrary, ({ verb, outlets, waitMs, faults, sensor, steps }) => {
        const intent = {
          id: "x",
          by: "alice",
          verb,
          target: "t",
          reason: "",
          outlets,
          cuts: [],
          waitMs,
          durability: "synced" as const,
        };
        let nowMs = 0;
        const planned = plannedSteps(PLAN, verb, outlets, waitMs);
        let sequence = newSequence({ intent, via: "lte", steps: planned, recovery: false }, nowMs);
        const last = new Map<string, string>();
        let driven = 0;
        for (const step of [...steps, ...Array(50).fill(30_000)]) {
          nowMs += step;
          for (
            let progress = advance(sequence, () => sensor, nowMs);
            ;
            progress = advance(sequence, () => sensor, nowMs)
          ) {
            sequence = progress.sequence;
            if (progress.done) return verb === "off" || outlets.every((name) => last.get(name) === "on");
            if (progress.drive === null) break;
            last.set(progress.drive.outlet, progress.drive.power);
            sequence = afterDrive(sequence, progress.drive, faults[driven++] ? "no" : null, nowMs);
          }
        }
        return false;
      }),
    );
  });

  it("an outlet is driven at most once each way", () => {
    fc.assert(
      fc.property(arbitrary, ({ verb, outlets, waitMs }) => {
        const drives = plannedSteps(PLAN, verb, outlets, waitMs).flatMap((step) =>
          step.do === "drive" ? [`${step.outlet} ${step.power}`] : [],
        );
        return new Set(drives).size === drives.length;
      }),
    );
  });
});

describe("selection", () => {
  const selection = (nonce: string, atMs: number): Selection => ({
    nonce,
    id: nonce,
    by: "alice",
    verb: "on",
    asked: "d",
    targets: [{ device: "d", outlet: null }],
    outlets: [],
    args: {},
    selectedAtMs: atMs,
    used: false,
    reply: { id: nonce, phase: "selected" },
  });

  it("a nonce is good once, and only for its 60 seconds, whatever else is selected and spent", () => {
    const act = fc.record({
      what: fc.constantFrom("select", "find"),
      nonce: fc.constantFrom("a", "b", "c", "d"),
      pass: fc.nat(40_000),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        let all: Selections = [];
        let nowMs = 0;
        const born = new Map<string, number>();
        const spent = new Set<string>();
        for (const { what, nonce, pass } of acts) {
          nowMs += pass;
          if (what === "select" && !born.has(nonce)) {
            born.set(nonce, nowMs);
            all = addSelection(all, selection(nonce, nowMs));
          } else if (what === "find") {
            const found = findSelection(all, nonce, nowMs);
            const since = born.get(nonce);
            const good = since !== undefined && nowMs - since <= NONCE_TTL_MS && !spent.has(nonce);
            if (found.ok !== good) return false;
            if (found.ok) {
              spent.add(nonce);
              all = spend(all, nonce);
            }
          }
        }
        return true;
      }),
    );
  });

  it("holds a bounded number of them", () => {
    let all: Selections = [];
    for (let count = 0; count < 1_000; count++) all = addSelection(all, selection(`n${count}`, 0));
    expect(all.length).toBeLessThanOrEqual(128);
  });
});

describe("trust", () => {
  const offer = (document: Partial<TrustDocument>, signers: readonly string[] = ["root"]) => ({
    document: { ...TRUST, sha256: "other", ...document },
    signers,
  });

  it("takes a higher epoch signed by the old roots and the new, and nothing else", () => {
    const rooted = { threshold: 2, keys: ["r1", "r2", "r3"] };
    expect(acceptTrust(null, offer({}), "acme", null)).toEqual({ ok: true, changed: true });
    expect(acceptTrust(TRUST, offer({ epoch: 4 }), "acme", null)).toEqual({ ok: true, changed: true });
    expect(acceptTrust(TRUST, offer({ epoch: 3 }), "acme", null)).toEqual({ ok: false, code: "trust.lower" });
    expect(acceptTrust(TRUST, offer({ epoch: 4, fleet: "other" }), "acme", null)).toEqual({
      ok: false,
      code: "trust.invalid",
    });
    expect(acceptTrust(TRUST, offer({ epoch: 4 }, ["stranger"]), "acme", null)).toEqual({
      ok: false,
      code: "trust.signatures",
    });
    expect(acceptTrust(TRUST, offer({ epoch: 4, roots: rooted }, ["r1", "r2"]), "acme", null)).toEqual({
      ok: false,
      code: "trust.signatures",
    });
    expect(acceptTrust(TRUST, offer({ epoch: 4, roots: rooted }, ["root", "r1", "r2"]), "acme", null)).toEqual({
      ok: true,
      changed: true,
    });
    expect(acceptTrust(TRUST, offer({ epoch: 4, roots: rooted }, ["root", "r1"]), "acme", null)).toEqual({
      ok: false,
      code: "trust.signatures",
    });
  });

  it("does not go back below what the ledger has seen, even when the stored document is gone", () => {
    expect(acceptTrust(null, offer({ epoch: 3 }), "acme", { epoch: 4, sha256: "t4" })).toEqual({
      ok: false,
      code: "trust.lower",
    });
    expect(acceptTrust(null, offer({ epoch: 4, sha256: "t4" }), "acme", { epoch: 4, sha256: "t4" })).toEqual({
      ok: true,
      changed: true,
    });
  });

  it("whatever documents are offered in whatever order, the epoch never falls", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ epoch: fc.nat(6), good: fc.boolean() })), (offers) => {
        let present: TrustDocument | null = null;
        for (const { epoch, good } of offers) {
          const made = offer({ epoch, sha256: `e${epoch}` }, good ? ["root"] : ["stranger"]);
          const before: number = present === null ? -1 : (present as TrustDocument).epoch;
          const accepted = acceptTrust(present, made, "acme", null);
          if (accepted.ok && accepted.changed) present = made.document;
          if (present !== null && (present as TrustDocument).epoch < before) return false;
          if (accepted.ok && accepted.changed && !good) return false;
        }
        return true;
      }),
    );
  });

  it("a star stays inside its segment, and costs no more than its length", () => {
    expect(segmentCovers("har*-07", "harbour-07")).toBe(true);
    expect(segmentCovers("har*", "bar")).toBe(false);
    expect(segmentCovers("a*a", "a")).toBe(false);
    fc.assert(
      fc.property(fc.stringMatching(/^[ab*]{0,12}$/), fc.stringMatching(/^[ab]{0,12}$/), (pattern, text) => {
        const like = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
        return segmentCovers(pattern, text) === like.test(text);
      }),
    );
    const identity = { name: "x", roles: [{ verbs: ["view" as const], targets: ["*/router1"] }], epoch: 1 };
    expect(allows(identity, "view", "one", "router1")).toBe(true);
    expect(allows(identity, "view", "one", "router2")).toBe(false);
  });

  it("a revoked key or name speaks for nobody", () => {
    expect(identify(TRUST, ["key-rex"], 1, "rex")).toEqual({ ok: false, code: "operator.revoked" });
    expect(identify({ ...TRUST, revoked: ["key-alice"] }, ["key-alice"], 1, "alice")).toEqual({
      ok: false,
      code: "operator.revoked",
    });
  });

  it("a name of JavaScript is no role", () => {
    const odd = {
      ...TRUST,
      operators: [{ name: "eve", keys: ["k"], roles: ["constructor", "__proto__", "toString"] }],
    };
    expect(identify(odd, ["k"], 1, "eve")).toMatchObject({ ok: true, identity: { name: "eve", roles: [] } });
  });
});

describe("ledger", () => {
  it("a snapshot and what follows give the same state as all records from the beginning, wherever it is cut", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    bench.pass(30_000);
    bench.order("lock", "nas1");
    bench.order("off", "nas1");
    bench.order("off", "cam1", { forMs: 5_000 });
    bench.pass(60_000);
    const whole = bench.records.reduce(applyRecord, EMPTY_DURABLE);
    fc.assert(
      fc.property(fc.nat(bench.records.length), fc.nat(5), (cut, overlap) => {
        const snapshot = JSON.parse(JSON.stringify(bench.records.slice(0, cut).reduce(applyRecord, EMPTY_DURABLE)));
        const rest = bench.records.slice(Math.max(0, cut - overlap)).reduce(applyRecord, snapshot);
        expect(rest).toEqual(whole);
      }),
    );
    expect(whole).toEqual(bench.state.durable);
  });
});

describe("targets", () => {
  it("reads each form, with and without the site", () => {
    expect(parseTarget("router1", "one")).toEqual({ device: "router1", outlet: null });
    expect(parseTarget("one/router1:a1", "one")).toEqual({ device: "router1", outlet: "a1" });
    expect(parseTarget(":a1", "one")).toEqual({ device: null, outlet: "a1" });
    for (const bad of ["", ":", "two/router1", "a/b/c", "Router1", "router1:", "-x", "router1 "])
      expect(parseTarget(bad, "one")).toBeNull();
  });

  it("never throws, and what it reads it can write", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const target = parseTarget(text, "one");
        return target === null || parseTarget(targetText([target]), "one") !== null;
      }),
    );
  });
});

describe("durations and codes", () => {
  it("reads what people write", () => {
    expect(["500ms", "5s", "10m", "1h", "2d", "1.5s"].map(parseDuration)).toEqual([
      500, 5_000, 600_000, 3_600_000, 172_800_000, 1_500,
    ]);
    expect(["5", "s", "-1s", "1y", ""].map(parseDuration)).toEqual([null, null, null, null, null]);
    expect([formatDuration(500), formatDuration(90_000), formatDuration(7_200_000)]).toEqual([
      "500 ms",
      "1 min 30 s",
      "2 h 0 min",
    ]);
  });

  it("every code says what happened and what to do", () => {
    for (const [code, [text, remedy]] of Object.entries(CODES)) {
      expect(code).toMatch(/^[a-z]+\.[a-z-]+$/);
      expect(text.length).toBeGreaterThan(10);
      expect(remedy.length).toBeGreaterThan(10);
      expect(explain(code)).toContain(`(${code})`);
    }
  });
});
