import {
  CollectedLedger,
  type CollectedSite,
  CollectedTrack,
  collectedConsoles,
  collectedSites,
} from "../collect/reader.ts";
import { type ClockAt, readClocks } from "./answers.ts";
import { type CaptureSource, UnknownConsole } from "./capture-source.ts";
import { SettingsError } from "./errors.ts";

/** Consoles and events as a receiver has stored them. */

/** `SITE` or `FLEET/SITE` among those of the folder. */
export function findCollected(dir: string, name: string, fleet: string | null): CollectedSite {
  const all = collectedSites(dir);
  if (all.length === 0) throw new SettingsError(`${dir}: no site was ever stored there; name the DIR of a collector`);
  const wanted = name.split("/");
  const site = wanted.at(-1);
  const from = wanted.length === 2 ? wanted[0] : (fleet ?? undefined);
  const found = all.filter((one) => one.site === site && (from === undefined || one.fleet === from));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const listed = (found.length > 1 ? found : all).map((one) => `${one.fleet}/${one.site}`).join(", ");
  throw new SettingsError(
    found.length > 1
      ? `${site} is a site of more than one fleet: name it as one of ${listed}`
      : `${dir} has no site "${name}": it has ${listed}`,
  );
}

/** The clocks of a site's boots as its ledger tells them; the last word of each boot. */
export function collectedClocks(dir: string, site: CollectedSite): ClockAt[] {
  const clocks = new Map<number, ClockAt>();
  for (const { kind, boot, mono, wall, trust } of new CollectedLedger(dir, site).records()) {
    if (kind !== "clock") continue;
    for (const clock of readClocks([{ boot, mono, wall, trust }])) clocks.set(clock.boot, clock);
  }
  return [...clocks.values()];
}

export function folderSource(dir: string, site: CollectedSite, console: string, way: "rx" | "tx"): CaptureSource {
  const track = new CollectedTrack(dir, site, console, way);
  return {
    async extent() {
      const consoles = collectedConsoles(dir, site, way);
      if (!consoles.includes(console)) throw new UnknownConsole(`the folder has ${consoles.join(", ") || "none"}`);
      const told = collectedClocks(dir, site);
      const own = track.clocks().filter(({ boot }) => !told.some((one) => one.boot === boot));
      return { boots: track.boots(), clocks: [...own, ...told], current: null };
    },
    async offsetAt(boot, at) {
      return "monoMs" in at ? track.offsetAt(boot, at.monoMs) : 0;
    },
    async *read(span, progress) {
      for (const step of track.read(span.boot, span.from, span.to)) {
        yield step;
        progress?.(step.to);
      }
    },
  };
}
