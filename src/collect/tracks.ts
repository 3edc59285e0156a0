import type { Chunk } from "../protocol/chunk.ts";
import { diskProblem, type Folder } from "./folder.ts";
import { forgetOldest } from "./held.ts";
import { TrackIntake } from "./intake.ts";
import { parseTrackFolder, trackFolder, type Way } from "./layout.ts";
import { TrackStore } from "./track-store.ts";

/** The tracks of one site. How many there can be is bounded: their names come off the wire. */

export interface Track {
  readonly console: string;
  readonly way: Way;
  readonly intake: TrackIntake;
  readonly store: TrackStore;
  /** A chunk came that nobody here had asked for: the console ships by itself. */
  ships: boolean;
  /** Ask the site how far each boot goes, at the next occasion at or after this. Null: no need. */
  probeAt: number | null;
  /** Boots that go on without being shipped are asked for too. */
  pulled: boolean;
}

export interface TracksOptions {
  readonly folder: Folder;
  readonly siteFolder: string;
  readonly wallOf: (boot: number, monoMs: number) => number | null;
  readonly room: (bytes: number) => boolean;
  readonly log: (line: string) => void;
  readonly onPiece: (console: string, way: Way, chunk: Chunk) => void;
}

const TRACKS_LIMIT = 128;

export class Tracks {
  private readonly options: TracksOptions;
  /** Tracks whose files the disk does not give, by their folder's name: nothing of them is stored or acknowledged. */
  readonly unreadable = new Map<string, string>();
  private readonly tracks = new Map<string, Track>();

  /** Opens those that are there already. */
  constructor(options: TracksOptions) {
    this.options = options;
    for (const name of options.folder.list(options.siteFolder)) {
      const parsed = parseTrackFolder(name);
      if (parsed !== null) this.get(parsed.console, parsed.way);
    }
  }

  get all(): readonly Track[] {
    return [...this.tracks.values()];
  }

  /** Null when the site has too many already, or when its files cannot be read. */
  get(console: string, way: Way): Track | null {
    const key = `${console}.${way}`;
    const found = this.tracks.get(key);
    if (found !== undefined) return found;
    if (this.tracks.size >= TRACKS_LIMIT || this.unreadable.has(key)) return null;
    const { wallOf, room, onPiece } = this.options;
    const store = this.open(key, console, way);
    if (store === null) return null;
    const intake = new TrackIntake({ store, wallOf, room, onPiece: (chunk) => onPiece(console, way, chunk) });
    const made: Track = { console, way, intake, store, ships: false, probeAt: null, pulled: false };
    this.tracks.set(key, made);
    return made;
  }

  private open(key: string, console: string, way: Way): TrackStore | null {
    const { folder, siteFolder, log } = this.options;
    const path = trackFolder(siteFolder, console, way);
    try {
      return new TrackStore(folder, path);
    } catch (error) {
      const problem = diskProblem(error);
      this.unreadable.set(key, problem);
      log(
        `${path} cannot be read: ${problem}; nothing of it is stored until that is mended and the collector restarts`,
      );
      return null;
    }
  }
}

const BOOTS_LIMIT = 256;

/** The boots that a site named under its signature: a piece of any other is not believed. */
export class NamedBoots {
  private readonly boots = new Map<number, true>();

  name(boots: readonly number[]): void {
    for (const boot of boots) {
      this.boots.delete(boot);
      this.boots.set(boot, true);
    }
    forgetOldest(this.boots, BOOTS_LIMIT);
  }

  has(boot: number): boolean {
    return this.boots.has(boot);
  }

  get all(): readonly number[] {
    return [...this.boots.keys()];
  }
}
