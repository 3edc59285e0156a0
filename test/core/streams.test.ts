import { describe, expect, it } from "vitest";
import type { Effect } from "../../src/core/events.ts";
import { EMPTY_DURABLE } from "../../src/core/ledger.ts";
import type { StreamArgs } from "../../src/core/messages.ts";
import { FAR_STREAMS } from "../../src/core/streams.ts";
import type { TrustDocument } from "../../src/core/trust.ts";
import { Bench, PLAN, TRUST } from "./bench.ts";

/** Who may open a stream, and when an open one is closed. */

const LIFE = "7/1";
const STREAM_TRUST: TrustDocument = {
  ...TRUST,
  operators: [
    ...TRUST.operators.map((one) => ({ ...one, lines: [`ssh-ed25519 ${one.name}`] })),
    { name: "ada", keys: ["key-ada", "key-ada2"], lines: ["ssh-ed25519 one", "ssh-ed25519 two"], roles: ["admin"] },
    { name: "fred", keys: ["key-fred"], lines: ["ssh-ed25519 fred"], roles: ["forwards"] },
  ],
  roles: { ...TRUST.roles, forwards: { verbs: ["view", "forward"], targets: ["one/*"] } },
};

type Opening = Extract<Effect, { type: "open-stream" }>;

class StreamBench extends Bench {
  constructor() {
    super(PLAN, EMPTY_DURABLE, STREAM_TRUST);
  }

  open(args: Partial<StreamArgs> & Pick<StreamArgs, "service">, by = "alice", options = {}) {
    return this.ask({ kind: "stream.open", args: { mode: "watch", life: LIFE, ...args } }, by, options);
  }

  opening(): Opening {
    const found = this.effects.findLast((effect): effect is Opening => effect.type === "open-stream");
    if (found === undefined) throw new Error("nothing was opened");
    return found;
  }

  /** Opens, and the edge says that it is. */
  opened(args: Partial<StreamArgs> & Pick<StreamArgs, "service">, by = "alice", options = {}, ticket?: string) {
    const before = this.effects.length;
    this.open(args, by, options);
    if (!this.effects.slice(before).some(({ type }) => type === "open-stream")) return this.last();
    const { token } = this.opening();
    this.emit({ type: "stream-opened", token, ok: true, code: null, detail: "", ...(ticket && { ticket }) });
    return this.last();
  }

  trustChange(document: Partial<TrustDocument>): Effect[] {
    const before = this.effects.length;
    const next = { ...STREAM_TRUST, epoch: this.state.trust ? this.state.trust.epoch + 1 : 1, ...document };
    const offer = { document: { ...next, sha256: `t${next.epoch}` }, signers: ["root"], envelope: "" };
    this.offerTrust(offer, "lte");
    const change = this.state.trustChange;
    if (change === null) throw new Error("the document was refused");
    this.emit({ type: "trust-stored", token: change.token, ok: true });
    return this.effects.slice(before).filter(({ type }) => type === "close-stream");
  }
}

const console1 = { service: "console", console: "router1" } as const;

describe("who may open a stream", () => {
  const matrix = ["vera", "ruth", "alice", "fred", "ada"].flatMap((by) =>
    (["watch", "type", "join", "steal", "ssh", "shell"] as const).map((what) => {
      const bench = new StreamBench();
      const args = what === "ssh" || what === "shell" ? { service: what } : ({ ...console1, mode: what } as const);
      const reply = bench.opened(args, by);
      const verdict = reply?.phase === "result" ? bench.opening().rights.join("+") : String(reply?.code);
      return `${by} ${what}: ${verdict}`;
    }),
  );

  it("is as this table says", () => {
    expect(matrix).toEqual([
      "vera watch: view",
      "vera type: role.denied",
      "vera join: role.denied",
      "vera steal: role.denied",
      "vera ssh: view",
      "vera shell: role.denied",
      "ruth watch: view",
      "ruth type: role.denied",
      "ruth join: role.denied",
      "ruth steal: role.denied",
      "ruth ssh: view",
      "ruth shell: role.denied",
      "alice watch: view",
      "alice type: stream.in-clear",
      "alice join: stream.in-clear",
      "alice steal: stream.in-clear",
      "alice ssh: view",
      "alice shell: role.denied",
      "fred watch: view",
      "fred type: role.denied",
      "fred join: role.denied",
      "fred steal: role.denied",
      "fred ssh: view+forward",
      "fred shell: role.denied",
      "ada watch: view",
      "ada type: stream.in-clear",
      "ada join: stream.in-clear",
      "ada steal: stream.in-clear",
      "ada ssh: view+forward",
      "ada shell: admin",
    ]);
  });

  it("the socket's group reads and types, and does nothing else", () => {
    const bench = new StreamBench();
    const local = { via: "local", signatures: 0, signers: [] };
    expect(bench.opened({ ...console1, mode: "type" }, "x", local)).toMatchObject({ phase: "result" });
    expect(bench.opening().who).toEqual({ name: "local", key: null, local: true });
    expect(bench.open({ service: "ssh" }, "x", local)).toMatchObject({ code: "signature.missing" });
    expect(bench.open({ service: "shell" }, "x", local)).toMatchObject({ code: "signature.missing" });
    expect(bench.open(console1, "x", { ...local, via: "lte" })).toMatchObject({ code: "signature.missing" });
  });

  it("revoked, unknown and missing ones are refused, each with its reason", () => {
    const bench = new StreamBench();
    expect(bench.open(console1, "rex")).toMatchObject({ code: "operator.revoked" });
    expect(bench.open(console1, "nobody")).toMatchObject({ code: "signature.unknown-key" });
    expect(bench.open({ service: "console", console: "other" })).toMatchObject({ code: "console.unknown" });
  });

  it("a login gets the living keys of its operator, and nobody else's", () => {
    const bench = new StreamBench();
    bench.opened({ service: "ssh" }, "ada");
    expect(bench.opening().keys).toEqual(["ssh-ed25519 one", "ssh-ed25519 two"]);
    bench.trustChange({ revoked: ["key-ada"] });
    bench.opened({ service: "ssh" }, "ada", { signers: ["key-ada2"] });
    expect(bench.opening().keys).toEqual(["ssh-ed25519 two"]);
  });
});

describe("what was recorded and comes again", () => {
  it("opens nothing in another life of the site", () => {
    const bench = new StreamBench();
    expect(bench.open({ ...console1, life: "7/0" })).toMatchObject({ code: "stream.stale" });
    expect(bench.open({ ...console1, life: undefined })).toMatchObject({ code: "stream.stale" });
  });

  it("is answered as before while the stream is open, and refused afterwards", () => {
    const bench = new StreamBench();
    const id = bench.id();
    const again = () => bench.ask({ kind: "stream.open", id, args: { ...console1, mode: "watch", life: LIFE } });
    again();
    const { token, id: stream } = bench.opening();
    bench.emit({ type: "stream-opened", token, ok: true, code: null, detail: "" });
    expect(again()).toMatchObject({ phase: "result", stream });
    bench.emit({ type: "stream-closed", id: stream, how: "ended", bytesIn: 0, bytesOut: 0 });
    expect(again()).toMatchObject({ code: "stream.stale" });
    expect(bench.effects.filter(({ type }) => type === "open-stream")).toHaveLength(1);
  });
});

describe("how many", () => {
  it("eight are open over brokers, and a place is free again when one ends", () => {
    const bench = new StreamBench();
    for (let n = 0; n < FAR_STREAMS; n++) expect(bench.opened(console1)).toMatchObject({ phase: "result" });
    expect(bench.open(console1)).toMatchObject({ code: "stream.too-many" });
    const local = { via: "local", signatures: 0, signers: [] };
    expect(bench.opened(console1, "x", local)).toMatchObject({ phase: "result" });
    bench.emit({ type: "stream-closed", id: "nonce-1", how: "ended", bytesIn: 1, bytesOut: 2 });
    expect(bench.opened(console1)).toMatchObject({ phase: "result" });
  });

  it("thousands that were opened and closed leave nothing but their last ids", () => {
    const bench = new StreamBench();
    for (let n = 0; n < 5_000; n++) {
      bench.opened(console1);
      bench.emit({ type: "stream-closed", id: bench.opening().id, how: "ended", bytesIn: 0, bytesOut: 0 });
    }
    expect(bench.state.streams).toEqual([]);
    expect(bench.state.streamsUsed.length).toBeLessThanOrEqual(4_096);
  });
});

describe("tickets", () => {
  const login = () => {
    const bench = new StreamBench();
    bench.opened({ service: "ssh" }, "vera", {}, "t1");
    return bench;
  };
  const local = { via: "local", signatures: 0, signers: [] };

  it("speak for the login's operator, once, with no more than his rights", () => {
    const bench = login();
    const denied = bench.open({ ...console1, mode: "type", ticket: "t1" }, "x", local);
    expect(denied).toMatchObject({ code: "role.denied" });
    expect(bench.opened({ ...console1, ticket: "t1" }, "x", local)).toMatchObject({ phase: "result" });
    expect(bench.opening().who).toEqual({ name: "vera", key: "key-vera", local: false });
    expect(bench.open({ ...console1, ticket: "t1" }, "x", local)).toMatchObject({ code: "stream.ticket" });
  });

  it("are worth nothing over a broker, when made up, and after the login's end", () => {
    const bench = login();
    expect(bench.open({ ...console1, ticket: "t1" }, "vera")).toMatchObject({ code: "stream.ticket" });
    expect(bench.open({ ...console1, ticket: "t2" }, "x", local)).toMatchObject({ code: "stream.ticket" });
    bench.emit({ type: "stream-closed", id: bench.opening().id, how: "ended", bytesIn: 0, bytesOut: 0 });
    expect(bench.open({ ...console1, ticket: "t1" }, "x", local)).toMatchObject({ code: "stream.ticket" });
  });
});

describe("a change of trust", () => {
  it("closes what a revoked key or operator has open, and leaves the others", () => {
    const bench = new StreamBench();
    bench.opened({ ...console1, mode: "watch" }, "alice");
    const alices = bench.opening().id;
    bench.opened(console1, "vera");
    bench.opened(console1, "x", { via: "local", signatures: 0, signers: [] });
    expect(bench.trustChange({ revoked: ["key-alice"] })).toEqual([
      { type: "close-stream", id: alices, code: "operator.revoked" },
    ]);
  });

  it("closes what has lost its right", () => {
    const bench = new StreamBench();
    bench.opened({ service: "ssh" }, "fred");
    const { id } = bench.opening();
    const roles = { ...STREAM_TRUST.roles, forwards: { verbs: ["view" as const], targets: ["one/*"] } };
    expect(bench.trustChange({ roles })).toEqual([{ type: "close-stream", id, code: "role.denied" }]);
  });

  it("closes a login when one of the keys that may be in it is revoked", () => {
    const bench = new StreamBench();
    bench.opened({ service: "ssh" }, "ada");
    const { id } = bench.opening();
    expect(bench.trustChange({ revoked: ["key-ada2"] })).toEqual([
      { type: "close-stream", id, code: "operator.revoked" },
    ]);
  });

  it("that comes while it is being opened closes it as soon as it is", () => {
    const bench = new StreamBench();
    bench.open(console1);
    const { id, token } = bench.opening();
    bench.trustChange({ revoked: ["alice"] });
    bench.emit({ type: "stream-opened", token, ok: true, code: null, detail: "" });
    expect(bench.effects).toContainEqual({ type: "close-stream", id, code: "operator.revoked" });
  });
});

describe("the ledger", () => {
  it("has who opened what with which key, and how it ended, and not the id of its topics", () => {
    const bench = new StreamBench();
    bench.opened({ ...console1, mode: "watch" }, "alice");
    const { id } = bench.opening();
    bench.emit({ type: "stream-closed", id, how: "stream.idle", bytesIn: 12, bytesOut: 3_400 });
    const records = bench.records.filter(({ kind }) => kind === "stream");
    const what = { by: "alice", key: "key-alice", via: "lte", service: "console", console: "router1", mode: "watch" };
    expect(records).toMatchObject([
      { ...what, state: "opened" },
      { ...what, state: "closed", how: "stream.idle", bytesIn: 12, bytesOut: 3_400 },
    ]);
    expect(JSON.stringify(records)).not.toContain(id);
  });

  it("has what a known operator was refused", () => {
    const bench = new StreamBench();
    bench.open({ service: "shell" }, "alice");
    expect(bench.records.at(-1)).toMatchObject({ kind: "refused", by: "alice", code: "role.denied", target: "shell" });
  });
});
