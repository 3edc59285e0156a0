import { statSync } from "node:fs";
import { SettingsError } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { type KnownSites, loadSites, loadTrust } from "./who.ts";

/** The list of sites for a service: read again when its file, or the trust that signs it, is another one. */

const LOOK_MS = 10_000;

/** @param log why a new file is not used: then the one before is. */
export function freshSites(
  settings: Pick<Settings, "sites" | "trust">,
  first: KnownSites,
  log: (line: string) => void,
  nowMs: () => number = Date.now,
): KnownSites {
  let known = first;
  let seen = stampOf(settings);
  let lookAt = nowMs() + LOOK_MS;
  const fresh = (): KnownSites => {
    if (nowMs() < lookAt) return known;
    lookAt = nowMs() + LOOK_MS;
    const stamp = stampOf(settings);
    if (stamp === seen) return known;
    seen = stamp;
    try {
      const loaded = loadSites(settings, loadTrust(settings));
      // Of a list that nobody vouches for no key is lost.
      if (loaded.doubt === null) known = loaded;
      log(
        loaded.doubt === null ? "the list of sites was read again" : `the list of sites is not used: ${loaded.doubt}`,
      );
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      log(`the list of sites is not used: ${error.message}`);
    }
    return known;
  };
  return {
    keyOf: (site) => fresh().keyOf(site),
    get doubt() {
      return fresh().doubt;
    },
  };
}

function stampOf({ sites, trust }: Pick<Settings, "sites" | "trust">): string {
  return [sites, trust]
    .map((file) => {
      const stat = file === null ? undefined : statSync(file, { throwIfNoEntry: false });
      return `${stat?.ino} ${stat?.mtimeMs} ${stat?.size}`;
    })
    .join();
}
