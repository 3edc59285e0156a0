import { describe, expect, it } from "vitest";
import { drivenPower, observedPower } from "../../src/core/facts.ts";
import { applyRecord, type Durable, EMPTY_DURABLE } from "../../src/core/ledger.ts";
import type { Reply } from "../../src/core/messages.ts";
import { devicesNamed, type Observe, startRank } from "../../src/core/plan.ts";
import { newSequence, pendingOf } from "../../src/core/sequence.ts";
import { Bench, outlet, PLAN, TRUST } from "./bench.ts";

/** What a person meets once in years: the card fails, two things happen at once, the config lost a name. */

const codes = (reply: Reply | undefined) => [reply?.phase, reply?.code];
const driven = (bench: Bench) => bench.drives.map(({ relay, energised }) => [relay, energised]);
const durableWith = (bench: Bench, more: Partial<Durable>): Durable => ({ ...bench.durable(), ...more });
const tokensOf = (bench: Bench, kind: string) =>
  bench.effects.flatMap((one) =>
    one.type === "append" && one.records.some((record) => record.kind === kind) ? (one.token ?? []) : [],
  );

describe("a card that is known to be bad", () => {
  it("is not waited for: what may go ahead does at once, and each answer says that it may be forgotten", () => {
    const bench = new Bench();
    bench.card = "stalls";
    bench.emit({ type: "storage-changed", state: "degraded", detail: "EIO" });
    expect(bench.order("cycle", "router1")).toMatchObject({ phase: "accepted", durability: "memory" });
    expect(bench.order("lock", "nas1")).toMatchObject({ phase: "result", durability: "memory" });
  });

  it("makes two commands that went ahead say so, each of itself", () => {
    const bench = new Bench();
    bench.card = "refuses";
    const { id } = bench.order("cycle", "router1");
    bench.card = "ok";
    const other = bench.order("cycle", "nas1").id;
    bench.card = "refuses";
    bench.order("cycle", "cam1");
    const durabilities = bench.state.durable.unsettled.map((one) => one.durability);
    expect(durabilities).toEqual(["memory", "synced", "memory"]);
    const answerOf = (of: string) => bench.state.durable.decided.find((one) => one.id === of)?.reply;
    expect(answerOf(id)).toMatchObject({ phase: "accepted", durability: "memory" });
    expect(answerOf(other)).toMatchObject({ phase: "accepted", durability: "synced" });
  });
});

describe("while a record is on its way to the card", () => {
  it("a lock is not confirmed; after two seconds it is, as one that may be forgotten", () => {
    const bench = new Bench();
    bench.card = "stalls";
    const { id } = bench.order("lock", "nas1");
    expect(id, "nothing was answered yet").toBe("");
    bench.pass(2_100);
    expect(bench.last()).toMatchObject({ phase: "result", locked: ["a4"], durability: "memory" });
  });

  it("a lock that is asked for again, over another connection, is answered once, to both", () => {
    const bench = new Bench();
    bench.card = "stalls";
    const { nonce } = bench.select("lock", "nas1");
    const id = bench.id();
    bench.operate(nonce, { id });
    bench.ask({ kind: "operate", id, nonce: String(nonce), verb: null, target: null, args: {} }, "alice", {
      via: "local",
    });
    bench.pass(2_100);
    const answers = bench.effects.flatMap((one) => (one.type === "reply" && one.reply.id === id ? one.via : []));
    expect(answers).toEqual(["all"]);
  });

  it("a new trust voids what was asked under the old one: nothing moves", () => {
    const bench = new Bench();
    bench.card = "stalls";
    bench.order("off", "nas1");
    const document = { ...TRUST, epoch: 4, sha256: "t4" };
    bench.offerTrust({ document, signers: ["root"], envelope: "{}" }, "lte");
    const token = bench.state.trustChange?.token ?? -1;
    bench.emit({ type: "trust-stored", token, ok: true });
    bench.card = "ok";
    for (const one of tokensOf(bench, "intent")) bench.emit({ type: "append-finished", token: one, ok: true });
    expect(bench.replies.map(codes)).toContainEqual(["rejected", "trust.changed"]);
    expect(bench.drives).toEqual([]);
    expect(bench.state.durable.unsettled).toEqual([]);
  });

  it("there is nothing to cancel yet, and that is said", () => {
    const bench = new Bench();
    const { nonce } = bench.select("cycle", "router1");
    bench.card = "stalls";
    bench.operate(nonce);
    bench.card = "ok";
    expect(bench.order("cancel", "router1")).toMatchObject({
      code: "outlet.busy",
      detail: "its record is being written",
    });
  });
});

describe("what is asked for", () => {
  it("with partial, and all of it refused, is refused as a whole with its reason", () => {
    const bench = new Bench();
    bench.order("lock", "router1,nas1");
    const { preview } = bench.select("off", "router1,nas1", { partial: true });
    expect(preview).toMatchObject({ target: "router1,nas1", refusal: { code: "outlet.locked" }, left: [] });
  });

  it("an outlet that nobody has is no target", () => {
    expect(codes(new Bench().select("off", ":zz"))).toEqual(["rejected", "target.unknown"]);
  });

  it("to unlock what is not locked is refused", () => {
    expect(codes(new Bench().order("unlock", "nas1"))).toEqual(["rejected", "outlet.not-locked"]);
  });

  it("under facts that still hold goes ahead; what the operator saw of an outlet that is gone does not", () => {
    const bench = new Bench();
    const gone = bench.operate(bench.select("off", "nas1").nonce, { args: { expect: { zz: "on" } } });
    expect(gone).toMatchObject({ code: "facts.changed", detail: "zz is unknown, expected on" });
    const same = bench.operate(bench.select("off", "nas1").nonce, { args: { expect: { a4: "on" } } });
    expect(same.phase).toBe("accepted");
  });

  it("warns of the other devices that the outlet feeds", () => {
    const shared = { ...PLAN.devices.nas1, name: "disks", outlets: ["a4"] } as never;
    const bench = new Bench({ ...PLAN, devices: { ...PLAN.devices, disks: shared } });
    expect(bench.select("off", "nas1").preview).toMatchObject({ warnings: ["also loses power: disks"] });
  });

  it("of an actor, at what is no target, is refused", () => {
    const actors = { "local:x": { verbs: ["cycle" as const], outlets: ["a3"], rate: { max: 1, perMs: 60_000 } } };
    const bench = new Bench({ ...PLAN, actors });
    bench.emit({ type: "actor-ordered", id: "1", actor: "local:x", verb: "cycle", target: "a b", reason: "" });
    expect(bench.records.at(-1)).toMatchObject({ kind: "refused", code: "target.unknown", target: "cycle a b" });
  });

  it("a document too large to be kept as evidence is refused without it", () => {
    const bench = new Bench();
    const ask = () => bench.ask({ kind: "trust", args: { document: "x".repeat(60 * 1024) } });
    expect(codes(ask())).toEqual(["rejected", "trust.invalid"]);
    expect(bench.records.at(-1)).toMatchObject({ kind: "refused", by: "alice", signed: null });
  });
});

describe("commands in execution", () => {
  it("one of two is cancelled, the other waits its time", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    bench.order("off", "nas1", { forMs: 600_000 });
    bench.pass(1_000);
    bench.order("cancel", "nas1");
    bench.pass(100);
    expect([drivenPower(bench.state, "a4"), drivenPower(bench.state, "a1")]).toEqual(["on", "off"]);
    bench.pass(12_000);
    expect(drivenPower(bench.state, "a1")).toBe("on");
  });

  it("an edge that was given up is answered too late: nobody hears it, and nothing is driven again", () => {
    const bench = new Bench();
    bench.onDrive = () => null;
    bench.order("off", "nas1");
    bench.pass(2_500);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "relay.failed" });
    const [drive] = bench.effects.flatMap((one) => (one.type === "drive" ? one : []));
    const heard = bench.replies.length;
    bench.emit({ type: "relay-driven", token: drive?.token ?? -1, energised: false, fault: null });
    expect(bench.replies).toHaveLength(heard);
    expect(bench.drives).toHaveLength(1);
    expect(drivenPower(bench.state, "a4")).toBe("on");
  });

  it("a line that cannot be read back is as it was, as far as anybody knows", () => {
    const bench = new Bench();
    bench.onDrive = () => ({ energised: null, fault: "EIO" });
    bench.order("off", "nas1");
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "relay.failed" });
    expect(drivenPower(bench.state, "a4")).toBe("on");
  });

  it("one that is cancelled while a sensor is looked at for the off looks no longer, and goes on", () => {
    const bench = new Bench();
    bench.emit({ type: "input-sensed", input: "s5", present: true });
    bench.order("cycle", "cam1");
    expect(driven(bench)).toEqual([[5, true]]);
    bench.order("cancel", "cam1");
    expect(driven(bench)).toEqual([
      [5, true],
      [5, false],
    ]);
    bench.pass(300);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "cancelled" });
  });

  it("one that has not begun counts from now, and one that has come to its end waits for nothing", () => {
    const bench = new Bench();
    bench.order("cycle", "nas1");
    const { intent, steps = [] } = bench.state.sequences[0] ?? {};
    if (intent === undefined) throw new Error("nothing is in execution");
    const told = (all: typeof steps) =>
      pendingOf(newSequence({ intent, via: "lte", steps: all, recovery: false }, bench.nowMs), bench.nowMs);
    expect(told(steps)).toMatchObject({ doing: "drive a4 off", next: "a4 off", leftMs: 0 });
    expect(told([])).toMatchObject({ doing: "done", next: null, leftMs: null });
  });
});

describe("after a crash", () => {
  it("a cycle that had not begun to move, and an on, are paid at once", () => {
    for (const verb of ["cycle", "on"] as const) {
      const bench = new Bench();
      bench.lines[4] = verb === "cycle";
      bench.start(EMPTY_DURABLE);
      const { nonce } = bench.select(verb, "nas1");
      const before = bench.records.length;
      bench.operate(nonce);
      bench.drives.length = 0;
      bench.lines[4] = verb === "cycle";
      bench.start(bench.records.slice(0, before + 1).reduce(applyRecord, EMPTY_DURABLE));
      expect(driven(bench)).toEqual([[4, true]]);
    }
  });

  it("with a reset in the wait, what is dark waits as long as usual, never the hours that were asked for", () => {
    const bench = new Bench();
    bench.order("off", "nas1", { forMs: 3_600_000 });
    bench.pass(1_000);
    bench.drives.length = 0;
    bench.start(bench.durable(), undefined, 8);
    bench.pass(4_900);
    expect(driven(bench)).toEqual([]);
    bench.pass(200);
    expect(driven(bench)).toEqual([[4, true]]);
  });

  it("of two commands on one outlet that a ledger shows as unended, the later one says what is owed", () => {
    const bench = new Bench();
    bench.order("off", "nas1", { forMs: 60_000 });
    const [first] = bench.state.durable.unsettled;
    if (first === undefined) throw new Error("nothing is owed");
    const unsettled = [first, { ...first, id: "later", verb: "off" as const }];
    bench.drives.length = 0;
    bench.start(durableWith(bench, { unsettled }));
    bench.pass(120_000);
    expect(driven(bench)).toEqual([]);
    expect(bench.state.durable.unsettled).toEqual([]);
  });

  it("an outlet that has left the config is not driven, and the rest of what is owed is paid", () => {
    const bench = new Bench();
    bench.order("cycle", "nas1");
    bench.pass(1_000);
    const [first] = bench.state.durable.unsettled;
    if (first === undefined) throw new Error("nothing is owed");
    bench.drives.length = 0;
    bench.start(durableWith(bench, { unsettled: [{ ...first, outlets: ["gone", "a4"] }] }));
    bench.pass(10_000);
    expect(driven(bench)).toEqual([[4, true]]);
  });

  it("an outcome without its intent ends nothing and answers nobody", () => {
    const outcome = { kind: "outcome", id: "x", verdict: "failed", failures: [], reply: { id: "x", phase: "result" } };
    const record = { seq: 1, boot: 7, mono: 5, outlets: { a1: "on" }, ...outcome } as const;
    const after = applyRecord(EMPTY_DURABLE, record as Parameters<typeof applyRecord>[1]);
    expect(after.decided).toEqual([]);
    expect(after.outlets.a1).toMatchObject({ commanded: "on", commandedAtMs: 5 });
  });

  it("an actor's rate holds over a reset, counted from the start", () => {
    const actors = { "local:x": { verbs: ["cycle" as const], outlets: ["a3"], rate: { max: 1, perMs: 60_000 } } };
    const bench = new Bench({ ...PLAN, actors });
    const act = (id: string) =>
      bench.emit({ type: "actor-ordered", id, actor: "local:x", verb: "cycle", target: ":a3", reason: "" });
    act("1");
    bench.pass(59_000);
    bench.start(bench.durable(), undefined, 8);
    bench.pass(59_000);
    act("2");
    expect(bench.records.at(-1)).toMatchObject({ kind: "refused", code: "actor.rate" });
    bench.pass(2_000);
    act("3");
    expect(bench.records.findLast((one) => one.kind === "intent")).toMatchObject({ intent: { id: "3" } });
  });
});

describe("facts", () => {
  const observing = (observe: Observe) => {
    const a4 = outlet("a4", 4, { contact: "no", observe });
    return new Bench({ ...PLAN, outlets: { ...PLAN.outlets, a4 } });
  };

  it("an address that answers tells that its device is on", () => {
    const bench = observing({ address: "10.0.0.9", withinMs: 1_000 });
    expect(observedPower(bench.state, "a4")).toBe("unknown");
    bench.emit({ type: "life-sensed", source: "address 10.0.0.9" });
    expect(observedPower(bench.state, "a4")).toBe("on");
  });

  it("a device that speaks although its outlet was never on contradicts it", () => {
    const bench = observing({ console: "nas1", withinMs: 1_000 });
    bench.lines[4] = false;
    bench.start(EMPTY_DURABLE);
    bench.emit({ type: "life-sensed", source: "console nas1" });
    expect([drivenPower(bench.state, "a4"), observedPower(bench.state, "a4")]).toEqual(["off", "on"]);
  });

  it("a lock that was set without a clock says how long it lasts still, once there is one", () => {
    const bench = new Bench();
    bench.order("lock", "nas1", { forMs: 60_000, reason: "fuse" });
    bench.pass(10_000);
    bench.emit({ type: "clock-read", wallMs: 1_700_000_000_000, trust: "ntp" });
    expect(bench.order("off", "nas1").detail).toBe("a4 by alice 10 s ago: fuse; it ends in 50 s");
  });
});

describe("the plan", () => {
  it("a device that two others wait for comes first, and what waits for both comes last", () => {
    const device = (name: string, ...first: string[]) => ({
      ...PLAN.devices.nas1,
      name,
      outlets: [name],
      after: first,
    });
    const devices = { a: device("a"), b: device("b", "a"), c: device("c", "a"), d: device("d", "b", "c") } as never;
    const plan = { ...PLAN, devices };
    expect(["a", "b", "c", "d"].map((name) => startRank(plan, name))).toEqual([0, 1, 1, 2]);
  });

  it("a name that is not in it stands for nothing", () => {
    expect(devicesNamed(PLAN, ["router1", "gone", "constructor"]).map(({ name }) => name)).toEqual(["router1"]);
  });
});
