import type { CaptureItem } from "./capture-item.ts";
import type { Gap } from "./range.ts";

/** What a bound made us drop: one growing gap a track, of exact length, until there is room to declare it. */
export class Losses {
  private readonly lost = new Map<string, Lost>();

  lose(item: CaptureItem): void {
    const before = this.lost.get(item.track);
    // A boot ends with the process, so a track's losses are all of one.
    const lost = before ?? { first: item, bytes: 0, unknown: null };
    if ("data" in item.content) lost.bytes += item.content.data.length;
    else if (item.content.gap.length !== null) lost.bytes += item.content.gap.length;
    else lost.unknown = item.content.gap.cause;
    this.lost.set(item.track, lost);
  }

  get any(): boolean {
    return this.lost.size > 0;
  }

  /** What stands for the losses of a track, or of all. They count as declared then. */
  declare(track: string | null = null): CaptureItem[] {
    if (this.lost.size === 0) return [];
    const tracks = track === null ? [...this.lost.keys()] : [track];
    return tracks.flatMap((name) => {
      const lost = this.lost.get(name);
      this.lost.delete(name);
      return lost === undefined ? [] : declared(lost);
    });
  }
}

interface Lost {
  readonly first: CaptureItem;
  bytes: number;
  /** Cause of a gap of unknown length among what was dropped. */
  unknown: Gap["cause"] | null;
}

function declared({ first, bytes, unknown }: Lost): CaptureItem[] {
  const { track, boot, offset, monoMs } = first;
  const gap = (at: number, cause: Gap["cause"], length: number | null): CaptureItem => ({
    ...{ track, boot, offset: at, monoMs },
    content: { gap: { cause, length } },
  });
  return [
    ...(bytes > 0 ? [gap(offset, "overrun", bytes)] : []),
    ...(unknown === null ? [] : [gap(offset + bytes, unknown, null)]),
  ];
}
