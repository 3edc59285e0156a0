import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { rootCertificates, type TLSSocket } from "node:tls";

/**
 * A certificate that is refused only because of the date. OpenSSL tells one error of several, so that "expired" may hide
 * "made by a stranger": whoever is to be let in in spite of the date has everything else checked here again.
 */

export interface Dates {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const DATE_ERRORS: ReadonlySet<string> = new Set(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"]);
/** Extended key usage: a TLS server (RFC 5280, section 4.2.1.12). */
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const CHAIN_LIMIT = 5;

export function isDateError(code: string | undefined): boolean {
  return code !== undefined && DATE_ERRORS.has(code);
}

/** Null when nothing but the date is wrong, and that may be the clock's fault; else what is wrong. */
export function outOfTimeBut(
  socket: TLSSocket,
  host: string,
  ca: Buffer | undefined,
  datesHold: (dates: Dates) => boolean,
): string | null {
  const said = codeOf(socket.authorizationError);
  if (!isDateError(said)) return said || "not trusted";
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return "none was shown";
  const named = isIP(host) === 0 ? leaf.checkHost(host, { subject: "never" }) : leaf.checkIP(host);
  if (named === undefined) return `made for another name: ${leaf.subjectAltName ?? leaf.subject}`;
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(SERVER_AUTH)) return "not that of a server";
  const chain = chainOf(leaf, authorities(ca));
  if (chain === null) return "not made by an authority that is trusted here";
  return chain.every((one) => datesHold(datesOf(one))) ? null : said;
}

function codeOf(error: unknown): string {
  if (error instanceof Error) return "code" in error ? String(error.code) : error.message;
  return typeof error === "string" ? error : "";
}

/** From the server's to one that is trusted, each made by the next; null where there is no such chain. */
function chainOf(leaf: X509Certificate, trusted: readonly X509Certificate[]): X509Certificate[] | null {
  const chain: X509Certificate[] = [];
  for (let one: X509Certificate | undefined = leaf; one !== undefined && chain.length < CHAIN_LIMIT; ) {
    chain.push(one);
    const subject: X509Certificate = one;
    const authority = trusted.find((ca) => ca.ca && madeBy(subject, ca));
    if (authority !== undefined) return [...chain, authority];
    const next: X509Certificate | undefined = one.issuerCertificate;
    one = next?.ca && next.fingerprint256 !== one.fingerprint256 && madeBy(one, next) ? next : undefined;
  }
  return null;
}

function madeBy(one: X509Certificate, issuer: X509Certificate): boolean {
  return one.checkIssued(issuer) && one.verify(issuer.publicKey);
}

function authorities(ca: Buffer | undefined): X509Certificate[] {
  const texts = ca === undefined ? rootCertificates : ca.toString("latin1").match(PEM);
  return [...(texts ?? [])].map((text) => new X509Certificate(text));
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function datesOf(certificate: X509Certificate): Dates {
  return { notBeforeMs: Date.parse(certificate.validFrom), notAfterMs: Date.parse(certificate.validTo) };
}
