import { describe, expect, it } from "vitest";
import { Bench, TRUST } from "./bench.ts";

describe("messages that move nothing", () => {
  it("what nobody signed is counted, and told at most once a minute", () => {
    const bench = new Bench();
    for (let count = 0; count < 500; count++)
      bench.emit({ type: "message-ignored", via: "lte", code: "message.malformed", id: null });
    bench.pass(61_000);
    const told = bench.records.filter((record) => record.kind === "ignored");
    expect(told.map((record) => record.kind === "ignored" && record.counts)).toEqual([
      { "message.malformed": 1 },
      { "message.malformed": 499 },
    ]);
  });

  it("a retained command is answered with its code when its id can be read", () => {
    const bench = new Bench();
    bench.emit({ type: "message-ignored", via: "lte", code: "message.retained", id: "0".repeat(26) });
    expect(bench.last()).toMatchObject({ phase: "rejected", code: "message.retained" });
  });

  it("a command for another site is refused", () => {
    const bench = new Bench();
    expect(bench.ask({ kind: "status", site: "acme/two" })).toMatchObject({
      phase: "rejected",
      code: "message.wrong-site",
    });
  });

  it("status is for who may view; on the local socket its group is enough", () => {
    const bench = new Bench();
    expect(bench.ask({ kind: "status" }, "vera")).toMatchObject({ phase: "result" });
    expect(bench.ask({ kind: "status" }, "vera", { signers: [], signatures: 0 })).toMatchObject({
      code: "signature.missing",
    });
    expect(bench.ask({ kind: "status" }, "vera", { signers: [], signatures: 0, via: "local" })).toMatchObject({
      phase: "result",
    });
  });

  it("switching needs a signature on the local socket too", () => {
    const bench = new Bench();
    const reply = bench.ask({ kind: "select", verb: "on", target: "nas1", args: {} }, "alice", {
      signers: [],
      signatures: 0,
      via: "local",
    });
    expect(reply).toMatchObject({ phase: "rejected", code: "signature.missing" });
  });

  it("without a trust document nobody can switch", () => {
    const bench = new Bench(undefined, undefined, null);
    expect(bench.select("on", "nas1")).toMatchObject({ phase: "rejected", code: "trust.none" });
  });

  it("reading a console follows the right to its device", () => {
    const bench = new Bench();
    bench.ask({ kind: "read", args: { console: "router1", track: "rx" } }, "ruth");
    expect(bench.effects.some((effect) => effect.type === "read-range")).toBe(true);
    expect(bench.ask({ kind: "read", args: { console: "nosuch", track: "rx" } })).toMatchObject({
      code: "console.unknown",
    });
    expect(bench.ask({ kind: "watch", args: { console: "nosuch" } })).toMatchObject({ code: "console.unknown" });
    expect(bench.ask({ kind: "watch", args: { console: "router1" } })).toMatchObject({
      phase: "result",
      forMs: 60_000,
    });
  });

  it("what a console said that left the config can be read still, under its own name, and not watched", () => {
    const bench = new Bench();
    bench.state = { ...bench.state, tracks: { "router9/rx": { boot: 1, next: 5 }, "nas9/rx": { boot: 1, next: 5 } } };
    const read = (console: string, by: string) => {
      const before = bench.effects.filter(({ type }) => type === "read-range").length;
      const reply = bench.ask({ kind: "read", args: { console, track: "rx" } }, by);
      return bench.effects.filter(({ type }) => type === "read-range").length > before ? "read" : reply.code;
    };
    expect(read("router9", "ruth")).toBe("read");
    expect(read("nas9", "alice")).toBe("read");
    expect(read("nas9", "ruth")).toBe("role.denied");
    expect(read("toString", "alice")).toBe("console.unknown");
    expect(bench.ask({ kind: "watch", args: { console: "router9" } })).toMatchObject({ code: "console.unknown" });
  });

  it("faults are for simulated sites, on the local socket", () => {
    const bench = new Bench();
    expect(bench.ask({ kind: "sim", args: { subject: "router1", fault: "hang" } })).toMatchObject({
      code: "command.unsupported",
    });
  });
});

describe("trust on the wire", () => {
  it("does not make the first trust of a site: anybody could bring roots of his own", () => {
    const bench = new Bench(undefined, undefined, null);
    const offered = { document: { ...TRUST, epoch: 9 }, signers: ["root"], envelope: "{}" };
    bench.offerTrust(offered, "local");
    expect(bench.last()).toMatchObject({ phase: "rejected", code: "trust.none" });
    expect(bench.effects.some((effect) => effect.type === "store-trust")).toBe(false);
  });

  const offer = {
    document: { ...TRUST, epoch: 4, sha256: "t4", revoked: ["alice"] },
    signers: ["root"],
    envelope: "{}",
  };

  it("rules once it is stored, and what was selected before is then void", () => {
    const bench = new Bench();
    const { nonce } = bench.select("off", "nas1");
    bench.offerTrust(offer, "lte");
    const store = bench.effects.find((effect) => effect.type === "store-trust");
    expect(bench.state.trust?.epoch).toBe(3);
    if (store?.type === "store-trust") bench.emit({ type: "trust-stored", token: store.token, ok: true });
    expect(bench.last()).toMatchObject({ phase: "result", epoch: 4 });
    expect(bench.operate(nonce, { epoch: 4 })).toMatchObject({ phase: "rejected", code: "operator.revoked" });
  });

  it("is not taken when it could not be stored", () => {
    const bench = new Bench();
    bench.offerTrust(offer, "lte");
    const store = bench.effects.find((effect) => effect.type === "store-trust");
    if (store?.type === "store-trust") bench.emit({ type: "trust-stored", token: store.token, ok: false });
    expect(bench.last()).toMatchObject({ phase: "rejected", code: "storage.degraded" });
    expect(bench.state.trust?.epoch).toBe(3);
  });
});

describe("what others see", () => {
  it("an item's revision rises when it changes, and only then", () => {
    const bench = new Bench();
    const revisions = () => {
      // Through JSON, as whoever asks gets it.
      const state: { outlets: Record<string, { rev: number }>; devices: Record<string, { rev: number }> } = JSON.parse(
        JSON.stringify(bench.ask({ kind: "status" }).state),
      );
      return [state.outlets.a4?.rev, state.outlets.a1?.rev, state.devices.nas1?.rev];
    };
    const [before, other, device] = revisions();
    bench.order("off", "nas1");
    const [after, same, deviceAfter] = revisions();
    expect(after).toBeGreaterThan(before ?? 0);
    expect(same).toBe(other);
    expect(deviceAfter).toBeGreaterThan(device ?? 0);
  });

  it("a clock that jumps gives a new map and moves nothing", () => {
    const bench = new Bench();
    bench.emit({ type: "clock-read", wallMs: 1_000_000, trust: "none" });
    bench.pass(10_000);
    bench.emit({ type: "clock-read", wallMs: 1_010_050, trust: "none" });
    bench.emit({ type: "clock-read", wallMs: 9_000_000, trust: "ntp" });
    expect(bench.records.filter((record) => record.kind === "clock")).toHaveLength(2);
    expect(bench.drives).toEqual([]);
  });
});

describe("the machine under a site", () => {
  const finding = (level: "warn" | "bad", what: string) => ({ check: "card.space", level, what, todo: "Make room." });
  const machine = (bench: Bench) => {
    bench.pass(1_000);
    return bench.state.items["site/machine"];
  };
  const items = (bench: Bench) => JSON.parse(machine(bench)?.json ?? "null");

  it("what is wrong with it is state; figures that only change in its words are not sent again", () => {
    const bench = new Bench();
    bench.emit({ type: "machine-checked", findings: [finding("warn", "7 % are free")] });
    const rev = machine(bench)?.rev;
    bench.emit({ type: "machine-checked", findings: [finding("warn", "6 % are free")] });
    expect([items(bench).findings[0].what, machine(bench)?.rev]).toEqual(["7 % are free", rev]);
    bench.emit({ type: "machine-checked", findings: [finding("bad", "1 % is free")] });
    expect(items(bench).findings).toEqual([finding("bad", "1 % is free")]);
    bench.emit({ type: "machine-checked", findings: [] });
    expect(items(bench).findings).toEqual([]);
  });

  it("the same trouble of another console is told anew", () => {
    const bench = new Bench();
    const missing = (name: string) => ({ ...finding("bad", `${name}: no adapter`), check: "serial.port" });
    bench.emit({ type: "machine-checked", findings: [missing("router1")] });
    bench.emit({ type: "machine-checked", findings: [missing("router2")] });
    expect(items(bench).findings[0].what).toBe("router2: no adapter");
  });

  it("an input that cannot be read any more verifies nothing", () => {
    const bench = new Bench();
    bench.emit({ type: "input-sensed", input: "s1", present: true });
    bench.emit({ type: "input-sensed", input: "s1", present: null });
    expect(bench.state.inputs).toEqual({});
  });

  it("what a console's driver counts is part of the console's state, and gone with the port", () => {
    const bench = new Bench();
    const errors = { framing: 3, parity: 0, breaks: 1, overrun: 0 };
    bench.emit({ type: "console-changed", console: "router1", state: "up", code: null, detail: "" });
    bench.emit({ type: "console-line", console: "router1", modem: { cts: true }, errors });
    expect(bench.state.consoles.router1?.line).toEqual({ modem: { cts: true }, errors });
    bench.emit({ type: "console-changed", console: "router1", state: "down", code: "console.missing", detail: "" });
    expect(bench.state.consoles.router1?.line).toBeUndefined();
  });

  it("an outlet that is not as it was commanded is told at the start, and nothing is switched", () => {
    const bench = new Bench();
    bench.order("off", "nas1");
    bench.pass(60_000);
    const [outlet = ""] = bench.plan.devices.nas1?.outlets ?? [];
    const relay = bench.plan.outlets[outlet]?.relay ?? 0;
    bench.lines[relay] = !bench.lines[relay];
    const drives = bench.drives.length;
    bench.start(bench.state.durable, TRUST, 8);
    const drift = bench.records.filter((record) => record.kind === "config" && record.code === "outlet.drift");
    expect(drift.map((record) => record.kind === "config" && record.detail)).toEqual([
      `${outlet}: commanded off, driven on`,
    ]);
    expect(bench.drives.length).toBe(drives);
  });
});
