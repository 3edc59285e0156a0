import type { Wish } from "./asking.ts";
import type { EventsIntake } from "./events-intake.ts";
import type { Hole } from "./intake.ts";
import type { Way } from "./layout.ts";
import type { Track } from "./tracks.ts";

/** What to ask a site for next, most urgent first. Pure: nothing is sent here. */

export interface Patience {
  /** What was lost on the way may be sent again by the site itself. */
  readonly tornMs: number;
  /** What was not sent yet may only wait for its batch. */
  readonly tailMs: number;
  /** Records that came and wait for the site's word: others may follow that the same answer tells of. */
  readonly unprovedMs: number;
}

export const PATIENCE: Patience = { tornMs: 2_000, tailMs: 90_000, unprovedMs: 4_000 };

/** The ledger, or a track. */
export function subjectOf({ console, way }: { readonly console: string | null; readonly way: Way }): string {
  return console === null ? "ledger" : `${console}.${way}`;
}

const LEDGER = { console: null, way: "rx" } as const;

/** @param waits what was refused a moment ago: others come first. */
export function nextWish(
  all: readonly Track[],
  events: EventsIntake,
  rangeBytes: number,
  nowMs: number,
  patience: Patience,
  waits: (subject: string) => boolean,
): Wish | null {
  const tracks = all.filter((track) => !waits(subjectOf(track)));
  const mayAsk = !waits(subjectOf(LEDGER));
  const ledger = mayAsk ? events.hole() : null;
  if (ledger !== null && nowMs - ledger.since >= patience[`${ledger.kind}Ms`])
    return { ...LEDGER, range: { boot: 0, from: ledger.from, to: ledger.to }, proof: ledger.kind === "unproved" };
  const torn = firstHole(tracks, nowMs, (_track, hole) => (hole.torn ? patience.tornMs : null));
  if (torn !== null) return rangeWish(torn, rangeBytes);
  const probe = tracks.find(({ probeAt }) => probeAt !== null && nowMs >= probeAt);
  if (probe !== undefined) return { console: probe.console, way: probe.way, range: null };
  if (mayAsk && events.probeAt !== null && nowMs >= events.probeAt) return { ...LEDGER, range: null };
  const tail = firstHole(tracks, nowMs, (track) => (track.pulled ? 0 : patience.tailMs));
  return tail === null ? null : rangeWish(tail, rangeBytes);
}

interface Found {
  readonly track: Track;
  readonly hole: Hole;
}

function firstHole(
  tracks: readonly Track[],
  nowMs: number,
  patienceMs: (track: Track, hole: Hole) => number | null,
): Found | null {
  for (const track of tracks) {
    for (const hole of track.intake.holes()) {
      const wait = patienceMs(track, hole);
      const since = hole.torn ? hole.since : Math.max(hole.since, track.intake.progressAt(hole.boot));
      if (wait !== null && nowMs - since >= wait) return { track, hole };
    }
  }
  return null;
}

function rangeWish({ track, hole: { boot, from, to } }: Found, rangeBytes: number): Wish {
  const { console, way } = track;
  return { console, way, range: { boot, from, to: Math.min(to, from + rangeBytes) } };
}
