import { type AckedTrack, encodeAck, LEDGER_TRACK } from "../protocol/ack.ts";
import { encodeEnvelope, NAMESPACES } from "../protocol/envelope.ts";
import { topicText } from "../protocol/topics.ts";
import type { CollectedSite } from "./site.ts";

/**
 * Acknowledgements: what is synced here, told to each site under this receiver's key. Signing starts a program, so a
 * thousand sites wait in one line; whoever waits long is told everything at once, and nothing is told twice.
 */

export interface AcksOptions {
  readonly receiver: string;
  readonly sign: (message: Uint8Array, namespace: string) => Promise<Uint8Array>;
  /** False when it could not leave. */
  readonly publish: (topic: string, payload: Uint8Array, retained: boolean) => boolean;
  readonly now: () => number;
  /** Told of each signature: null, or why there is none. */
  readonly onSigned: (problem: string | null) => void;
}

const AT_ONCE = 2;
const EVERY_MS = 2_000;
/** A large one costs the site's downlink: it comes less often, but the site's window must not wait for it. */
const EVERY_PER_KIB_MS = 1_000;
const EVERY_LIMIT_MS = 10_000;
const RETRY_MS = 30_000;
const TRACKS_LIMIT = 2_048;

interface Turn {
  dueAt: number;
  /** What was told last on this connection. */
  told: string | null;
}

export class Acks {
  private readonly options: AcksOptions;
  private readonly turns = new Map<CollectedSite, Turn>();
  private readonly waiting = new Set<CollectedSite>();
  private signing = 0;

  constructor(options: AcksOptions) {
    this.options = options;
  }

  /** Something new is on the disk, or the site should be told anew. */
  mark(site: CollectedSite, how: "new" | "again"): void {
    const turn = this.turns.get(site) ?? { dueAt: 0, told: null };
    if (how === "again") Object.assign(turn, { dueAt: 0, told: null });
    this.turns.set(site, turn);
    this.waiting.add(site);
  }

  get idle(): boolean {
    return this.waiting.size === 0 && this.signing === 0;
  }

  pump(): void {
    const nowMs = this.options.now();
    for (const site of this.waiting) {
      if (this.signing >= AT_ONCE) return;
      const turn = this.turns.get(site);
      if (turn === undefined || turn.dueAt > nowMs) continue;
      this.waiting.delete(site);
      void this.tell(site, turn, nowMs);
    }
  }

  private async tell(site: CollectedSite, turn: Turn, nowMs: number): Promise<void> {
    const body = Buffer.from(
      encodeAck({ receiver: this.options.receiver, site: `${site.fleet}/${site.site}`, tracks: ackedTracks(site) }),
    );
    const text = body.toString("latin1");
    if (text === turn.told) return;
    this.signing++;
    try {
      const sigs = [await this.options.sign(body, NAMESPACES.collect)];
      this.options.onSigned(null);
      const payload = Buffer.from(encodeEnvelope({ body, sigs }));
      const topic = topicText(site.root, { name: "dn/ack" });
      // One that does not leave is due again with the next connection.
      if (this.options.publish(topic, payload, true)) {
        turn.told = text;
        site.ackedAt = this.options.now();
      }
      turn.dueAt = nowMs + Math.min(EVERY_LIMIT_MS, Math.max(EVERY_MS, (payload.length / 1024) * EVERY_PER_KIB_MS));
    } catch (error) {
      this.options.onSigned(error instanceof Error ? error.message : String(error));
      turn.dueAt = nowMs + RETRY_MS;
      this.waiting.add(site);
    } finally {
      this.signing--;
    }
    this.pump();
  }
}

/** Of the boots that the site named, what is on the disk. */
function ackedTracks(site: CollectedSite): AckedTrack[] {
  const { committed } = site.events.store;
  const ledger: AckedTrack[] = committed > 1 ? [{ boot: 0, track: LEDGER_TRACK, ranges: [[0, committed]] }] : [];
  const boots = [...site.boots.all].reverse();
  const captured = boots.flatMap((boot) =>
    site.tracks.all.flatMap(({ console, way, store }): AckedTrack[] => {
      const to = store.committedOf(boot);
      return to === 0 ? [] : [{ boot, track: `${console}/${way}`, ranges: [[0, to]] }];
    }),
  );
  return [...ledger, ...captured].slice(0, TRACKS_LIMIT);
}
