import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { verifySignature } from "../src/access/sshsig.ts";
import type { SiteConfig } from "../src/config/config.ts";
import type { Code } from "../src/core/codes.ts";
import { acceptTrust, type Offer } from "../src/core/trust.ts";
import { writeWhole } from "../src/disk/disk.ts";
import type { Keys } from "../src/site/edges.ts";
import { readOffer } from "../src/site/inbox.ts";
import type { Site } from "../src/site/site.ts";
import { StartRefused } from "./start-refused.ts";

/** The trust document on this machine: the stored one rules, the configured file is the first and later an offer. */

export const verifier: Keys["verify"] = (body, signature, namespace) =>
  verifySignature(body, signature, namespace)?.fingerprint ?? null;

interface LoadedTrust {
  readonly offers: readonly Offer[];
  readonly notes: readonly { readonly code: Code; readonly detail: string }[];
  readonly fileText: string | null;
}

export const storedTrust = (config: SiteConfig) => join(config.data, "trust.json");

/** The stored document rules; the configured file is the first one, and later an offer like any other. */
export function loadTrust(config: SiteConfig, verify: Keys["verify"]): LoadedTrust {
  const read = (file: string): { text: string | null; offer: Offer | null } => {
    const text = existsSync(file) ? readFileSync(file, "utf8") : null;
    return { text, offer: text === null ? null : readOffer(text, { verify }) };
  };
  const stored = read(storedTrust(config));
  const notes: { code: Code; detail: string }[] = [];
  if (stored.text !== null && stored.offer === null)
    notes.push({ code: "trust.invalid", detail: "the stored document cannot be read" });
  const offers = stored.offer ? [stored.offer] : [];
  if (config.trustFile === null) return { offers, notes, fileText: null };
  const file = read(config.trustFile);
  const wrong = trustFileProblem(config, verify);
  if (file.offer !== null && wrong === null) return { offers: [...offers, file.offer], notes, fileText: file.text };
  const detail = `${config.trustFile} ${wrong ?? ""}`;
  if (stored.text === null)
    throw new StartRefused(`trust: ${detail}; make it with \`towpath trust init\` and \`towpath trust sign\``);
  return { offers, notes: [...notes, { code: "trust.invalid", detail }], fileText: null };
}

/** What is wrong with the configured trust file by itself; null when nothing is, or none is configured. */
export function trustFileProblem(config: SiteConfig, verify: Keys["verify"] = verifier): string | null {
  if (config.trustFile === null) return null;
  if (!existsSync(config.trustFile)) return "is not there";
  const offer = readOffer(readFileSync(config.trustFile, "utf8"), { verify });
  if (offer === null) return "is not a signed trust document";
  const accepted = acceptTrust(null, offer, config.plan.fleet, null);
  if (accepted.ok) return null;
  return accepted.code === "trust.signatures"
    ? "does not have enough root signatures"
    : `is for the fleet ${offer.document.fleet}`;
}

/** What was taken from the configured file is stored, so that it rules from now on. */
export function keepTrust(config: SiteConfig, trust: LoadedTrust, site: Site): void {
  const { trust: ruling } = site.state();
  const fromFile = trust.offers.at(-1)?.document;
  if (ruling === null || trust.fileText === null || fromFile?.sha256 !== ruling.sha256) return;
  if (!existsSync(storedTrust(config)) || readFileSync(storedTrust(config), "utf8") !== trust.fileText) {
    writeWhole(storedTrust(config), trust.fileText);
  }
}
