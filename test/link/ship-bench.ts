import { vi } from "vitest";
import type { Urgency } from "../../src/link/outbox.ts";
import { createShipper, type Shipper } from "../../src/link/shipper.ts";
import { chunkHead, decodeChunk } from "../../src/protocol/chunk.ts";
import { parseTopic, siteRoot } from "../../src/protocol/topics.ts";

export const ROOT = siteRoot("acme", "one");
export const BOOT = 7;

type Gap = { offset: number; monoMs: number; cause: "overrun"; length: number | null };

/** A journal in memory, and a connection that takes so much or nothing. */
export class Bench {
  nowMs = 0;
  readonly texts = new Map<string, Buffer>([["7/router1/rx", Buffer.alloc(0)]]);
  readonly gaps: Gap[] = [];
  first = 0;
  ledger: { seq: number }[] = [];
  room = Number.MAX_SAFE_INTEGER;
  reads = 0;
  offers = 0;
  /** The queue is full, and not of what is shipped. */
  refuses = false;
  /** Chunks until the connection breaks and is there again. */
  breakAfter = 0;
  /** The receiver acknowledges what it has, ten times a second. */
  answers = false;
  private told = 0;
  readonly published: { topic: string; payload: Uint8Array; urgency: Urgency }[] = [];
  readonly shipper: Shipper;

  constructor(
    ship: "primary" | "always" | "on-demand" = "primary",
    old = "",
    tracks: Readonly<Record<string, { boot: number; next: number }>> = {},
  ) {
    if (old !== "") this.texts.set("3/router1/rx", Buffer.from(old));
    this.shipper = createShipper({
      root: ROOT,
      boot: BOOT,
      monoMs: () => this.nowMs,
      tracks,
      ledgerNext: 1,
      consoles: [{ name: "router1", ship }],
      roomy: () => this.room > 0,
      publish: (topic, payload, urgency) => {
        this.offers++;
        if (this.refuses) return false;
        if (this.room-- <= 0) return false;
        this.published.push({ topic, payload, urgency });
        if (--this.breakAfter === 0) {
          this.shipper.way("none");
          this.shipper.way("free");
        }
        return true;
      },
      journal: {
        readCapture: async (track, boot, from, to) => this.read(`${boot}/${track}`, boot ?? BOOT, from, to),
        readLedger: async (from, to, limit) =>
          this.ledger
            .filter(({ seq }) => seq >= from && seq < to)
            .slice(0, limit)
            .map((one) => JSON.stringify(one)),
        stats: async () => ({
          "router1/rx": {
            bytes: 0,
            gaps: 0,
            boots: [...this.texts].map(([key, text]) => ({
              boot: Number(key.split("/")[0]),
              first: 0,
              next: text.length,
              firstMonoMs: 0,
            })),
          },
        }),
      },
      times: { backfillMs: 1_000 },
    });
  }

  private read(key: string, boot: number, from: number, to: number) {
    this.reads++;
    const text = this.texts.get(key) ?? Buffer.alloc(0);
    const start = Math.max(from, this.first);
    const end = Math.min(to, text.length);
    // Pieces as the capture makes them: a few hundred bytes each.
    const pieces = [];
    for (let at = start; at < end; at += 500)
      pieces.push({ offset: at, monoMs: at, data: text.subarray(at, Math.min(end, at + 500)) });
    const gaps = this.gaps.filter(({ offset }) => offset >= from && offset <= to);
    return { boot, pieces, gaps, first: this.first, next: text.length, end: Math.max(start, end) };
  }

  say(text: string, urgent = false): void {
    const before = this.texts.get("7/router1/rx") ?? Buffer.alloc(0);
    const data = Buffer.from(text);
    this.texts.set("7/router1/rx", Buffer.concat([before, data]));
    const item = { track: "router1/rx", boot: BOOT, offset: before.length, monoMs: this.nowMs, content: { data } };
    this.shipper.captured([item], urgent);
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 100) {
      this.nowMs += Math.min(100, left);
      await vi.advanceTimersByTimeAsync(Math.min(100, left));
      if (!this.answers || this.told === this.published.length) continue;
      this.told = this.published.length;
      this.acknowledge([[0, this.received().length]]);
    }
  }

  acknowledge(ranges: readonly (readonly [number, number])[] = [], kept = false): void {
    const tracks = [{ boot: BOOT, track: "router1/rx", ranges }];
    this.shipper.perform({ type: "acknowledged", receiver: "vault", tracks, kept });
  }

  /** Puts together what came, as a receiver does that has only what came. */
  received(boot = BOOT): string {
    let text = Buffer.alloc(0);
    for (const { topic, payload } of this.published) {
      const head = chunkHead(payload);
      if (parseTopic(topic)?.topic.name !== "up/capture/{console}/{track}" || head?.boot !== boot) continue;
      if (head.offset > text.length) throw new Error(`a hole before ${head.offset}`);
      const chunk = decodeChunk(payload, text.subarray(0, head.offset));
      if (chunk === null) throw new Error(`cannot be decoded at ${head.offset}`);
      const end = chunk.offset + chunk.data.length;
      if (end > text.length) text = Buffer.concat([text.subarray(0, chunk.offset), chunk.data]);
    }
    return text.toString();
  }
}

export const LINE = "Interface GigabitEthernet0/1, changed state to up\n";
