import {
  CollectedLedger,
  type CollectedSite,
  CollectedTrack,
  collectedConsoles,
  collectedSites,
} from "../collect/reader.ts";
import { type ClockAt, readClocks } from "./answers.ts";
import { type CaptureSource, ReadFailed, UnknownConsole } from "./capture-source.ts";
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
  return ledgerOf(dir, site).clocks;
}

/** What the ledger knows of the boots: their order, and their clocks. */
function ledgerOf(dir: string, site: CollectedSite): { boots: number[]; clocks: ClockAt[] } {
  const clocks = new Map<number, ClockAt>();
  const boots = new Set<number>();
  for (const { kind, boot, mono, wall, trust } of new CollectedLedger(dir, site).records()) {
    boots.add(Number(boot));
    if (kind !== "clock") continue;
    for (const clock of readClocks([{ boot, mono, wall, trust }])) clocks.set(clock.boot, clock);
  }
  return { boots: [...boots], clocks: [...clocks.values()] };
}

/** Text of an older boot may have come later; the ledger's numbers go on over boots and tell their order. */
export function inOrderOfLedger<T extends { readonly boot: number }>(
  held: readonly T[],
  boots: readonly number[],
): T[] {
  let last = -1;
  const ranked = held.map((one) => {
    const rank = boots.indexOf(one.boot);
    // One that the ledger does not know stays behind the one that it was stored behind.
    last = rank < 0 ? last : rank;
    return { one, rank: rank < 0 ? last + 0.5 : rank };
  });
  return ranked.sort((a, b) => a.rank - b.rank).map(({ one }) => one);
}

export function folderSource(dir: string, site: CollectedSite, console: string, way: "rx" | "tx"): CaptureSource {
  const track = new CollectedTrack(dir, site, console, way);
  return {
    async extent() {
      const consoles = collectedConsoles(dir, site, way);
      if (!consoles.includes(console)) throw new UnknownConsole(`the folder has ${consoles.join(", ") || "none"}`);
      const ledger = ledgerOf(dir, site);
      const own = track.clocks().filter(({ boot }) => !ledger.clocks.some((one) => one.boot === boot));
      const boots = inOrderOfLedger(track.boots(), ledger.boots);
      return { boots, clocks: [...own, ...ledger.clocks], current: null };
    },
    async offsetAt(boot, at) {
      return "monoMs" in at ? track.offsetAt(boot, at.monoMs) : 0;
    },
    async *read(span, progress) {
      let reached = span.from;
      for (const step of track.read(span.boot, span.from, span.to)) {
        yield step;
        reached = step.to;
        progress?.(reached);
      }
      if (reached < span.to)
        throw new ReadFailed(
          `the index names no bytes from ${reached} to ${span.to} of boot ${span.boot}: it is damaged`,
        );
    },
  };
}
