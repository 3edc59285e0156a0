import type { Code } from "./codes.ts";

/** Who may do what: the document as checked by `protocol`, with keys already turned into SHA-256 fingerprints. */

export const VERBS = [
  "view",
  "type",
  "break",
  "power-on",
  "power-off",
  "power-cycle",
  "lock",
  "forward",
  "admin",
  "collect",
  "enrol",
] as const;
export type Verb = (typeof VERBS)[number];

export interface Role {
  readonly verbs: readonly Verb[];
  /** `site/device`, with `*` inside a segment. */
  readonly targets: readonly string[];
}

export interface TrustDocument {
  readonly fleet: string;
  readonly epoch: number;
  readonly roots: { readonly threshold: number; readonly keys: readonly string[] };
  readonly operators: readonly {
    readonly name: string;
    readonly keys: readonly string[];
    /** The same keys as `type base64`, for who logs in with them. */
    readonly lines?: readonly string[];
    readonly roles: readonly string[];
  }[];
  readonly roles: Readonly<Record<string, Role>>;
  /** Names of operators and fingerprints of keys. */
  readonly revoked: readonly string[];
  /** Of the exact signed bytes, hex. */
  readonly sha256: string;
}

export const BUILT_IN_ROLES: Readonly<Record<string, Role>> = {
  viewer: { verbs: ["view"], targets: ["*/*"] },
  operator: { verbs: ["view", "type", "break", "power-on", "power-off", "power-cycle", "lock"], targets: ["*/*"] },
  admin: { verbs: VERBS, targets: ["*/*"] },
};

export interface Identity {
  readonly name: string;
  readonly roles: readonly Role[];
  /** Of the trust that says so. */
  readonly epoch: number;
}

export type Identified = { ok: true; identity: Identity } | { ok: false; code: Code };

/** Which operator these signatures are of, where the message names none. */
export function identifyKey(trust: TrustDocument | null, signers: readonly string[], signatures: number): Identified {
  const holder = trust?.operators.find((operator) => operator.keys.some((key) => signers.includes(key)));
  return identify(trust, signers, signatures, holder?.name ?? "");
}

/**
 * Which operator these signatures speak for.
 * @param signers fingerprints of the keys whose signatures fit the bytes; `signatures` how many there were at all.
 */
export function identify(
  trust: TrustDocument | null,
  signers: readonly string[],
  signatures: number,
  by: string,
): Identified {
  if (signatures === 0) return { ok: false, code: "signature.missing" };
  if (signers.length === 0) return { ok: false, code: "signature.invalid" };
  if (trust === null) return { ok: false, code: "trust.none" };
  const holders = trust.operators.filter((operator) => operator.keys.some((key) => signers.includes(key)));
  if (holders.length === 0) return { ok: false, code: "signature.unknown-key" };
  const operator = holders.find((one) => one.name === by);
  if (operator === undefined) return { ok: false, code: "operator.mismatch" };
  const living = operator.keys.filter((key) => signers.includes(key) && !trust.revoked.includes(key));
  if (living.length === 0 || trust.revoked.includes(operator.name)) return { ok: false, code: "operator.revoked" };
  const { name } = operator;
  return { ok: true, identity: { name, roles: rolesOf(trust, operator.roles), epoch: trust.epoch } };
}

/** The operator whose key signed: the one that is named, if it is his; also where the key is revoked. */
export function holderOf(trust: TrustDocument | null, signers: readonly string[], by: string): string | null {
  const holders = (trust?.operators ?? []).filter(({ keys }) => signers.some((signer) => keys.includes(signer)));
  return (holders.find((one) => one.name === by) ?? holders[0])?.name ?? null;
}

/** Keys of an operator that are not revoked. */
export function livingKeys({ operators, revoked }: TrustDocument, name: string): string[] {
  const named = operators.filter((one) => one.name === name);
  return named.flatMap(({ keys }) => keys.filter((key) => !revoked.includes(key)));
}

function rolesOf(trust: TrustDocument, names: readonly string[]): Role[] {
  return names.flatMap((name) => {
    const own = Object.hasOwn(trust.roles, name) ? trust.roles[name] : undefined;
    const built = Object.hasOwn(BUILT_IN_ROLES, name) ? BUILT_IN_ROLES[name] : undefined;
    return own ?? built ?? [];
  });
}

/** True when one role holds the verb for this target. */
export function allows(identity: Identity, verb: Verb, site: string, device: string): boolean {
  return identity.roles.some(
    (role) => role.verbs.includes(verb) && role.targets.some((one) => covers(one, site, device)),
  );
}

/** True when the operator may do this somewhere at the site. */
export function allowsAtSite(identity: Identity, verb: Verb, site: string): boolean {
  return identity.roles.some(
    (role) => role.verbs.includes(verb) && role.targets.some((one) => segmentCovers(siteOf(one), site)),
  );
}

function siteOf(pattern: string): string {
  return pattern.replace(/\/.*$/, "");
}

function covers(pattern: string, site: string, device: string): boolean {
  const [sitePattern = "", devicePattern = "", ...rest] = pattern.split("/");
  return rest.length === 0 && segmentCovers(sitePattern, site) && segmentCovers(devicePattern, device);
}

/** `*` stands for any run of characters inside one segment. Linear: no backtracking on hostile patterns. */
export function segmentCovers(pattern: string, text: string): boolean {
  const [first = "", ...between] = pattern.split("*");
  const last = between.pop();
  if (last === undefined) return pattern === text;
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let from = first.length;
  for (const piece of between) {
    const found = text.indexOf(piece, from);
    if (found < 0) return false;
    from = found + piece.length;
  }
  return from <= text.length - last.length;
}

export interface Offer {
  readonly document: TrustDocument;
  readonly signers: readonly string[];
  /** The signed document as it is kept in the ledger. */
  readonly text?: string;
}

export type Accepted = { ok: true; changed: boolean } | { ok: false; code: Code };

/**
 * Whether a document may replace the present one: same fleet, higher epoch, a threshold of the new roots, and of the
 * present ones too.
 * @param floor the highest epoch the ledger has ever recorded; lower is refused for ever, also when the file is gone.
 */
export function acceptTrust(
  present: TrustDocument | null,
  offer: Offer,
  fleet: string,
  floor: { epoch: number; sha256: string } | null,
): Accepted {
  const { document, signers } = offer;
  if (document.fleet !== fleet) return { ok: false, code: "trust.invalid" };
  if (present !== null && document.epoch === present.epoch && document.sha256 === present.sha256) {
    return { ok: true, changed: false };
  }
  const known = Math.max(present?.epoch ?? -1, floor?.epoch ?? -1);
  const same = present === null && document.epoch === floor?.epoch && document.sha256 === floor.sha256;
  if (document.epoch <= known && !same) return { ok: false, code: "trust.lower" };
  const enough =
    meets(document, document.roots, signers) && (present === null || meets(document, present.roots, signers));
  return enough ? { ok: true, changed: true } : { ok: false, code: "trust.signatures" };
}

function meets(document: TrustDocument, roots: TrustDocument["roots"], signers: readonly string[]): boolean {
  const valid = new Set(roots.keys.filter((key) => signers.includes(key) && !document.revoked.includes(key)));
  return roots.threshold >= 1 && valid.size >= roots.threshold;
}
