import { describe, expect, it } from "vitest";
import type { Event } from "../../src/core/events.ts";
import type { TrustDocument } from "../../src/core/trust.ts";
import { Bench, PLAN, TRUST } from "./bench.ts";

const COLLECTING: TrustDocument = {
  ...TRUST,
  operators: [
    ...TRUST.operators,
    { name: "vault", keys: ["key-vault"], roles: ["vaults"] },
    { name: "annex", keys: ["key-annex"], roles: ["annexes"] },
    { name: "old", keys: ["key-old"], roles: ["vaults"] },
  ],
  roles: {
    ...TRUST.roles,
    vaults: { verbs: ["collect"], targets: ["*/*"] },
    annexes: { verbs: ["collect"], targets: ["one/router1"] },
  },
  revoked: [...TRUST.revoked, "old"],
};

type Ack = Extract<Event, { type: "ack-arrived" }>;

const TRACKS: Ack["tracks"] = [
  { boot: 7, track: "router1/rx", ranges: [[0, 10]] },
  { boot: 7, track: "nas1/rx", ranges: [[0, 5]] },
  { boot: 0, track: "ledger", ranges: [[1, 4]] },
];

function acknowledge(bench: Bench, signers: string[], more: Partial<Ack> = {}): void {
  const ack = { via: "primary", receiver: "vault", tracks: TRACKS, retained: false, signatures: 1 } as const;
  bench.emit({ type: "ack-arrived", ...ack, signers, ...more });
}

const taken = (bench: Bench) =>
  bench.effects.flatMap((effect) =>
    effect.type === "acknowledged" ? [effect.tracks.map(({ boot, track }) => `${boot}/${track}`)] : [],
  );

const ignored = (bench: Bench) => bench.records.flatMap((record) => (record.kind === "ignored" ? [record.counts] : []));

const siteOf = (bench: Bench) => {
  const reply = bench.ask({ kind: "status" }, "vera");
  return (reply.state as { site: { receivers: object; heard: Record<string, number | null> } }).site;
};

describe("an acknowledgement", () => {
  it("by a key that may collect moves the cursors, and the site tells who stores its consoles", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    acknowledge(bench, ["key-vault"]);
    expect(taken(bench)).toEqual([["7/router1/rx", "7/nas1/rx", "0/ledger"]]);
    expect(siteOf(bench).receivers).toMatchObject({ vault: { by: "vault", via: "primary" } });
    expect(siteOf(bench).heard).toEqual({ vault: 100_000 });
    expect(ignored(bench)).toEqual([]);
  });

  it("of another site is not ours, whoever brings it", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    acknowledge(bench, ["key-vault"], { site: "acme/two" });
    expect(taken(bench)).toEqual([]);
    expect(ignored(bench)).toEqual([{ "message.wrong-site": 1 }]);
    acknowledge(bench, ["key-vault"], { site: "acme/one" });
    expect(taken(bench)).toHaveLength(1);
  });

  it("counts for the devices that its role names, and for the ledger of their site", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    acknowledge(bench, ["key-annex"], { receiver: "annex" });
    expect(taken(bench)).toEqual([["7/router1/rx", "0/ledger"]]);
    expect(ignored(bench)).toEqual([{ "role.denied": 1 }]);
  });

  it.each([
    ["may only look", ["key-vera"], "role.denied"],
    ["may switch but not collect", ["key-alice"], "role.denied"],
    ["is nobody's", ["key-stranger"], "signature.unknown-key"],
    ["is revoked", ["key-old"], "operator.revoked"],
  ])("by a key that %s changes nothing and is counted", (_, signers, code) => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    acknowledge(bench, signers);
    expect(taken(bench)).toEqual([]);
    expect(bench.state.receivers).toEqual([]);
    expect(ignored(bench)).toEqual([{ [code]: 1 }]);
    expect(bench.replies).toEqual([]);
  });

  it("changes nothing where no trust says who may collect", () => {
    const bench = new Bench(PLAN, undefined, null);
    acknowledge(bench, ["key-vault"]);
    expect(taken(bench)).toEqual([]);
    expect(ignored(bench)).toEqual([{ "trust.none": 1 }]);
  });

  it("that the broker kept makes a receiver known, but does not say that it lives", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    acknowledge(bench, ["key-vault"], { retained: true });
    expect(siteOf(bench).heard).toEqual({ vault: null });
    bench.pass(5_000);
    acknowledge(bench, ["key-vault"]);
    expect(siteOf(bench).heard).toEqual({ vault: 105_000 });
  });

  it("comes fresh with the retain flag too, over version 5: then it says that the receiver lives", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    bench.emit({ type: "link-changed", connection: "primary", state: "up", detail: "" });
    bench.pass(1_000);
    acknowledge(bench, ["key-vault"], { retained: true });
    expect(siteOf(bench).heard).toEqual({ vault: null });
    bench.pass(5_000);
    acknowledge(bench, ["key-vault"], { retained: true });
    expect(siteOf(bench).heard).toEqual({ vault: 106_000 });
  });

  it("is not a reason to publish the state again and again", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    const published = () => bench.effects.filter(({ type }) => type === "publish").length;
    acknowledge(bench, ["key-vault"]);
    bench.pass(1_000);
    const once = published();
    for (let count = 0; count < 50; count++) {
      bench.pass(1_000);
      acknowledge(bench, ["key-vault"]);
    }
    expect(once).toBeGreaterThan(0);
    expect(published()).toBe(once);
  });

  it("of ever new receivers costs no memory: the one heard of longest ago gives way", () => {
    const bench = new Bench(PLAN, undefined, COLLECTING);
    for (let count = 0; count < 100; count++) {
      bench.pass(10);
      acknowledge(bench, ["key-vault"], { receiver: `vault-${count}` });
    }
    expect(bench.state.receivers.length).toBe(16);
    expect(bench.state.receivers.some(({ name }) => name === "vault-99")).toBe(true);
  });
});
