import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { missingIn, type Span, unionOf } from "../../src/core/ranges.ts";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import type { Range } from "../../src/journal/range.ts";
import { type CaptureItem, JournalStore } from "../../src/journal/store.ts";
import { createShipper, type Shipper } from "../../src/link/shipper.ts";
import { chunkHead, decodeChunk } from "../../src/protocol/chunk.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { type Random, seeded } from "../sim/random.ts";

/**
 * The whole way of a byte: capture, a real journal on a disk in memory whose ring goes round, the shipper, a broker that
 * loses, doubles and turns round, a receiver that asks for what it misses, and a controller that is killed.
 */

const ROOT = siteRoot("acme", "one");
const CONSOLES = ["router1", "switch1"];
const QUOTA = { captureBytes: 512 * 1024, ledgerBytes: 512 * 1024 };

interface Held {
  bytes: Buffer;
  spans: readonly Span[];
  declared: readonly Span[];
}

class Site {
  nowMs = 1_000;
  calm = false;
  boot = 1;
  store: JournalStore;
  shipper: Shipper;
  online = false;
  room = true;
  up: Uint8Array[] = [];
  readonly counts = { captured: 0, kills: 0, breaks: 0, lost: 0, doubled: 0, turned: 0, declared: 0, reads: 0 };
  /** What was captured, and the gaps that the capture itself declared: the yardstick. */
  readonly said = new Map<string, Buffer>();
  readonly held = new Map<string, Held>();
  private readonly disk = createMemoryDisk();
  private readonly random: Random;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.store = this.open();
    this.shipper = this.begin();
  }

  private open(): JournalStore {
    return new JournalStore(this.disk, QUOTA, () => Buffer.from(this.random.hex(8), "hex"));
  }

  private begin(): Shipper {
    const { store } = this;
    const now = (range: Range | null) => Promise.resolve(range);
    return createShipper({
      root: ROOT,
      boot: this.boot,
      monoMs: () => this.nowMs,
      tracks: store.recovered.tracks,
      ledgerNext: 1,
      consoles: CONSOLES.map((name) => ({ name, ship: "primary" as const })),
      roomy: () => this.room,
      publish: (topic, payload) => this.publish(topic, payload),
      journal: {
        readCapture: (track, boot, from, to, limit) => now(store.readCapture(track, boot, from, to, limit)),
        readLedger: async () => [],
        stats: async () => store.stat(),
      },
      times: { backfillMs: 3_000 },
    });
  }

  private publish(topic: string, payload: Uint8Array): boolean {
    if (!this.online) return false;
    const named = Buffer.concat([Buffer.from([CONSOLES.findIndex((one) => topic.includes(`/${one}/`))]), payload]);
    if (this.calm || !this.random.chance(0.05)) this.up.push(named);
    else this.counts.lost++;
    this.room = this.calm || !this.random.chance(0.1);
    return true;
  }

  private say(): void {
    const name = this.random.pick(CONSOLES);
    const key = `${this.boot}/${name}/rx`;
    const before = this.said.get(key) ?? Buffer.alloc(0);
    const size = this.random.between(1, 30_000);
    const line = `${this.random.hex(12)} %LINK-3-UPDOWN: Interface Gi0/${this.random.between(0, 48)}, changed state\r\n`;
    const data = Buffer.from(line.repeat(Math.ceil(size / line.length)).slice(0, size));
    this.said.set(key, Buffer.concat([before, data]));
    this.counts.captured += data.length;
    const head = { track: `${name}/rx`, boot: this.boot, offset: before.length, monoMs: this.nowMs };
    const gap: CaptureItem[] = this.random.chance(0.1)
      ? [{ ...head, content: { gap: { cause: "overrun", length: null } } }]
      : [];
    const items = [...gap, { ...head, content: { data } }];
    this.store.appendCapture(items);
    this.shipper.captured(items, this.random.chance(0.1));
  }

  private kill(): void {
    this.counts.kills++;
    this.shipper.stop();
    if (this.random.chance(0.5)) this.boot++;
    this.up = this.up.slice(0, this.random.between(0, this.up.length + 1));
    this.online = false;
    this.store = this.open();
    this.shipper = this.begin();
  }

  private connect(online: boolean): void {
    this.online = online;
    this.room = true;
    if (!online) this.up = this.up.slice(0, this.random.between(0, this.up.length + 1));
    if (!online) this.counts.breaks++;
    this.shipper.way(online ? (!this.calm && this.random.chance(0.3) ? "metered" : "free") : "none");
    if (online) this.acknowledge(true);
  }

  private deliver(): void {
    const at = this.calm ? 0 : Math.min(this.up.length, this.random.between(0, 3));
    const [message] = this.up.splice(at, 1);
    if (message === undefined) return;
    if (at > 0) this.counts.turned++;
    if (!this.calm && this.random.chance(0.1)) {
      this.up.push(message);
      this.counts.doubled++;
    }
    this.take(CONSOLES[message[0] ?? 0] ?? "", message.subarray(1));
  }

  private take(console: string, payload: Uint8Array): void {
    const head = chunkHead(payload);
    if (head === null) throw new Error("no chunk");
    const mine = this.mine(`${head.boot}/${console}/rx`);
    const from = head.offset - head.dictionaryLength;
    const known = from >= 0 && missingIn(mine.spans, [from, head.offset]).length === 0;
    const chunk = known ? decodeChunk(payload, mine.bytes.subarray(0, head.offset)) : null;
    // A hole before it, or one that its dictionary lies in: asked for as a range.
    const hole = missingIn(unionOf([...mine.spans, ...mine.declared]), [0, head.offset])[0];
    if (chunk !== null) keep(mine, chunk.offset, chunk.data);
    if (hole !== undefined && (this.calm || this.random.chance(0.3))) this.read(console, head.boot, hole);
  }

  private mine(key: string): Held {
    const held = this.held.get(key) ?? { bytes: Buffer.alloc(0), spans: [], declared: [] };
    this.held.set(key, held);
    return held;
  }

  /** The signed way: bytes, or the word that they are gone. */
  private read(console: string, boot: number, [from, to]: Span): void {
    this.counts.reads++;
    const mine = this.mine(`${boot}/${console}/rx`);
    const range = this.store.readCapture(`${console}/rx`, boot, from, to, 256 * 1024);
    if (range === null) return;
    for (const { offset, data } of range.pieces) keep(mine, offset, data);
    const gone = range.next === 0 ? to : Math.min(to, range.first);
    if (gone > from) mine.declared = unionOf([...mine.declared, [from, gone]]);
  }

  private acknowledge(kept = false): void {
    const tracks = [...this.held].map(([key, { spans, declared }]) => {
      const [boot, ...track] = key.split("/");
      return { boot: Number(boot), track: track.join("/"), ranges: unionOf([...spans, ...declared]) };
    });
    this.shipper.perform({ type: "acknowledged", receiver: "vault", tracks, kept });
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    await vi.advanceTimersByTimeAsync(ms);
  }

  async step(): Promise<void> {
    const what = this.random.between(0, 20);
    if (what < 6) this.say();
    else if (what < 12) this.deliver();
    else if (what < 15) this.acknowledge();
    else if (what < 17) this.connect(this.random.chance(0.6));
    else if (what < 18) this.shipper.room();
    else if (what === 18 && this.random.chance(0.3)) this.kill();
    if (!this.room && this.random.chance(0.5)) {
      this.room = true;
      this.shipper.room();
    }
    await this.pass(this.random.between(0, 4_000));
  }

  async settle(): Promise<void> {
    this.calm = true;
    this.connect(true);
    for (let minutes = 0; minutes < 20; minutes++) {
      for (let seconds = 0; seconds < 6; seconds++) {
        await this.pass(10_000);
        while (this.up.length > 0) this.deliver();
        this.acknowledge();
      }
    }
  }

  /** What of a track neither arrived nor was declared, and what arrived as something else. */
  audit(): { undeclared: number; wrong: number; delivered: number } {
    const audit = { undeclared: 0, wrong: 0, delivered: 0 };
    for (const [key, said] of this.said) {
      const [boot, console = ""] = key.split("/");
      const mine = this.mine(key);
      for (const [from, to] of mine.spans) {
        audit.delivered += to - from;
        if (!mine.bytes.subarray(from, to).equals(said.subarray(from, to))) audit.wrong++;
      }
      // A whole boot that the ring lost before anybody heard of it: asked for, as a receiver does from the list of boots.
      for (const hole of missingIn(mine.spans, [0, said.length])) this.read(console, Number(boot), hole);
      audit.undeclared += sizeOf(missingIn(unionOf([...mine.spans, ...mine.declared]), [0, said.length]));
      this.counts.declared += sizeOf(missingIn(mine.spans, [0, said.length]));
    }
    return audit;
  }

  /** Bytes that the journal holds and the receiver has not. */
  heldBack(): number {
    let held = 0;
    for (const [key, said] of this.said) {
      const [boot, console = ""] = key.split("/");
      const range = this.store.readCapture(`${console}/rx`, Number(boot), 0, said.length, Number.MAX_SAFE_INTEGER);
      for (const { offset, data } of range?.pieces ?? [])
        held += sizeOf(missingIn(this.mine(key).spans, [offset, offset + data.length]));
    }
    return held;
  }
}

function keep(held: Held, offset: number, data: Uint8Array): void {
  const end = offset + data.length;
  if (end > held.bytes.length) held.bytes = Buffer.concat([held.bytes, Buffer.alloc(end - held.bytes.length)]);
  held.bytes.set(data, offset);
  held.spans = unionOf([...held.spans, [offset, end]]);
}

function sizeOf(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}

describe("captured = delivered + held + declared", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("over a ring that goes round, a broker that loses, doubles and turns round, and kills; nothing held stays behind", async () => {
    const seeds = process.env.TOWPATH_LONG === undefined ? 8 : 1_000;
    const sums: Record<string, number> = {};
    for (let seed = 1; seed <= seeds; seed++) {
      const site = new Site(seed);
      for (let steps = 0; steps < 250; steps++) await site.step();
      await site.settle();
      const heldBack = site.heldBack();
      const audit = site.audit();
      expect({ seed, heldBack, ...audit, delivered: audit.delivered > 0 }).toEqual({
        ...{ seed, heldBack: 0, undeclared: 0, wrong: 0, delivered: true },
      });
      expect(audit.delivered + site.counts.declared).toBe(site.counts.captured);
      site.shipper.stop();
      for (const [what, count] of Object.entries(site.counts)) sums[what] = (sums[what] ?? 0) + count;
    }
    // Each of these happened: the property was put to the test.
    for (const [what, count] of Object.entries(sums)) expect(count, what).toBeGreaterThan(0);
  }, 900_000);
});
