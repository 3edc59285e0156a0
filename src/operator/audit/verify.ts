import { type Envelope, NAMESPACES, parseJson } from "../../protocol/envelope.ts";
import { GENESIS, readCheckpoint, textHash } from "../../protocol/ledger-chain.ts";
import { siteRoot, topicText } from "../../protocol/topics.ts";
import { asRecord } from "../client.ts";
import { Authority, type Verify } from "./authority.ts";
import { Evidence } from "./evidence.ts";
import { canonical, type Export, readExport } from "./export-file.ts";
import { type Judged, type JudgedOf, readRecord } from "./records.ts";

/** Judges an export by itself: nobody is asked, and nothing in it is believed that is not signed. */

export interface Beliefs {
  /** Fingerprint of the site's key, from where it is known; null: only the export says it. */
  readonly key: string | null;
  /** Fingerprints of roots that must have signed the first trust document; null: any. */
  readonly roots: readonly string[] | null;
  /** Signed trust documents that the export may lack. */
  readonly trust: readonly string[];
  readonly verify: Verify;
}

export interface Problem {
  /** Number of the record, null where it is none. */
  readonly seq: number | null;
  readonly what: string;
}

export interface Report {
  /** Whole, and proven to the last record by a key that is known. */
  readonly ok: boolean;
  readonly fleet: string | null;
  readonly site: string | null;
  readonly records: number;
  readonly from: number | null;
  readonly to: number | null;
  /** The last record of those that the site's signatures cover without a break from the first. */
  readonly proven: number | null;
  /** Whether the site's key was known from elsewhere. */
  readonly verified: boolean;
  readonly problems: readonly Problem[];
  /** What is no fault and yet to be known. */
  readonly notes: readonly string[];
}

const PROBLEMS_KEPT = 1_000;

export function verifyExport(bytes: Uint8Array, beliefs: Beliefs): Report {
  const read = readExport(bytes);
  if (typeof read === "string") {
    const problems = [{ seq: null, what: read }];
    const nothing = { fleet: null, site: null, from: null, to: null, proven: null };
    return { ok: false, ...nothing, records: 0, verified: false, problems, notes: [] };
  }
  return new Audit(read, beliefs).report();
}

class Audit {
  private readonly problems: Problem[] = [];
  private readonly notes: string[] = [];
  /** Hash of each record's text, by its number. */
  private readonly hashes = new Map<number, string>();
  private proven: number | null = null;
  private broken = false;
  private start: number | null = null;
  private readonly read: Export;
  private readonly beliefs: Beliefs;

  constructor(read: Export, beliefs: Beliefs) {
    this.read = read;
    this.beliefs = beliefs;
  }

  private problem(seq: number | null, what: string | null): void {
    if (what !== null && this.problems.length < PROBLEMS_KEPT) this.problems.push({ seq, what });
  }

  report(): Report {
    const { header, key, records } = this.read;
    const { beliefs } = this;
    const judged = records.map(readRecord);
    if (beliefs.key === null) this.notes.push("unverified: no key of this site is known; give --sites or --key");
    else if (beliefs.key !== key) this.problem(null, "the header's key is not the key of this site");
    const first = judged[0] ?? null;
    if (records.length === 0) this.problem(null, "there are no records");
    this.walk(judged, first);
    this.head(judged);
    const to = judged.at(-1)?.seq ?? null;
    if (to !== null && this.proven !== to)
      this.notes.push(
        this.proven === null
          ? "unproven: no signature of the site covers any record"
          : `unproven: what stands after #${this.proven}, the last that the site signed`,
      );
    const ok = this.problems.length === 0 && beliefs.key !== null && to !== null && this.proven === to;
    return {
      ok,
      fleet: header.fleet,
      site: header.site,
      records: records.length,
      from: first?.seq ?? null,
      to,
      proven: this.proven,
      verified: beliefs.key !== null && beliefs.key === key,
      problems: this.problems,
      notes: this.notes,
    };
  }

  private walk(judged: readonly (Judged | null)[], first: Judged | null): void {
    const { fleet, site } = this.read.header;
    const { roots, trust, verify } = this.beliefs;
    const recycled = first !== null && first.seq > 1;
    const authority = new Authority(fleet, roots, trust, verify);
    const evidence = new Evidence(fleet, site, verify, recycled ? first : null);
    if (recycled) this.recycledBegin(authority, judged, first);
    let before: { seq: number; sha256: string } | null = null;
    judged.forEach((record, index) => {
      const text = this.read.records[index] ?? "";
      const sha256 = textHash(text);
      if (record === null) {
        this.broken = true;
        this.problem((before?.seq ?? 0) + 1, "is not a record of a ledger");
        before = { seq: (before?.seq ?? 0) + 1, sha256 };
        return;
      }
      this.link(record, before);
      before = { seq: record.seq, sha256 };
      this.hashes.set(record.seq, sha256);
      if (record.kind === "start") this.start = record.start;
      if (record.kind === "trust") this.problem(record.seq, authority.take(record));
      else if (record.kind === "checkpoint") this.problem(record.seq, this.checkpoint(record, first));
      else this.problem(record.seq, evidence.judge(record, authority.document));
    });
    if (roots === null)
      this.notes.push("the first trust document is believed because the site took it; --root KEY.pub checks it");
  }

  /** The ring is full: what came before was overwritten. That is no fault, but its trust must come from elsewhere. */
  private recycledBegin(authority: Authority, judged: readonly (Judged | null)[], first: Judged): void {
    this.notes.push(`the ledger begins at #${first.seq}: what came before was overwritten`);
    const earliest = judged.find((one) => one?.kind === "trust");
    const asked = judged.find(
      (one) =>
        one?.kind === "trust" || (one !== null && "signed" in one && one.kind !== "checkpoint" && one.signed !== null),
    );
    const known = authority.begin(earliest?.kind === "trust" ? earliest.epoch : Number.POSITIVE_INFINITY);
    if (!known && asked !== undefined)
      this.notes.push(`which trust was in force at #${first.seq} is not in the file: give it with --trust FILE`);
  }

  private link(record: Judged, before: { seq: number; sha256: string } | null): void {
    const known = this.problems.length;
    if (before === null) {
      if (record.seq === 1 && record.prev !== GENESIS) this.problem(1, "is not the first record of a ledger");
    } else {
      if (record.seq !== before.seq + 1) this.problem(record.seq, `follows #${before.seq}`);
      if (record.prev !== before.sha256) this.problem(record.seq, `does not hang on #${before.seq} as it stands here`);
    }
    if (this.problems.length > known) this.broken = true;
  }

  private checkpoint(record: JudgedOf<"checkpoint">, first: Judged | null): string | null {
    const envelope = canonical(record.signed);
    const body = envelope && readCheckpoint(envelope.body);
    if (envelope === null || body === null) return "what it holds is no checkpoint";
    if (!this.signedBySite(envelope)) return "the site's key did not sign it";
    const { fleet, site } = this.read.header;
    if (body.fleet !== fleet || body.site !== site) return `signed for ${body.fleet}/${body.site}`;
    if (body.seq !== record.of || body.sha256 !== record.sha256) return "it says another thing than was signed";
    if (body.boot !== record.boot || (this.start !== null && body.start !== this.start))
      return "it was signed in another life of the site";
    if (first !== null && body.seq < first.seq)
      return body.seq < first.seq - 1 || body.sha256 === first.prev ? null : `it signed another #${body.seq}`;
    if (this.hashes.get(body.seq) !== body.sha256) return `it signed another #${body.seq}`;
    if (!this.broken) this.proven = body.seq;
    return null;
  }

  /** The site's own answer to who exported it: it covers the last records, and the chain all before them. */
  private head(judged: readonly (Judged | null)[]): void {
    const { head, header, records } = this.read;
    if (head === null) return;
    const body = asRecord(parseJson(head.body));
    const last = judged.at(-1)?.seq ?? 0;
    const from = judged.findIndex((one) => one !== null && one.seq === body?.from);
    const topic = topicText(siteRoot(header.fleet, header.site), { name: "up/reply" });
    const good =
      this.signedBySite(head) &&
      body?.topic === topic &&
      body.phase === "result" &&
      body.to === last + 1 &&
      from >= 0 &&
      typeof body.first === "number" &&
      body.sha256 === textHash(records.slice(from).join("\n"));
    if (!good) return this.problem(null, "the head is not the site's signature over the last records");
    const begin = judged[0]?.seq ?? 0;
    // While it was read, the ring may have gone on; never may less be here than the site still had.
    if (Number(body.first) < begin)
      return this.problem(begin, `the site still had #${body.first} and what follows: the begin was cut off`);
    if (!this.broken) this.proven = last;
  }

  private signedBySite({ body, sigs }: Envelope): boolean {
    const [signature, ...more] = sigs;
    const key = this.beliefs.key ?? this.read.key;
    return (
      signature !== undefined && more.length === 0 && this.beliefs.verify(body, signature, NAMESPACES.site) === key
    );
  }
}
