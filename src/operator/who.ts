import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { verifySignature } from "../access/sshsig.ts";
import { allowsAtSite, identify, type TrustDocument } from "../core/trust.ts";
import { decodeEnvelope, NAMESPACES, parseJson } from "../protocol/envelope.ts";
import { fingerprintOf, keyBlob, readTrustBody, sitesBodySchema, toTrustDocument } from "../protocol/trust-document.ts";
import { SettingsError } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { knownIdentities, opensshSigner, type Signer } from "./signer.ts";

/** Who asks, and whom to believe. */

export interface Who {
  readonly by: string;
  readonly signer: Signer;
}

export interface LoadedTrust {
  readonly document: TrustDocument;
  readonly text: string;
}

export function loadTrust(settings: Pick<Settings, "trust">): LoadedTrust | null {
  if (settings.trust === null) return null;
  if (!existsSync(settings.trust)) throw new SettingsError(`trust: ${settings.trust} is not there`);
  const text = readFileSync(settings.trust, "utf8");
  const envelope = decodeEnvelope(text);
  const body = envelope && readTrustBody(envelope.body);
  if (envelope === null || body === null) throw new SettingsError(`trust: ${settings.trust} is not a trust document`);
  return { document: toTrustDocument(body, envelope.body), text };
}

/** The operator and key to sign with: as set, or the first key here that the trust document knows. */
export async function findWho(
  settings: Settings,
  trust: LoadedTrust | null,
  signerOf: (identity: string) => Signer = opensshSigner,
): Promise<Who> {
  const identity = settings.identity ?? (await matchingIdentity(trust));
  if (identity === null) {
    throw new SettingsError(
      "no key to sign with: give --identity, or put one of the operators' keys in ~/.ssh or an agent",
    );
  }
  const signer = signerOf(identity);
  const operator = trust?.document.operators.find((one) => one.keys.includes(signer.fingerprint))?.name;
  return { by: settings.as ?? operator ?? loginName(), signer };
}

async function matchingIdentity(trust: LoadedTrust | null): Promise<string | null> {
  const known = await knownIdentities();
  const listed = known.find((file) => {
    const blob = keyBlob(readFileSync(file, "utf8"));
    return blob !== null && trust?.document.operators.some((one) => one.keys.includes(fingerprintOf(blob)));
  });
  return listed ?? known[0] ?? null;
}

/** Names in a trust document are lower case. */
function loginName(): string {
  return (
    userInfo()
      .username.toLowerCase()
      .replace(/[^a-z0-9-]/g, "-") || "nobody"
  );
}

export interface KnownSites {
  /** Fingerprint of a site's key, or null when it is not known. */
  keyOf(site: string): string | null;
  /** Its host key as `type base64`, where the list has one. */
  hostKeyOf?(site: string): string | null;
  /** Why the file is not believed, if so. */
  readonly doubt: string | null;
}

/** `sites.json` counts only with the signature of an operator who may enrol. */
export function loadSites(settings: Pick<Settings, "sites">, trust: LoadedTrust | null): KnownSites {
  const none = { keyOf: () => null, hostKeyOf: () => null };
  if (settings.sites === null) return { ...none, doubt: null };
  if (!existsSync(settings.sites)) throw new SettingsError(`sites: ${settings.sites} is not there`);
  const envelope = decodeEnvelope(readFileSync(settings.sites, "utf8"));
  const parsed = envelope && sitesBodySchema.safeParse(parseJson(envelope.body));
  if (envelope === null || !parsed?.success) throw new SettingsError(`sites: ${settings.sites} is not a list of sites`);
  const sites = parsed.data;
  const signers = envelope.sigs.map(
    (blob) => verifySignature(envelope.body, blob, NAMESPACES.trust)?.fingerprint ?? "",
  );
  const enrolled = Object.keys(sites).every((site) => mayEnrol(trust, signers, site));
  if (!enrolled) return { ...none, doubt: `${settings.sites} is not signed by a key with the verb enrol` };
  return {
    keyOf(site) {
      const key = Object.hasOwn(sites, site) ? sites[site]?.key : undefined;
      const blob = key === undefined ? null : keyBlob(key);
      return blob && fingerprintOf(blob);
    },
    hostKeyOf(site) {
      const line = Object.hasOwn(sites, site) ? sites[site]?.hostKey : undefined;
      return line === undefined ? null : line.trim().split(/\s+/, 2).join(" ");
    },
    doubt: null,
  };
}

function mayEnrol(trust: LoadedTrust | null, signers: readonly string[], site: string): boolean {
  if (trust === null || signers.length === 0) return false;
  return trust.document.operators.some((operator) => {
    const who = identify(trust.document, signers, signers.length, operator.name);
    return who.ok && allowsAtSite(who.identity, "enrol", site);
  });
}
