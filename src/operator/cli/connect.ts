import { formatDuration } from "../../core/duration.ts";
import { asRecord, type Client, openClient } from "../client.ts";
import { SettingsError, SigningError, Unreachable } from "../errors.ts";
import { loadSettings, type Settings } from "../settings.ts";
import type { Signer } from "../signer.ts";
import { findWho, type KnownSites, type LoadedTrust, loadSites, loadTrust, type Who } from "../who.ts";
import { type CliArgs, list, SilentError, text, UsageError } from "./command.ts";
import { note, safe } from "./out.ts";

/** What every verb that talks to a site begins with. */
export interface Context {
  readonly settings: Settings;
  readonly trust: LoadedTrust | null;
  readonly sites: KnownSites;
}

export function contextOf(args: CliArgs): Context {
  return orUsage(() => {
    const names = ["fleet", "identity", "as", "trust", "sites", "tls-ca", "tls-cert", "tls-key", "local"];
    const values = Object.fromEntries(names.map((name) => [name, text(args, name)]));
    const settings = loadSettings({ brokers: list(args, "broker"), values }, process.env);
    const trust = loadTrust(settings);
    const sites = loadSites(settings, trust);
    if (sites.doubt !== null) note(`unverified: ${sites.doubt}`);
    return { settings, trust, sites };
  });
}

function orUsage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SettingsError) throw new UsageError(error.message);
    throw error;
  }
}

export async function whoOf(context: Context, signerOf?: (identity: string) => Signer): Promise<Who> {
  try {
    return await findWho(context.settings, context.trust, signerOf);
  } catch (error) {
    if (error instanceof SettingsError || error instanceof SigningError) throw new UsageError(error.message);
    throw error;
  }
}

/** On the local socket, looking needs no signature; elsewhere it does. */
export async function viewerOf(context: Context): Promise<Who | null> {
  return context.settings.local === null ? await whoOf(context) : null;
}

export async function connectTo(context: Context, site: string | null): Promise<Client> {
  if (context.settings.local === null && context.settings.fleet === null)
    throw new UsageError("which fleet? give --fleet");
  try {
    const client = await openClient(
      context.settings,
      site ?? context.settings.site,
      context.sites,
      context.trust?.document.epoch ?? null,
    );
    if (site !== null && client.site !== site) {
      await client.stop();
      throw new UsageError(`this socket is of the site ${client.site}, not ${site}`);
    }
    return client;
  } catch (error) {
    if (error instanceof Unreachable) {
      const where = context.settings.local ?? context.settings.brokers.join(", ");
      throw new SilentError(`cannot reach ${where}: ${error.message}`);
    }
    throw error;
  }
}

export interface Place {
  readonly site: string;
  /** What stands behind the slash. */
  readonly rest: string;
}

/** `SITE/REST`. */
export function parsePlace(word: string | undefined, what: string): Place {
  const at = word?.indexOf("/") ?? -1;
  if (word === undefined || at <= 0 || at === word.length - 1) throw new UsageError(`name it as ${what}`);
  return { site: word.slice(0, at), rest: word.slice(at + 1) };
}

export function sayVerification(client: Client, site: string): void {
  if (client.verified() === null && !client.local)
    note(`unverified: no key is known for ${site}; add it with \`towpath trust site\``);
}

/** Why nothing came, and what was last known. */
export function silence(client: Client, site: string): SilentError {
  const forged = client.sawForged() ? " (answers came that its key did not sign: reply.unverified)" : "";
  return new SilentError(`${site} does not answer (site.silent)${forged}${lastKnown(client)}`);
}

function lastKnown(client: Client): string {
  const state = client.state()?.body;
  if (state === undefined) return "\n  nothing is known of it";
  const wall = Number(state.wall ?? Number.NaN);
  const age = Number.isFinite(wall)
    ? `${formatDuration(Math.max(0, Date.now() - wall))} ago by the site's clock`
    : "at an unknown time";
  const devices = Object.entries(asRecord(state.devices) ?? {}).map(
    ([name, item]) => `${name} ${asRecord(item)?.power}`,
  );
  return safe(`last known ${age}: ${devices.join(", ") || "no devices"}`).replace(/^/, "\n  ");
}
