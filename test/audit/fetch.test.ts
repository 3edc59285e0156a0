import { expect, it } from "vitest";
import type { Message } from "../../src/link/transport.ts";
import { exportText } from "../../src/operator/audit/export-file.ts";
import { type Failed, type Fetched, fetchLedger } from "../../src/operator/audit/fetch.ts";
import { verifyExport } from "../../src/operator/audit/verify.ts";
import type { Client, SiteReply } from "../../src/operator/client.ts";
import { beliefs } from "./mutate.ts";
import { AuditedSite, busyDay, publicKeyOf } from "./site.ts";

/** A client that hears what the site publishes, as far as the link lets it. */
function clientOf(site: AuditedSite, passes: (message: Message) => boolean = () => true): Client {
  const listeners = new Set<(message: Message) => void>();
  site.onMessage = (message) => {
    if (passes(message)) for (const listener of listeners) listener(message);
  };
  return {
    fleet: "acme",
    site: "one",
    local: false,
    epoch: 1,
    state: () => null,
    presence: () => null,
    sawForged: () => false,
    verified: () => true,
    onMessage(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onLost: () => () => undefined,
    onBack: () => () => undefined,
    transport: { start: () => undefined, publish: () => true, subscribe: () => undefined, stop: async () => undefined },
    send: async (body) => (await site.send("alice", body)) as SiteReply,
    stop: async () => undefined,
  };
}

const fileOf = (fetched: Fetched | Failed): Uint8Array => {
  if ("why" in fetched) throw new Error(fetched.why);
  const header = { fleet: "acme", site: "one", key: publicKeyOf("site") };
  return Buffer.from(exportText(header, fetched.records, fetched.head));
};

it("a ledger that takes many answers is put together, and the last answer covers its end and its begin", async () => {
  const site = new AuditedSite();
  for (let count = 0; count < 200; count++) await site.order("alice", "on", "nas1");
  await site.pass(60_000);
  let answers = 0;
  const client = clientOf(site, ({ topic }) => {
    if (topic.endsWith("/up/reply")) answers++;
    return true;
  });
  const report = verifyExport(fileOf(await fetchLedger(client, null)), beliefs);
  expect(report).toMatchObject({ ok: true, from: 1, problems: [] });
  expect(answers).toBeGreaterThan(1);
});

it("records that are bent on the way are not taken for the site's", async () => {
  const site = await busyDay();
  const client = clientOf(site, (message) => {
    if (message.topic.endsWith("/up/event")) {
      const bent = Buffer.from(Buffer.from(message.payload).toString().replace('"verb":"cycle"', '"verb":"off"'));
      Object.assign(message, { payload: bent });
    }
    return true;
  });
  const fetched = await fetchLedger(client, null, { tries: 2, stragglersMs: 100 });
  expect(fetched).toEqual({ why: "unlike" });
});

it("who may not look is told the code", async () => {
  const site = new AuditedSite();
  const client = clientOf(site);
  const asStranger: Client = { ...client, send: async (body) => (await site.send("mallory", body)) as SiteReply };
  expect(await fetchLedger(asStranger, null)).toMatchObject({
    why: "refused",
    reply: { code: "signature.unknown-key" },
  });
});
