import { describe, expect, it } from "vitest";
import type { Reply } from "../../src/core/messages.ts";
import { Bench, outlet, PLAN } from "./bench.ts";

const codes = (reply: Reply | undefined) => [reply?.phase, reply?.code];

describe("verify", () => {
  const follow = (bench: Bench, present: boolean) => bench.emit({ type: "input-sensed", input: "s5", present });

  it("verified when the sensor has agreed for 200 ms", () => {
    const bench = new Bench();
    follow(bench, true);
    bench.order("off", "cam1");
    follow(bench, false);
    bench.pass(190);
    expect(bench.last()?.phase).toBe("progress");
    bench.pass(20);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "verified" });
  });

  it("failed, with the fact that disagrees, when the contact does not follow", () => {
    const bench = new Bench();
    follow(bench, true);
    bench.order("off", "cam1");
    bench.pass(1_100);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed", code: "fact.disagrees" });
    expect(JSON.stringify(bench.last()?.failures)).toContain("observed on");
  });

  it("a cycle whose off was not seen does not wait, pays the on, and says failed", () => {
    const bench = new Bench();
    follow(bench, true);
    bench.order("cycle", "cam1");
    bench.pass(1_500);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "failed" });
    expect(bench.lines[5]).toBe(false);
  });

  it("a contact that bounces is not believed before it rests", () => {
    const bench = new Bench();
    follow(bench, true);
    bench.order("off", "cam1");
    for (const present of [false, true, false, true, false]) {
      follow(bench, present);
      bench.pass(100);
    }
    expect(bench.last()?.phase).toBe("progress");
    bench.pass(110);
    expect(bench.last()).toMatchObject({ verdict: "verified" });
  });
});

describe("an order that comes a second time while its record is on its way", () => {
  it("is not told accepted before it is, and both ways hear what became of it", () => {
    const bench = new Bench();
    bench.card = "stalls";
    const { nonce } = bench.select("off", "nas1");
    const first = bench.operate(nonce, { id: "00000000000000000000000777" });
    expect(first.id, "nothing was answered yet").toBe("");
    const before = bench.replies.length;
    bench.operate(nonce, { id: "00000000000000000000000777" });
    expect(bench.replies).toHaveLength(before);
    bench.pass(2_100);
    expect(bench.replies.slice(before).map(({ code }) => code)).toEqual(["storage.degraded"]);
  });
});

describe("a card that does not take the intent", () => {
  it.each([
    ["on", "nas1", {}, "memory"],
    ["cycle", "router1", {}, "memory"],
    ["cycle", "nas1", { from: "any" }, null],
    ["off", "nas1", {}, null],
    ["off", "nas1", { withoutRecord: true }, "memory"],
    ["off", "router1", {}, null],
  ] as const)("%s %s %j goes ahead as %s (null: refused)", (verb, target, args, durability) => {
    for (const card of ["stalls", "refuses"] as const) {
      const bench = new Bench();
      bench.card = card;
      if (verb === "on") bench.lines[4] = false;
      bench.start(bench.durable());
      bench.order(verb, target, args);
      bench.pass(2_100);
      const reply = bench.replies.find((one) => one.phase === "accepted" || one.code === "storage.degraded");
      if (durability === null) expect(codes(reply)).toEqual(["rejected", "storage.degraded"]);
      else {
        expect(reply).toMatchObject({ phase: "accepted", durability });
        expect(bench.ask({ kind: "outcome", args: { id: reply?.id ?? "" } })).toMatchObject({
          outcome: { durability },
        });
      }
      expect(bench.drives.length > 0).toBe(durability !== null);
    }
  });

  it("own branch is refused even with --without-record", () => {
    const bench = new Bench({ ...PLAN, ownBranch: { declared: true, controller: [], path: ["a4"] } });
    bench.card = "refuses";
    expect(codes(bench.order("off", "nas1", { forMs: 10_000, withoutRecord: true }))).toEqual([
      "rejected",
      "branch.own",
    ]);
    expect(bench.drives).toEqual([]);
  });

  it("a late answer of the card does not start the command a second time", () => {
    const bench = new Bench();
    bench.card = "stalls";
    bench.order("cycle", "router1");
    bench.pass(2_100);
    const moved = bench.drives.length;
    const append = bench.effects.find((effect) => effect.type === "append" && effect.token !== null);
    if (append?.type === "append" && append.token !== null)
      bench.emit({ type: "append-finished", token: append.token, ok: true });
    expect(bench.drives.length).toBe(moved);
  });
});

describe("after a crash", () => {
  it("a cycle that was off is paid its on, its off is not repeated, and the answer is interrupted", () => {
    const bench = new Bench();
    const { id } = bench.order("cycle", "router1");
    bench.pass(1_000);
    const drives = bench.drives.length;
    bench.start(bench.durable());
    bench.pass(30_000);
    const after = bench.drives.slice(drives);
    expect(after.every(({ energised }) => !energised)).toBe(true);
    expect(bench.lines).toMatchObject({ 1: false, 2: false });
    expect(bench.ask({ kind: "outcome", args: { id } })).toMatchObject({
      outcome: { verdict: "interrupted", code: "power.interrupted" },
    });
  });

  it("the rest of the off time is waited, not skipped", () => {
    const bench = new Bench();
    bench.order("cycle", "router1");
    bench.pass(1_000);
    bench.start(bench.durable());
    bench.pass(8_000);
    expect(bench.lines[1]).toBe(true);
    bench.pass(2_000);
    expect(bench.lines[1]).toBe(false);
  });

  it("an off whose edge is not known is not repeated: what the line says is then commanded", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    const before = bench.records.length;
    bench.operate(nonce);
    bench.lines[4] = true;
    bench.start(bench.durable(before + 1));
    bench.pass(10_000);
    expect(bench.lines[4]).toBe(true);
    expect(bench.state.durable.outlets.a4?.commanded).toBe("on");
  });

  it("nothing moves by a start where nothing is owed", () => {
    const bench = new Bench();
    bench.order("off", "nas1");
    bench.pass(5_000);
    const moved = bench.drives.length;
    bench.start(bench.durable());
    bench.start(bench.durable(), undefined, 8);
    bench.pass(60_000);
    expect(bench.drives.length).toBe(moved);
  });

  it("minimum times and rates hold over a restart and, counted from the start, over a reboot", () => {
    const bench = new Bench();
    bench.order("cycle", "nas1");
    bench.pass(6_000);
    bench.start(bench.durable());
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.min-on"]);
    bench.pass(9_000);
    bench.start(bench.durable(), undefined, 9);
    expect(codes(bench.order("off", "nas1"))).toEqual(["rejected", "outlet.min-on"]);
    bench.pass(10_000);
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("an id that was decided before the crash is answered, not executed", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    const { id } = bench.operate(nonce);
    bench.start(bench.durable());
    expect(bench.operate(nonce, { id })).toMatchObject({ phase: "result", verdict: "commanded" });
  });
});

describe("lock, unlock, cancel", () => {
  it("a lock stops every verb, says by whom, since when and why, and holds over a restart", () => {
    const bench = new Bench();
    expect(bench.order("lock", "nas1", { reason: "technician on the ladder" })).toMatchObject({
      phase: "result",
      verdict: "done",
    });
    bench.start(bench.durable());
    bench.pass(90_000);
    expect(bench.order("off", "nas1")).toMatchObject({
      code: "outlet.locked",
      detail: "a4 by alice 1 min 30 s ago: technician on the ladder",
    });
    bench.order("unlock", "nas1");
    expect(bench.order("off", "nas1").phase).toBe("accepted");
  });

  it("since when holds over a reboot by the clock, and without one it is the least that is known", () => {
    const told = (clocks: boolean): string => {
      const bench = new Bench();
      if (clocks) bench.emit({ type: "clock-read", wallMs: 1_000_000, trust: "none" });
      bench.order("lock", "nas1", { reason: "fuse" });
      const durable = bench.durable();
      bench.nowMs = 5_000;
      bench.start(durable, undefined, 8);
      if (clocks) bench.emit({ type: "clock-read", wallMs: 8_200_000, trust: "none" });
      bench.pass(60_000);
      return String(bench.order("off", "nas1").detail);
    };
    expect(told(true)).toBe("a4 by alice 2 h 1 min ago: fuse");
    expect(told(false)).toBe("a4 by alice at least 1 min 0 s ago: fuse");
  });

  it("what is pending names its next edge and counts down to it", () => {
    const plan = { ...PLAN, outlets: { ...PLAN.outlets, a4: outlet("a4", 4, { contact: "no", offDelayMs: 8_000 }) } };
    const bench = new Bench(plan);
    const pending = () => (bench.ask({ kind: "status" }).state as { pending: unknown[] }).pending;
    bench.order("off", "nas1", { forMs: 60_000 });
    bench.pass(3_000);
    expect(pending()).toMatchObject([{ target: "nas1", doing: "pause", next: "a4 off", leftMs: 5_000 }]);
    bench.pass(15_000);
    expect(pending()).toMatchObject([{ doing: "stay-off", next: "a4 on", leftMs: 50_000 }]);
    bench.pass(50_000);
    expect(pending()).toEqual([]);
  });

  it("cancelled before its edge to off, a command never makes it", () => {
    for (const args of [{}, { forMs: 60_000 }]) {
      const plan = { ...PLAN, outlets: { ...PLAN.outlets, a4: outlet("a4", 4, { contact: "no", offDelayMs: 8_000 }) } };
      const bench = new Bench(plan);
      bench.order("off", "nas1", args);
      bench.pass(3_000);
      bench.order("cancel", "nas1");
      bench.pass(60_000);
      expect(bench.last()).toMatchObject({ phase: "result", verdict: "cancelled" });
      expect(bench.last()?.facts).toMatchObject({ a4: { commanded: { value: "on" }, driven: { value: "on" } } });
      expect(bench.drives.filter(({ energised }) => !energised)).toEqual([]);
    }
  });

  it("cancel ends the wait and pays the on; with nothing running it is refused", () => {
    const bench = new Bench();
    expect(codes(bench.order("cancel", "nas1"))).toEqual(["rejected", "outlet.idle"]);
    bench.order("off", "nas1", { forMs: 600_000 });
    bench.pass(1_000);
    bench.order("cancel", "nas1");
    bench.pass(100);
    expect(bench.lines[4]).toBe(true);
    expect(bench.last()).toMatchObject({ phase: "result", verdict: "cancelled" });
  });
});
