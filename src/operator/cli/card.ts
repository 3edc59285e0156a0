import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDisk } from "../../disk/disk.ts";
import { JournalStore } from "../../journal/store.ts";
import { chunksOf } from "../../link/chunking.ts";
import { recoverDurable } from "../../site/recover.ts";
import { EXIT, UsageError } from "./command.ts";
import type { LogPrinter } from "./log-printer.ts";

/** A site's journal read from its data folder: also from the card of a dead site. Nothing is written. */
export function openCard(data: string): JournalStore {
  const folder = join(data, "journal");
  if (!existsSync(folder)) throw new UsageError(`${folder} is not there: name a controller's data folder`);
  // Reading asks no quota: the segments that are there say how large they are.
  return new JournalStore(openDisk(folder, "read"), { captureBytes: 0, ledgerBytes: 0 });
}

const STEP = 256 * 1024;

export function logOfCard(
  data: string,
  console: string | undefined,
  printer: LogPrinter,
  want: { all: boolean; sinceMs: number | null },
): number {
  if (console === undefined) throw new UsageError("which console? towpath log --data DATA CONSOLE");
  const store = openCard(data);
  const track = `${console}/rx`;
  const stat = store.stat()[track];
  if (stat === undefined)
    throw new UsageError(`the journal has no console "${console}": it has ${consolesOf(store).join(", ") || "none"}`);
  const { clocks } = recoverDurable(store.recovered);
  printer.learnClocks(clocks);
  for (const { boot, next } of stat.boots) {
    const last = boot === stat.boots.at(-1)?.boot;
    if (!want.all && want.sinceMs === null && !last) continue;
    const clock = clocks.find((one) => one.boot === boot);
    const since =
      want.sinceMs === null || clock === undefined ? null : clock.mono + (Date.now() - want.sinceMs - clock.wall);
    let from = want.all ? 0 : since === null ? Math.max(0, next - 16 * 1024) : store.offsetAt(track, boot, since);
    while (from < next) {
      const range = store.readCapture(track, boot, from, next, STEP);
      if (range === null || range.end <= from) break;
      printer.gaps(range.gaps);
      for (const chunk of chunksOf(boot, range.pieces)) printer.chunk(chunk);
      from = range.end;
    }
  }
  printer.end();
  return EXIT.done;
}

export function consolesOf(store: JournalStore): string[] {
  return Object.keys(store.stat()).flatMap((track) => (track.endsWith("/rx") ? [track.slice(0, -3)] : []));
}
