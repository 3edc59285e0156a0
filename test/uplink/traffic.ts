import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { asRecord, openClient } from "../../src/operator/client.ts";
import { loadSites } from "../../src/operator/who.ts";
import { inProcessSigner } from "../trust.ts";

/** An operator somewhere on the internet: a signed command each 100 ms; tells each answer, and what the site says. */

const [broker = "", ca = "", key = ""] = process.argv.slice(2);
const PERIOD_MS = 100;
/** A command that is not answered in that time is lost. */
const LOST_MS = 15_000;

const nobody = { site: null, identity: null, as: null, trust: null, sites: null, local: null, source: "test" };
const settings = { ...nobody, brokers: [broker], fleet: "acme", tls: { ca } };
const client = await openClient(settings, "one", loadSites(settings, null), 1);
const who = { by: "alice", signer: inProcessSigner(createPrivateKey(readFileSync(key))) };
let sent = 0;
const say = (what: Readonly<Record<string, unknown>>) => process.stdout.write(`${JSON.stringify(what)}\n`);
setInterval(async () => {
  const n = ++sent;
  const atMs = Date.now();
  say({ sent: n, atMs });
  const reply = await client.send({ kind: "status" }, { who, timeoutMs: LOST_MS }).catch(() => null);
  const site = asRecord(asRecord(reply?.state)?.site);
  const primary = asRecord(asRecord(site?.uplinks)?.primary);
  const links = asRecord(site?.links);
  say({
    answered: n,
    lost: reply === null || reply.phase !== "result",
    atMs: Date.now(),
    rttMs: Date.now() - atMs,
    verdict: primary?.verdict ?? null,
    detail: primary?.detail ?? null,
    lte: asRecord(links?.lte)?.state ?? null,
    primary: asRecord(links?.primary)?.state ?? null,
  });
}, PERIOD_MS);
