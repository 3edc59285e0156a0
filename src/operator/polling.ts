import type { CaptureSource } from "./capture-source.ts";
import { sleep } from "./client.ts";
import { type GapsOnce, type Item, inOrder } from "./pieces.ts";

const POLL_MS = 500;

/** Follows what somebody else writes into a folder. */
export async function followByLooking(
  source: CaptureSource,
  start: { readonly boot: number; readonly offset: number } | null,
  onItem: (item: Item) => void,
  gaps: GapsOnce,
  signal: AbortSignal,
): Promise<void> {
  let at = start;
  for (; !signal.aborted; await sleep(POLL_MS)) {
    const { boots } = await source.extent();
    const begin = Math.max(
      0,
      boots.findIndex(({ boot }) => boot === at?.boot),
    );
    for (const { boot, first, next } of boots.slice(begin)) {
      const from = boot === at?.boot ? at.offset : first;
      if (from >= next) continue;
      for await (const step of source.read({ boot, from, to: next })) {
        for (const item of inOrder(boot, step.chunks, gaps.fromRead(boot, step.gaps))) onItem(item);
      }
      at = { boot, offset: next };
    }
  }
}
