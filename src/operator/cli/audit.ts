import { createPrivateKey } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { publicKeyLine, verifySignature } from "../../access/sshsig.ts";
import { writeWhole } from "../../disk/disk.ts";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import { readCheckpoint } from "../../protocol/ledger-chain.ts";
import { fingerprintOf, keyBlob } from "../../protocol/trust-document.ts";
import { canonical, exportText, type Header, plainKey } from "../audit/export-file.ts";
import { fetchLedger } from "../audit/fetch.ts";
import { readRecord } from "../audit/records.ts";
import { type Report, verifyExport } from "../audit/verify.ts";
import { SettingsError } from "../errors.ts";
import { loadSettings, type Settings } from "../settings.ts";
import { type LoadedTrust, loadSites, loadTrust } from "../who.ts";
import { openCard } from "./card.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  list,
  text,
  UsageError,
} from "./command.ts";
import { connectTo, contextOf, sayVerification, silence, viewerOf } from "./connect.ts";
import { jsonText, note, paint, print, printError, safe } from "./out.ts";
import { tellRejected } from "./refusal.ts";

const { trust: _trust, ...WITHOUT_TRUST } = CONNECTION_OPTIONS;

export const command: CliCommand = {
  usage: [
    "audit export SITE [--out FILE]",
    "audit export --data DATA [--out FILE]         from the card of a dead site",
    "audit verify FILE [--key KEY | --sites FILE] [--root KEY.pub…] [--trust FILE…]",
  ],
  about:
    "A site's ledger as evidence: taken with the site's signature, and judged by itself. Nothing is asked of the site or of anybody to judge it.",
  examples: [
    "towpath audit export harbour-07 --out harbour-07.jsonl",
    "towpath audit verify harbour-07.jsonl --root root1.pub root2.pub",
    "towpath audit export --data /mnt/card/towpath --out card.jsonl",
    "towpath audit verify card.jsonl --key harbour-07.pub --trust trust-3.json --json",
  ],
  options: {
    ...WITHOUT_TRUST,
    trust: { type: "string", multiple: true },
    data: { type: "string" },
    out: { type: "string" },
    key: { type: "string" },
    root: { type: "string", multiple: true },
  },
  optionHelp: {
    out: "where to write the export (default: standard output)",
    data: "read the journal of a site's data folder on this machine; nobody signs its end then",
    key: "the site's public key, as a file or a line (default: as --sites says)",
    root: "public key of a root holder, once for each: only these may have signed the first trust document",
    ...CONNECTION_HELP,
    trust: "trust documents; verify takes those that the export lacks, and more than one",
    json: "one JSON document: {ok, records, from, to, proven, verified, problems: [{seq, what}], notes}",
  },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const [what, ...words] = args.words;
  if (what === "verify") return verify(args, words);
  if (what !== "export") throw new UsageError("audit what? export or verify");
  const data = text(args, "data");
  const [site, ...more] = words;
  if (more.length > 0 || (site === undefined) === (data === undefined))
    throw new UsageError("whose ledger? towpath audit export SITE, or --data DATA for a card");
  return data === undefined ? exportSite(args, site ?? "") : exportCard(args, data);
}

async function exportSite(args: CliArgs, site: string): Promise<number> {
  const trusts = list(args, "trust");
  if (trusts.length > 1) throw new UsageError("one --trust FILE: the fleet's present document");
  const context = contextOf({ ...args, values: { ...args.values, trust: trusts[0] } });
  const who = await viewerOf(context);
  const client = await connectTo(context, site.replace(/\/.*$/, ""));
  try {
    const fetched = await fetchLedger(client, who);
    if ("why" in fetched) {
      if (fetched.why === "silent") throw silence(client, client.site);
      if (fetched.why === "refused") return tellRejected(args.json, fetched.reply);
      printError("the records that came are not those that the site signed for (reply.unverified)", "Try again.");
      return EXIT.failed;
    }
    const key = plainKey(String(client.state()?.body.key ?? ""));
    if (key === null) throw new UsageError(`${client.site} has not told its key: is it of an older version?`);
    sayVerification(client, client.site);
    const { fleet, site: name } = client;
    return give(args, exportText({ fleet, site: name, key }, fetched.records, fetched.head), fetched.records);
  } finally {
    await client.stop();
  }
}

/** Nobody can be asked about the end of it: what stands after the last checkpoint is not proven. */
function exportCard(args: CliArgs, data: string): number {
  const store = openCard(data);
  const records = store.readLedger(0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  const file = join(data, "site.key");
  if (!existsSync(file)) throw new UsageError(`${file} is not there: whose ledger it is cannot be told`);
  const key = plainKey(publicKeyLine(createPrivateKey(readFileSync(file)), "")) ?? "";
  const whose = ownerOf(records);
  if (whose === null) throw new UsageError(`${data}: no checkpoint in ${records.length} records; nothing was switched`);
  return give(args, exportText({ ...whose, key }, records, null), records);
}

function ownerOf(records: readonly string[]): Pick<Header, "fleet" | "site"> | null {
  for (const line of records) {
    const record = readRecord(line);
    const envelope = record?.kind === "checkpoint" ? canonical(record.signed) : null;
    const body = envelope && readCheckpoint(envelope.body);
    if (body !== null) return { fleet: body.fleet, site: body.site };
  }
  return null;
}

function give(args: CliArgs, whole: string, records: readonly string[]): number {
  const out = text(args, "out");
  if (out === undefined) {
    process.stdout.write(whole);
    return EXIT.done;
  }
  writeWhole(out, whole);
  const [first, last] = [records[0], records.at(-1)].map((line) => readRecord(line ?? "")?.seq ?? null);
  if (args.json) print(jsonText({ ok: true, file: out, records: records.length, from: first, to: last }));
  else print(`${out}: ${records.length} records, #${first} to #${last}; towpath audit verify ${out}`);
  return EXIT.done;
}

function verify(args: CliArgs, words: readonly string[]): number {
  const [file, ...more] = words;
  if (file === undefined) throw new UsageError("which file? towpath audit verify FILE");
  // `--root a.pub b.pub`: the words after the option belong to it.
  const roots = [...list(args, "root"), ...(list(args, "root").length > 0 ? more : [])];
  if (more.length > 0 && list(args, "root").length === 0) throw new UsageError(`what is ${more.join(" ")}?`);
  if (!existsSync(file)) throw new UsageError(`${file} is not there`);
  const bytes = readFileSync(file);
  const report = verifyExport(bytes, {
    key: siteKey(args, bytes),
    roots: roots.length === 0 ? null : roots.map(fingerprint),
    trust: list(args, "trust").map(trustText),
    verify: (body, signature, namespace) => verifySignature(body, signature, namespace)?.fingerprint ?? null,
  });
  if (args.json) print(jsonText(report));
  else tell(file, report);
  return report.ok ? EXIT.done : EXIT.failed;
}

function fingerprint(given: string): string {
  const line = existsSync(given) ? readFileSync(given, "utf8").trim() : given;
  const blob = keyBlob(line);
  if (blob === null) throw new UsageError(`${given}: not a public key (ed25519, ecdsa-p256, or their sk- forms)`);
  return fingerprintOf(blob);
}

/** In the one way to write it: a file may end with a newline. */
function trustText(file: string): string {
  const loaded = orUsage(() => loadTrust({ trust: file }));
  const envelope = loaded && canonical(loaded.text.trim());
  if (envelope === null) throw new UsageError(`trust: ${file} is not a trust document`);
  return encodeEnvelope(envelope);
}

/** The key of the site that the file says it is of, from where keys of sites are known. */
function siteKey(args: CliArgs, bytes: Uint8Array): string | null {
  const given = text(args, "key");
  if (given !== undefined) return fingerprint(given);
  const settings = settingsOf(args);
  const [header = ""] = Buffer.from(bytes).toString("utf8").split("\n", 1);
  const name = /"site":"([a-z0-9-]{1,63})"/.exec(header)?.[1];
  return orUsage(() => {
    const sites = loadSites(settings, newestTrust(args, settings));
    if (sites.doubt !== null) note(`unverified: ${sites.doubt}`);
    return name === undefined ? null : sites.keyOf(name);
  });
}

/** Whose signature a list of sites needs: the newest document that was given says it, else the usual one. */
function newestTrust(args: CliArgs, settings: Pick<Settings, "trust">): LoadedTrust | null {
  const given = list(args, "trust").flatMap((file) => loadTrust({ trust: file }) ?? []);
  return given.sort((a, b) => a.document.epoch - b.document.epoch).at(-1) ?? loadTrust(settings);
}

/** The usual settings, where there are some; judging a file needs no connection. */
function settingsOf(args: CliArgs): Pick<Settings, "sites" | "trust"> {
  const values = { sites: text(args, "sites"), fleet: text(args, "fleet") };
  try {
    return loadSettings({ brokers: list(args, "broker"), values }, process.env);
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    const sites = values.sites ?? process.env.TOWPATH_SITES ?? null;
    return { sites, trust: process.env.TOWPATH_TRUST ?? null };
  }
}

function orUsage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof SettingsError ? new UsageError(error.message) : error;
  }
}

function tell(file: string, report: Report): void {
  for (const { seq, what } of report.problems)
    print(`${paint("red", "wrong")}: ${safe(`${seq === null ? "" : `#${seq} `}${what}`)}`);
  for (const one of report.notes) print(`${paint("yellow", "note")}: ${safe(one)}`);
  const { fleet, site, records, from, to, problems } = report;
  const range = records === 0 ? "no records" : `${records} records, #${from} to #${to}`;
  if (report.ok) print(`${paint("green", "ok")}: ${fleet}/${site}, ${range}, whole and signed by the site`);
  else {
    const where = fleet === null ? file : `${file}, ${fleet}/${site}`;
    print(`${paint("red", "not proven")}: ${safe(where)}, ${range}, ${problems.length} problems`);
  }
}
