import type { Disk } from "../disk/disk.ts";
import type { FromWorker } from "./journal.ts";
import { type JournalStore, RING_NAMES } from "./store.ts";

/** Room ahead of its use, in the background: the quota is held, and the next segment is there before it is wanted. */
export interface Preparer {
  stop(): void;
}

const LOOK_MS = 500;
/** After a refusal: space does not come back by asking. */
const AGAIN_MS = 60_000;

export function createPreparer(
  { store, disk }: { readonly store: JournalStore; readonly disk: Disk },
  idle: () => boolean,
  tell: (message: FromWorker) => void,
): Preparer {
  let stopped = false;
  let timer: NodeJS.Timeout | null = null;
  const later = (ms: number): void => {
    if (!stopped) timer = setTimeout(look, ms);
  };
  const note = (code: string, detail: string) => tell({ type: "note", code, detail });

  const trim = (): void => {
    for (const name of RING_NAMES) {
      const removed = store[name].ring.trim();
      if (removed.length > 0)
        note("journal.trimmed", `${name}: the quota is smaller than before, removed ${removed.join(" ")}`);
    }
  };

  const reserve = (): void => {
    const missing = RING_NAMES.reduce((sum, name) => sum + Math.max(0, store[name].ring.missingBytes()), 0);
    disk.reserve(missing, (reserved) => {
      if (reserved < missing)
        note(
          "journal.room",
          `${missing} bytes of the journal's quota are not there yet, and the card has room for ${reserved} of them: old records go sooner; free space, or make journal: smaller in site.yaml`,
        );
      later(LOOK_MS);
    });
  };

  const look = (): void => {
    const ring = RING_NAMES.map((name) => store[name].ring).find((one) => one.spare() !== null);
    const spare = ring?.spare() ?? null;
    if (spare === null) return later(LOOK_MS);
    disk.createLater(
      spare.name,
      spare.sizeBytes,
      () => (stopped ? null : idle()),
      (error) => {
        if (stopped) return;
        if (error !== null) note("journal.room", `${spare.name} could not be made: ${String(error)}`);
        later(error === null ? LOOK_MS : AGAIN_MS);
      },
    );
  };

  const begin = (): void => {
    try {
      trim();
      reserve();
    } catch (error) {
      note("journal.room", String(error));
      later(AGAIN_MS);
    }
  };
  timer = setTimeout(begin, LOOK_MS);
  return {
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
