import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDisk } from "../../disk/disk.ts";
import { JournalStore } from "../../journal/store.ts";
import { chunksOf } from "../../link/chunking.ts";
import { recoverDurable } from "../../site/recover.ts";
import { type CaptureSource, ReadFailed, UnknownConsole } from "../capture-source.ts";
import { UsageError } from "./command.ts";

/** A site's journal read from its data folder: also from the card of a dead site. Nothing is written. */
export function openCard(data: string): JournalStore {
  const folder = join(data, "journal");
  if (!existsSync(folder)) throw new UsageError(`${folder} is not there: name a controller's data folder`);
  // Reading asks no quota: the segments that are there say how large they are.
  return new JournalStore(openDisk(folder, "read"), { captureBytes: 0, ledgerBytes: 0 });
}

const STEP = 256 * 1024;

/** A console as the card has it. */
export function cardSource(store: JournalStore, console: string, way: "rx" | "tx"): CaptureSource {
  const track = `${console}/${way}`;
  return {
    async extent() {
      const stat = store.stat()[track];
      if (stat === undefined)
        throw new UnknownConsole(`the journal has ${consolesOf(store, way).join(", ") || "none"}`);
      return { boots: stat.boots, clocks: recoverDurable(store.recovered).clocks, current: null };
    },
    async offsetAt(boot, at) {
      // Nothing goes on here, so "an hour ago" was turned into a time of day before.
      return "monoMs" in at ? store.offsetAt(track, boot, at.monoMs) : 0;
    },
    async *read(span, progress) {
      for (let from = span.from; from < span.to; ) {
        const range = store.readCapture(track, span.boot, from, span.to, STEP);
        if (range === null || range.end <= from)
          throw new ReadFailed(
            `the journal gives nothing at byte ${from} of boot ${span.boot}; see \`towpath journal verify\``,
          );
        yield { chunks: chunksOf(span.boot, range.pieces), gaps: range.gaps, to: range.end };
        from = range.end;
        progress?.(from);
      }
    },
  };
}

export function consolesOf(store: JournalStore, way: "rx" | "tx" = "rx"): string[] {
  return Object.keys(store.stat()).flatMap((track) => (track.endsWith(`/${way}`) ? [track.slice(0, -3)] : []));
}
