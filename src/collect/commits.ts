import { diskProblem, type Folder } from "./folder.ts";
import type { CollectedSite } from "./site.ts";
import type { Item } from "./track-store.ts";
import type { Track } from "./tracks.ts";

/** Puts what came onto the disk, many files at a time; whatever the disk would not take stays and is tried again. */

export interface CommitOptions {
  readonly folder: Folder;
  readonly now: () => number;
  readonly onStored: (site: CollectedSite, track: Track, items: readonly Item[]) => void;
  readonly onCommitted: (site: CollectedSite) => void;
}

/** The kernel joins the syncs of neighbours into one, if they are asked for together. */
const AT_ONCE = 8;
/** Left free, so that the status can still be written and others live. */
const RESERVE_BYTES = 16 * 1024 * 1024;

/** One round over everything that waits. Returns what the disk complained of, or null; `nothing` where nothing waited. */
export async function commitAll(sites: readonly CollectedSite[], options: CommitOptions): Promise<string | null> {
  const work = sites.flatMap((site) => [
    ...(site.events.store.waiting ? [{ site, track: null }] : []),
    ...site.tracks.all.filter(({ store }) => store.waiting).map((track) => ({ site, track })),
  ]);
  if (work.length === 0) return "nothing";
  const full = fullness(options.folder);
  if (full !== null) return full;
  let problem: string | null = null;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let one = work[next++]; one !== undefined; one = work[next++]) {
      problem = (await commitOne(one.site, one.track, options)) ?? problem;
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, work.length) }, worker));
  return problem;
}

async function commitOne(site: CollectedSite, track: Track | null, options: CommitOptions): Promise<string | null> {
  try {
    if (track === null) await site.events.store.commit();
    else options.onStored(site, track, await track.store.commit(options.now()));
    options.onCommitted(site);
    return null;
  } catch (error) {
    return diskProblem(error);
  }
}

/** Null while there is room. A disk that cannot say is one that takes nothing: it may have been unmounted. */
function fullness(folder: Folder): string | null {
  let free: number;
  try {
    free = folder.freeBytes();
  } catch (error) {
    return diskProblem(error);
  }
  return free >= RESERVE_BYTES
    ? null
    : `full: ${Math.floor(free / 1024)} KiB free, ${RESERVE_BYTES / 1024} KiB must stay`;
}
