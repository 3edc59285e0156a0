import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/messages.ts";
import type { Preview } from "../../src/core/preview.ts";
import { Bench, outlet, PLAN } from "./bench.ts";

const codes = (reply: Reply | undefined) => [reply?.phase, reply?.code];

describe("select", () => {
  it("moves nothing and shows what would move, what loses power and how things stand", () => {
    const bench = new Bench();
    const reply = bench.select("cycle", "router1");
    const preview = reply.preview as Preview;
    expect(reply.phase).toBe("selected");
    expect(preview.moves).toEqual([
      { outlet: "a1", power: "off" },
      { outlet: "a2", power: "off" },
      { waitMs: 10_000 },
      { outlet: "a1", power: "on" },
      { waitMs: 500 },
      { outlet: "a2", power: "on" },
    ]);
    expect(preview.loses).toEqual(["router1"]);
    expect(preview.facts.a1?.driven.value).toBe("on");
    expect(bench.drives).toEqual([]);
  });

  it("says beforehand when the path of the controller is among it", () => {
    const preview = new Bench().select("cycle", "switch1").preview as Preview;
    expect(preview.ownBranch).toBe("path");
    expect(preview.warnings.join()).toContain("path");
  });

  it("warns of everything when the config does not say what feeds the controller", () => {
    const bench = new Bench({ ...PLAN, ownBranch: { declared: false, controller: [], path: [] } });
    const preview = bench.select("off", "nas1").preview as Preview;
    expect(preview.ownBranch).toBe("undeclared");
    expect(preview.warnings).toHaveLength(1);
  });

  it.each([
    ["nosuch", "target.unknown"],
    ["router1:a3", "target.unknown"],
    ["other/router1", "target.unknown"],
    ["", "target.unknown"],
    ["dumb1", "target.no-outlets"],
  ])("a target %j is refused with %s", (target, code) => {
    expect(codes(new Bench().select("on", target))).toEqual(["rejected", code]);
  });

  it("a viewer cannot select a switch, and a role for routers none for the rest", () => {
    const bench = new Bench();
    expect(codes(bench.select("cycle", "router1", {}, "vera"))).toEqual(["rejected", "role.denied"]);
    expect(bench.select("cycle", "router1", {}, "ruth").phase).toBe("selected");
    expect(codes(bench.select("cycle", "nas1", {}, "ruth"))).toEqual(["rejected", "role.denied"]);
    expect(codes(bench.select("off", "router1", {}, "ruth"))).toEqual(["rejected", "role.denied"]);
  });

  it("needs the right over every device that the outlet feeds, not only the one that was named", () => {
    const devices = {
      ...PLAN.devices,
      door1: { name: "door1", outlets: ["a1"], consoles: [], after: [], address: null },
    };
    const bench = new Bench({ ...PLAN, devices });
    expect(codes(bench.select("cycle", "router1", {}, "ruth"))).toEqual(["rejected", "role.denied"]);
  });

  it("repeated over a second connection, it is answered with the same nonce", () => {
    const bench = new Bench();
    const first = bench.select("on", "nas1");
    const again = bench.ask({ kind: "select", verb: "on", target: "nas1", args: {}, id: first.id });
    expect(again.nonce).toBe(first.nonce);
  });
});

describe("operate", () => {
  it("a cycle takes both supplies off together, waits the longest off time, and staggers the starts", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    bench.pass(20_000);
    expect(bench.drives.map(({ relay, energised, atMs }) => [relay, energised, atMs - 100_000])).toEqual([
      [1, true, 0],
      [2, true, 0],
      [1, false, 10_000],
      [2, false, 10_500],
    ]);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "commanded", durability: "synced" });
  });

  it("a site that is asked for its status all the time pays in time all the same, although its timers come late", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    for (let asked = 0; asked < 600; asked++) {
      bench.nowMs += 20;
      bench.ask({ kind: "status" });
    }
    expect(bench.lines).toMatchObject({ 1: false, 2: false });
    expect(bench.replies.some((reply) => reply.phase === "result" && reply.verdict === "commanded")).toBe(true);
  });

  it("moves nothing before the intent is on the card", () => {
    const bench = new Bench();
    bench.card = "stalls";
    bench.order("cycle", "router1");
    bench.pass(1_900);
    expect(bench.drives).toEqual([]);
    expect(bench.records.at(-1)?.kind).toBe("intent");
  });

  it("the same command again gets the stored answer and moves nothing", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    const first = bench.operate(nonce);
    expect(bench.drives).toHaveLength(1);
    const again = bench.operate(nonce, { id: first.id });
    expect(again).toMatchObject({ id: first.id, phase: "result", verdict: "commanded" });
    expect(bench.drives).toHaveLength(1);
  });

  it("an id that another operator used is taken", () => {
    const bench = new Bench();
    const first = bench.order("lock", "nas1");
    expect(codes(bench.operate("x", { id: first.id, by: "vera" }))).toEqual(["rejected", "command.id-taken"]);
  });

  it("the order of the checks is fixed: nonce, signature, epoch, role, facts, lock, …", () => {
    const bench = new Bench();
    const fresh = () => bench.select("off", "nas1").nonce;
    expect(codes(bench.operate("never-given", { signatures: 0, signers: [] }))).toEqual(["rejected", "nonce.unknown"]);
    expect(codes(bench.operate(fresh(), { signatures: 0, signers: [] }))).toEqual(["rejected", "signature.missing"]);
    expect(codes(bench.operate(fresh(), { signers: [] }))).toEqual(["rejected", "signature.invalid"]);
    expect(codes(bench.operate(fresh(), { signers: ["stranger"] }))).toEqual(["rejected", "signature.unknown-key"]);
    expect(codes(bench.operate(fresh(), { signers: ["key-vera"] }))).toEqual(["rejected", "operator.mismatch"]);
    expect(codes(bench.operate(fresh(), { by: "rex" }))).toEqual(["rejected", "operator.revoked"]);
    expect(codes(bench.operate(fresh(), { by: "vera" }))).toEqual(["rejected", "nonce.mismatch"]);
    expect(codes(bench.operate(fresh(), { verb: "on" }))).toEqual(["rejected", "nonce.mismatch"]);
    expect(codes(bench.operate(fresh(), { target: "router1" }))).toEqual(["rejected", "nonce.mismatch"]);
    expect(codes(bench.operate(fresh(), { epoch: 4 }))).toEqual(["rejected", "trust.behind"]);
    expect(codes(bench.operate(fresh(), { epoch: 2 }))).toEqual(["rejected", "trust.changed"]);
    bench.order("lock", "nas1");
    expect(codes(bench.operate(fresh(), { args: { expect: { a4: "off" } } }))).toEqual(["rejected", "facts.changed"]);
    expect(codes(bench.operate(fresh()))).toEqual(["rejected", "outlet.locked"]);
    expect(bench.drives).toEqual([]);
  });

  it("a forged operate does not spend the nonce of the honest one", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    bench.operate(nonce, { signers: ["stranger"] });
    expect(bench.operate(nonce).phase).toBe("accepted");
  });

  it("a nonce serves once and lives 60 seconds", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    bench.operate(nonce);
    expect(codes(bench.operate(nonce))).toEqual(["rejected", "nonce.used"]);
    const old = bench.select("on", "nas1").nonce;
    bench.pass(60_001);
    expect(codes(bench.operate(old))).toEqual(["rejected", "nonce.expired"]);
  });

  it("no nonce outlives the start that gave it", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    bench.start(bench.durable());
    expect(codes(bench.operate(nonce))).toEqual(["rejected", "nonce.unknown"]);
  });

  it("a second command on an outlet in execution is refused, another outlet is free", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    expect(codes(bench.order("off", "router1:a2"))).toEqual(["rejected", "outlet.busy"]);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("minimum times hold, and say when to try again", () => {
    const bench = new Bench();
    bench.order("off", "nas1");
    bench.pass(500);
    expect(bench.order("on", "nas1")).toMatchObject({ code: "outlet.min-off", retryAfterMs: 1_500 });
    bench.pass(1_500);
    expect(bench.order("on", "nas1").phase).toBe("accepted");
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.min-on"]);
  });

  it("the rate limits what takes power away, never what brings it", () => {
    const plan = {
      ...PLAN,
      outlets: {
        ...PLAN.outlets,
        a4: outlet("a4", 4, { contact: "no", minOnMs: 0, minOffMs: 0, rate: { max: 2, perMs: 60_000 } }),
      },
    };
    const bench = new Bench(plan);
    for (let round = 0; round < 2; round++) {
      expect(bench.order("off", "nas1").phase).toBe("accepted");
      expect(bench.order("on", "nas1").phase).toBe("accepted");
    }
    expect(bench.order("off", "nas1")).toMatchObject({ code: "outlet.rate", retryAfterMs: 60_000 });
    bench.pass(60_000);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("off on the own path is refused without --for, and comes back by itself with it", () => {
    const bench = new Bench();
    expect(codes(bench.order("off", "switch1"))).toEqual(["rejected", "branch.own"]);
    expect(bench.order("off", "switch1", { forMs: 30_000 }).phase).toBe("accepted");
    bench.pass(29_000);
    expect(bench.lines[3]).toBe(true);
    bench.pass(2_000);
    expect(bench.lines[3]).toBe(false);
  });

  it("the own path is not cycled on a contact that a dead controller would leave open", () => {
    const bench = new Bench({ ...PLAN, ownBranch: { declared: true, controller: ["a4"], path: [] } });
    expect(codes(bench.order("cycle", "nas1"))).toEqual(["rejected", "branch.own"]);
  });

  it("a device is not switched on before what it comes after", () => {
    const bench = new Bench();
    bench.order("off", "switch1:a3", { forMs: 60_000 });
    bench.order("off", "router1");
    bench.pass(61_000);
    expect(codes(bench.order("on", "switch1"))).toEqual(["rejected", "dependency.off"]);
  });

  it("cycle of what is off is refused, unless the operator says that he knows", () => {
    const bench = new Bench();
    bench.order("off", "nas1");
    bench.pass(3_000);
    expect(codes(bench.order("cycle", "nas1"))).toEqual(["rejected", "outlet.not-on"]);
    expect(bench.order("cycle", "nas1", { from: "any" }).phase).toBe("accepted");
    bench.pass(6_000);
    expect(bench.lines[4]).toBe(true);
  });

  it("a line that does not follow is a failure, and the owed on is driven all the same", () => {
    const bench = new Bench();
    bench.onDrive = (relay, energised) =>
      relay === 1 && energised ? { energised: false, fault: "reads back released" } : { energised, fault: null };
    bench.order("cycle", "router1");
    bench.pass(20_000);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "relay.failed" });
    expect(bench.drives.slice(-2).map(({ relay, energised }) => [relay, energised])).toEqual([
      [1, false],
      [2, false],
    ]);
  });

  it("a relay bank that never answers is a failure after two seconds", () => {
    const bench = new Bench();
    bench.onDrive = () => null;
    bench.order("off", "nas1");
    bench.pass(1_900);
    expect(bench.last()?.phase).toBe("accepted");
    bench.pass(200);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "relay.failed" });
  });
});
