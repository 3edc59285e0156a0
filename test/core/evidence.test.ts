import { describe, expect, it } from "vitest";
import type { LedgerRecord } from "../../src/core/ledger.ts";
import { Bench } from "./bench.ts";

/** What the ledger holds of who asked for what: the signed command itself, before anybody hears the answer. */

const of = (bench: Bench, kind: LedgerRecord["kind"]) => bench.records.filter((one) => one.kind === kind);

describe("evidence in the ledger", () => {
  it("a selection, its order and a lock are there with the command that was signed", () => {
    const bench = new Bench();
    const { id, nonce } = bench.select("cycle", "router1");
    expect(of(bench, "selected")).toMatchObject([{ id, by: "alice", verb: "cycle", target: "router1", nonce }]);
    bench.operate(nonce);
    bench.pass(30_000);
    bench.order("lock", "nas1");
    for (const kind of ["selected", "intent", "locked"] as const)
      for (const record of of(bench, kind))
        expect(JSON.parse("signed" in record ? String(record.signed) : "")).toMatchObject({ by: "alice" });
    expect(of(bench, "intent")).toHaveLength(1);
    expect(of(bench, "locked")).toHaveLength(1);
  });

  it("each ended command is followed by a request to sign the chain, and the signature is a record", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    bench.pass(30_000);
    expect(bench.effects.filter((one) => one.type === "checkpoint")).toHaveLength(1);
    bench.emit({ type: "checkpoint-signed", of: 9, sha256: "ab", signed: "{}" });
    expect(of(bench, "checkpoint")).toMatchObject([{ of: 9, sha256: "ab", signed: "{}" }]);
  });

  it.each([
    ["an unknown nonce", (bench: Bench) => bench.operate("none"), "nonce.unknown", "alice"],
    [
      "a newer trust",
      (bench: Bench) => bench.ask({ kind: "select", verb: "on", target: "nas1", args: {}, epoch: 9 }),
      "trust.behind",
      "alice",
    ],
    [
      "somebody else's nonce",
      (bench: Bench) => bench.operate(bench.select("on", "nas1").nonce, { by: "ruth" }),
      "nonce.mismatch",
      "ruth",
    ],
    ["a revoked operator", (bench: Bench) => bench.select("on", "nas1", {}, "rex"), "operator.revoked", "rex"],
    [
      "another's name",
      (bench: Bench) => bench.ask({ kind: "status", by: "vera" }, "vera", { signers: ["key-alice"] }),
      "operator.mismatch",
      "alice",
    ],
    ["another site", (bench: Bench) => bench.ask({ kind: "status", site: "acme/two" }), "message.wrong-site", "alice"],
    [
      "a look that the role does not allow",
      (bench: Bench) => bench.ask({ kind: "watch", args: { console: "other" } }),
      "console.unknown",
      "alice",
    ],
    [
      "an outcome that nobody knows",
      (bench: Bench) => bench.ask({ kind: "outcome", args: { id: "x" } }),
      "outcome.unknown",
      "alice",
    ],
  ])("a refusal of somebody who is known is a record: %s", (_, act, code, by) => {
    const bench = new Bench();
    const reply = act(bench);
    expect(reply).toMatchObject({ phase: "rejected", code });
    expect(of(bench, "refused")).toMatchObject([{ id: reply.id, by, code, reply: null }]);
  });

  it("what nobody known signed is counted, and is no record of its own", () => {
    const bench = new Bench();
    for (let count = 0; count < 100; count++)
      bench.ask({ kind: "select", verb: "on", target: "nas1", args: {} }, "alice", { signers: ["key-mallory"] });
    bench.pass(61_000);
    expect(of(bench, "refused")).toEqual([]);
    expect(of(bench, "ignored")).toMatchObject([
      { counts: { "signature.unknown-key": 1 } },
      { counts: { "signature.unknown-key": 99 } },
    ]);
  });

  it("a refusal goes out after its record, and where the card refuses it says that it may be forgotten", () => {
    const bench = new Bench();
    const { id } = bench.operate("none");
    const recorded = bench.effects.findIndex(
      (one) => one.type === "append" && one.records.some((record) => record.kind === "refused"),
    );
    const answered = bench.effects.findIndex((one) => one.type === "reply" && one.reply.id === id);
    expect(recorded).toBeGreaterThan(-1);
    expect(answered).toBeGreaterThan(recorded);
    bench.card = "refuses";
    expect(bench.operate("none either")).toMatchObject({ code: "nonce.unknown", durability: "memory" });
  });

  it("the same message over another connection is the same refusal, and no second record", () => {
    const bench = new Bench();
    const id = bench.id();
    for (const via of ["lte", "local"] as const) {
      const command = { kind: "status", id, site: "acme/two" } as const;
      expect(bench.ask(command, "alice", { via })).toMatchObject({ id, code: "message.wrong-site" });
    }
    expect(of(bench, "refused")).toHaveLength(1);
  });

  it("one operator's refusals fill the ledger with sixty records and one more a minute; the rest is counted by name", () => {
    const bench = new Bench();
    for (let count = 0; count < 200; count++) bench.operate(`none ${count}`);
    expect(of(bench, "refused")).toHaveLength(60);
    bench.pass(61_000);
    bench.operate("none again");
    bench.operate("none again and again");
    expect(of(bench, "refused")).toHaveLength(61);
    bench.pass(61_000);
    const counted = of(bench, "ignored").flatMap((one) => ("counts" in one ? Object.values(one.counts) : []));
    expect(counted.reduce((sum, one) => sum + one, 0)).toBe(141);
    expect(of(bench, "ignored").at(-1)).toMatchObject({ counts: { "nonce.unknown alice": expect.any(Number) } });
    expect(bench.operate("none", { by: "ruth" })).toMatchObject({ code: "nonce.unknown" });
    expect(of(bench, "refused").at(-1)).toMatchObject({ by: "ruth" });
  });

  it("who selects like a program that goes round in circles is stopped, and told for how long", () => {
    const bench = new Bench();
    for (let count = 0; count < 600; count++) expect(bench.select("on", "nas1").phase).toBe("selected");
    expect(bench.select("on", "nas1")).toMatchObject({ code: "select.too-many", retryAfterMs: 6_000 });
    bench.pass(6_000);
    expect(bench.select("on", "nas1").phase).toBe("selected");
    expect(bench.select("on", "nas1").phase).toBe("rejected");
  });

  it("an order that is asked for again while its record is on the way is answered once, to all who asked", () => {
    const bench = new Bench();
    const { nonce } = bench.select("on", "nas1");
    bench.card = "stalls";
    const id = bench.id();
    const before = bench.replies.length;
    bench.operate(nonce, { id });
    bench.operate(nonce, { id });
    expect(bench.replies.slice(before)).toEqual([]);
    bench.ask({ kind: "operate", id, verb: null, target: null, args: {}, nonce: String(nonce) }, "alice", {
      via: "local",
    });
    bench.pass(2_100);
    const accepted = bench.effects.filter((one) => one.type === "reply" && one.reply.phase === "accepted");
    expect(accepted).toMatchObject([{ via: "all" }]);
  });
});
