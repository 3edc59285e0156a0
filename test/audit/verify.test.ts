import { describe, expect, it } from "vitest";
import { signEd25519 } from "../../src/access/sshsig.ts";
import { exportText } from "../../src/operator/audit/export-file.ts";
import { type Beliefs, verifyExport } from "../../src/operator/audit/verify.ts";
import { encodeEnvelope, NAMESPACES } from "../../src/protocol/envelope.ts";
import { checkpointBody, textHash } from "../../src/protocol/ledger-chain.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { beliefs, mutate } from "./mutate.ts";
import { AuditedSite, busyDay, fingerprintOfKey, keyOf, publicKeyOf, signedBy, trustOf } from "./site.ts";

type Json = Record<string, unknown>;

const siteDay = busyDay();
const wholeDay = siteDay.then((site) => site.export(10));
const judge = (text: string, more: Partial<Beliefs> = {}) => verifyExport(Buffer.from(text), { ...beliefs, ...more });

const signSite = (body: Uint8Array) => ({ body, sigs: [signEd25519(keyOf("site"), body, NAMESPACES.site)] });

/** A site that lies: it writes what it likes, and signs chain, checkpoints and end with its own key. */
function lying(records: readonly Json[]): string {
  let prev = records[0]?.seq === 1 ? "0".repeat(64) : String(records[0]?.prev);
  let start = 1;
  const texts = records.map((record) => {
    if (record.kind === "start") start = Number(record.start);
    const signed =
      record.kind === "checkpoint"
        ? encodeEnvelope(
            signSite(
              checkpointBody({ fleet: "acme", site: "one", boot: 7, start, seq: Number(record.seq) - 1, sha256: prev }),
            ),
          )
        : null;
    const text = JSON.stringify({
      ...record,
      ...(signed !== null && { signed, of: Number(record.seq) - 1, sha256: prev }),
      prev,
    });
    prev = textHash(text);
    return text;
  });
  const [first, last] = [Number(records[0]?.seq), Number(records.at(-1)?.seq)];
  const topic = `${siteRoot("acme", "one")}/up/reply`;
  const sha256 = textHash(texts.join("\n"));
  const body = Buffer.from(JSON.stringify({ sha256, first, from: first, to: last + 1, phase: "result", topic }));
  return exportText({ fleet: "acme", site: "one", key: publicKeyOf("site") }, texts, signSite(body));
}

async function recordsOf(site: Promise<AuditedSite> = siteDay): Promise<Json[]> {
  return (await site).records().map((text) => JSON.parse(text) as Json);
}

/** The day as it was, but for one record of that kind. */
async function dayWith(kind: string, change: (record: Json) => Json): Promise<{ text: string; seq: unknown }> {
  const records = await recordsOf();
  const at = records.findIndex((one) => one.kind === kind);
  records[at] = change(records[at] ?? {});
  return { text: lying(records), seq: records[at]?.seq };
}

describe("an export of a ledger", () => {
  it("of a busy day is whole, and proven to its last record by the site's key", async () => {
    const report = judge(await wholeDay);
    expect(report).toMatchObject({ ok: true, fleet: "acme", site: "one", from: 1, verified: true, problems: [] });
    expect(report.proven).toBe(report.to);
    const kinds = new Set((await recordsOf()).map((one) => one.kind));
    for (const kind of ["selected", "intent", "refused", "locked", "unlocked", "cancelled", "trust", "checkpoint"])
      expect(kinds).toContain(kind);
  });

  it("500 edits are all seen, and what nobody edited is not", async () => {
    const told = await mutate(500, 7);
    expect(told).toMatchObject({ whole: true, edits: 500, detected: 500, unseen: [] });
    expect(Object.keys(told.byKind).length).toBeGreaterThan(10);
  }, 180_000);

  it("is not proven where no key of the site is known, nor by another key", async () => {
    expect(judge(await wholeDay, { key: null })).toMatchObject({ ok: false, verified: false, problems: [] });
    expect(judge(await wholeDay, { key: fingerprintOfKey("mallory") })).toMatchObject({ ok: false, verified: false });
  });

  it("of a card has no end that somebody signed: it is proven to the last checkpoint, and says so", async () => {
    const lines = (await wholeDay).split("\n");
    const report = judge([...lines.slice(0, -2), ""].join("\n"));
    expect(report).toMatchObject({ ok: false, problems: [] });
    expect(report.proven).toBeLessThan(Number(report.to));
    expect(report.proven).toBeGreaterThan(Number(report.to) - 10);
    expect(report.notes.join()).toContain(`unproven: what stands after #${report.proven}`);
  });

  it("of which a record was changed is proven to the checkpoint before that, and no further", async () => {
    const lines = (await wholeDay).split("\n");
    const at = lines.findIndex((line) => line.includes('"kind":"locked"'));
    const checkpoint = lines.findLastIndex((line, index) => index < at && line.includes('"kind":"checkpoint"'));
    const report = judge(lines.map((line, index) => (index === at ? line.replace("works", "slept") : line)).join("\n"));
    expect(report.problems.map((one) => one.seq)).toEqual([at, at + 1]);
    expect(report.proven).toBe(checkpoint - 1);
  });

  it("whose begin was overwritten is whole when the trust of then is given, and that is told", async () => {
    const records = (await recordsOf()).slice(3);
    const text = lying(records);
    expect(judge(text, { trust: [trustOf(1)] })).toMatchObject({ ok: true, from: 4 });
    const without = judge(text);
    expect(without.ok).toBe(false);
    expect(without.notes.join(" ")).toContain("which trust was in force at #4 is not in the file");
    // Not the selection before it, which lies before the begin; only what comes in the same minute may lack it.
    expect(judge(lying((await recordsOf()).slice(4)), { trust: [trustOf(1)] }).ok).toBe(true);
  });

  it("of a full ring, over many restarts, is one chain from the oldest record that is left", async () => {
    const site = new AuditedSite(512 * 1024);
    for (let round = 0; round < 16; round++) {
      site.start();
      for (let count = 0; count < 15; count++) await site.order("alice", "on", "nas1");
      await site.pass(60_000);
    }
    const report = judge(await site.export(), { trust: [trustOf(1)] });
    expect(report).toMatchObject({ ok: true, problems: [] });
    expect(report.from).toBeGreaterThan(100);
    expect(report.records).toBeGreaterThan(300);
    expect(report.notes.join()).toContain(`the ledger begins at #${report.from}`);
  });

  it("whose begin somebody cut off is told from one that was overwritten", async () => {
    const [header = "", ...lines] = (await wholeDay).split("\n");
    const report = judge([header, ...lines.slice(1)].join("\n"));
    expect(report.ok).toBe(false);
    expect(report.problems).toEqual([
      { seq: 2, what: "the site still had #1 and what follows: the begin was cut off" },
    ]);
  });

  it("whose first trust other roots signed is not believed", async () => {
    const report = judge(await wholeDay, { roots: [fingerprintOfKey("mallory")] });
    expect(report.problems[0]).toMatchObject({ seq: 2, what: expect.stringContaining("trust.signatures") });
  });

  it("a trust document that was too large for the ledger is asked for, and taken from a file", async () => {
    const { text, seq } = await dayWith("trust", (record) => ({ ...record, document: null }));
    expect(judge(text).problems[0]).toMatchObject({ seq, what: expect.stringContaining("give it with --trust FILE") });
    expect(judge(text, { trust: [trustOf(1)] }).ok).toBe(true);
  });
});

describe("a site that lies with its own key", () => {
  it("is believed where it tells what happened: the forger of these tests can forge", async () => {
    expect(judge(lying(await recordsOf()))).toMatchObject({ ok: true });
  });

  const command = (more: Json) => ({
    v: 1,
    id: "00000000000000000000000001",
    site: "acme/one",
    kind: "select",
    verb: "cycle",
    target: "router1",
    args: {},
    by: "alice",
    epoch: 1,
    ...more,
  });

  it.each<[string, string, (record: Json) => Json, RegExp]>([
    [
      "names another operator",
      "intent",
      (one) => ({ ...one, intent: { ...(one.intent as Json), by: "olaf" } }),
      /it says olaf, signed was alice/,
    ],
    [
      "names another target",
      "intent",
      (one) => ({ ...one, intent: { ...(one.intent as Json), target: "nas1" } }),
      /it says nas1, selected was router1/,
    ],
    [
      "names another verb",
      "intent",
      (one) => ({ ...one, intent: { ...(one.intent as Json), verb: "off" } }),
      /it says off, selected was cycle/,
    ],
    [
      "names another reason",
      "intent",
      (one) => ({ ...one, intent: { ...(one.intent as Json), reason: "fun" } }),
      /its reason/,
    ],
    ["shows no signature", "intent", (one) => ({ ...one, signed: null }), /nothing shows that alice signed it/],
    [
      "shows a command of a stranger",
      "selected",
      (one) => ({ ...one, signed: signedBy("mallory", command({})) }),
      /signature.unknown-key/,
    ],
    [
      "shows a command of a viewer",
      "selected",
      (one) => ({ ...one, by: "vera", signed: signedBy("vera", command({ by: "vera" })) }),
      /vera may not cycle router1/,
    ],
    [
      "shows a command to another site",
      "selected",
      (one) => ({ ...one, signed: signedBy("alice", command({ site: "acme/two" })) }),
      /signed for acme\/two/,
    ],
    ["names another id", "selected", (one) => ({ ...one, id: "00000000000000000000000099" }), /signed was 0+1/],
    [
      "names another verb of a selection",
      "selected",
      (one) => ({ ...one, verb: "off" }),
      /it says off, signed was cycle/,
    ],
    ["names another target of a selection", "selected", (one) => ({ ...one, target: "nas1" }), /it says nas1/],
    ["gave another nonce than was spent", "selected", (one) => ({ ...one, nonce: "f".repeat(32) }), /never given/],
    [
      "let a nonce live for hours",
      "selected",
      (one) => ({ ...one, mono: Number(one.mono) - 3_600_000 }),
      /older than a minute/,
    ],
    [
      "writes the evidence with spare bits",
      "selected",
      (one) => ({ ...one, signed: String(one.signed).replace('"]}', '="]}') }),
      /not written as a site keeps it/,
    ],
    [
      "drove an edge for nobody",
      "edge",
      (one) => ({ ...one, id: "00000000000000000000000098" }),
      /nobody ordered before/,
    ],
    ["locked for another", "locked", (one) => ({ ...one, by: "alice" }), /it says alice, signed was olaf/],
    [
      "calls somebody revoked who is not",
      "refused",
      (one) => ({ ...one, code: "operator.revoked", reply: null, target: "" }),
      /operator.revoked, which is not so/,
    ],
    [
      "took a trust that its roots did not sign",
      "trust",
      (one) => ({ ...one, document: trustOf(1, [], "mallory").replace(/"sigs":.*/, '"sigs":[]}') }),
      /another one than it says|trust.signatures/,
    ],
    [
      "has a record of a kind that there is not",
      "ignored",
      (one) => ({ ...one, kind: "gift" }),
      /not a record of a ledger/,
    ],
  ])("is found out: it %s", async (_, kind, change, what) => {
    const { text, seq } = await dayWith(kind, change);
    const report = judge(text);
    expect(report.ok).toBe(false);
    expect(report.problems.some((one) => what.test(one.what))).toBe(true);
    expect(report.problems[0]?.seq).toBeGreaterThanOrEqual(Number(seq));
  });

  it("is found out: it leaves out a record, and tells a nonce spent twice", async () => {
    const records = await recordsOf();
    const without = records.filter((one) => one.kind !== "unlocked");
    expect(judge(lying(without)).problems[0]?.what).toMatch(/^follows #/);
    const intent = records.find((one) => one.kind === "intent") ?? {};
    const again = [...records, { ...intent, seq: records.length + 1 }];
    expect(judge(lying(again)).problems[0]).toMatchObject({ seq: records.length + 1 });
  });
});
