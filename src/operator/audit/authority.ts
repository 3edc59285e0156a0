import { acceptTrust, type TrustDocument } from "../../core/trust.ts";
import { NAMESPACES } from "../../protocol/envelope.ts";
import { readTrustBody, toTrustDocument } from "../../protocol/trust-document.ts";
import { canonical } from "./export-file.ts";
import type { JudgedOf } from "./records.ts";

/** Which trust document was in force at each record, and whether its roots and those before signed it. */

/** Fingerprint of who signed the bytes, or null. */
export type Verify = (body: Uint8Array, signature: Uint8Array, namespace: string) => string | null;

interface Signed {
  readonly document: TrustDocument;
  readonly signers: readonly string[];
}

/** A signed document from its text; null when it is none, or written otherwise than a site keeps it. */
function readSigned(text: string, verify: Verify): Signed | null {
  const envelope = canonical(text);
  const body = envelope && readTrustBody(envelope.body);
  if (envelope === null || body === null) return null;
  const signers = envelope.sigs.map((one) => verify(envelope.body, one, NAMESPACES.trust));
  return {
    document: toTrustDocument(body, envelope.body),
    signers: [...new Set(signers.filter((one) => one !== null))],
  };
}

export class Authority {
  /** Null: none was in force, or it is not known which. */
  document: TrustDocument | null = null;
  private readonly given: readonly Signed[];
  private readonly fleet: string;
  private readonly roots: readonly string[] | null;
  private readonly verify: Verify;

  /** @param roots fingerprints that must have signed the first document; null: the site's word is taken for it. */
  constructor(fleet: string, roots: readonly string[] | null, given: readonly string[], verify: Verify) {
    this.fleet = fleet;
    this.roots = roots;
    this.verify = verify;
    this.given = given.flatMap((text) => readSigned(text, verify) ?? []);
  }

  /** Where the begin of the ledger is gone: the newest given document older than the first one in the file. */
  begin(before: number): boolean {
    const older = this.given.filter(({ document }) => document.epoch < before);
    const newest = older.sort((a, b) => a.document.epoch - b.document.epoch).at(-1);
    if (newest === undefined || !this.accepted(newest).ok) return false;
    this.document = newest.document;
    return true;
  }

  /** What is wrong with a record of a new document; null when nothing is. */
  take(record: JudgedOf<"trust">): string | null {
    const found =
      record.document === null
        ? this.given.find(({ document }) => document.sha256 === record.sha256)
        : readSigned(record.document, this.verify);
    if (found === undefined) {
      this.document = null;
      return `the trust document of epoch ${record.epoch} is not in the file: give it with --trust FILE`;
    }
    if (found === null) return "what it holds is not a signed trust document";
    const { document } = found;
    const same = document.sha256 === record.sha256 && document.epoch === record.epoch;
    const accepted = this.accepted(found);
    this.document = document;
    if (!same) return "its document is another one than it says";
    return accepted.ok ? null : `its document was not to be accepted (${accepted.code})`;
  }

  private accepted({ document, signers }: Signed): ReturnType<typeof acceptTrust> {
    const { roots } = this;
    const first = this.document === null && roots !== null;
    const offer = { document, signers: first ? signers.filter((one) => roots.includes(one)) : signers };
    return acceptTrust(this.document, offer, this.fleet, null);
  }
}
