import type { KeyObject } from "node:crypto";
import { signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import type { Event } from "../../src/core/events.ts";
import type { Piece, Range } from "../../src/journal/range.ts";
import { createReader } from "../../src/link/reader.ts";
import { decodeAck } from "../../src/protocol/ack.ts";
import { type Chunk, encodeChunk } from "../../src/protocol/chunk.ts";
import { decodeEnvelope, encodeEnvelope, NAMESPACES, parseJson } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";

/** A site that speaks the wire: it keeps what its consoles said, ships what is not acknowledged, and answers reads. */

interface ReadArgs {
  readonly console: string | null;
  readonly boot?: number;
  readonly from?: number;
  readonly to?: number;
  readonly last?: number;
}

interface Life {
  readonly pieces: Piece[];
  readonly gaps: { cause: "overrun" | "replug"; length: number | null; offset: number; monoMs: number }[];
  first: number;
  next: number;
}

export interface ModelOptions {
  readonly name: string;
  readonly key: KeyObject;
  /** Fingerprint of the only key whose commands and acknowledgements count. */
  readonly receiver: string;
  readonly publish: (topic: string, payload: Uint8Array, retained: boolean) => void;
  readonly now: () => number;
  /** Ships by itself; else it only answers. */
  readonly ships: boolean;
}

const WINDOW = 64 * 1024;
const RESEND_MS = 5_000;

export class ModelSite {
  readonly root: string;
  /** What was said and is not declared lost, per console and boot: what a receiver must end up with. */
  readonly lives = new Map<string, Map<number, Life>>();
  readonly records: Readonly<{ seq: number } & Record<string, unknown>>[] = [];
  boot = 101;
  acked = new Map<string, number>();
  reads = 0;
  /** The card fails: no capture can be read. */
  failing = false;
  /** Answers to every read with this code instead. */
  refuse: string | null = null;
  /** The same, of one console. */
  readonly refusals = new Map<string, string>();
  /** Ships nothing for now. */
  stall = false;
  private readonly options: ModelOptions;
  start = 1;
  private n = 0;
  private link = 0;
  private eventsSentAt = 0;
  private readonly sent = new Map<string, { to: number; at: number }>();

  constructor(options: ModelOptions) {
    this.options = options;
    this.root = siteRoot("acme", options.name);
  }

  private get lastSeq(): number {
    return this.records.at(-1)?.seq ?? 0;
  }

  private mono(): number {
    return this.options.now() % 10_000_000;
  }

  /** The site's own reader, over what this one keeps. */
  private readonly reader = createReader({
    root: "",
    boot: 0,
    journal: {
      readCapture: async (track, boot, from, to, limit) => {
        if (this.failing) throw new Error("the card fails");
        const boots = this.lives.get(track.replace(/\/rx$/, ""));
        const which = boot ?? [...(boots ?? new Map<number, Life>()).keys()].at(-1);
        if (boots === undefined || which === undefined) return null;
        // As the journal does it: of a boot that it does not have it says that it goes from 0 to 0.
        const life = boots.get(which) ?? { pieces: [], gaps: [], first: 0, next: 0 };
        return rangeOf(which, life, Math.max(from, life.first), Math.min(to, life.next), limit);
      },
      readLedger: async (from, to, limit) =>
        this.records
          .filter(({ seq }) => seq >= from && seq < to)
          .slice(0, limit)
          .map((record) => JSON.stringify(record)),
      readLastLedger: async (count) =>
        count === 0 ? [] : this.records.slice(-count).map((record) => JSON.stringify(record)),
      offsetAt: async () => 0,
      stats: async () =>
        Object.fromEntries(
          [...this.lives].map(([console, lives]) => {
            const boots = [...lives].map(([boot, { first, next }]) => ({ boot, first, next, firstMonoMs: 0 }));
            return [`${console}/rx`, { boots, bytes: 0, gaps: 0 }];
          }),
        ),
    },
    monoMs: () => this.mono(),
    publish: (_via, topic, payload, settled) => {
      this.options.publish(`${this.root}${topic}`, payload, false);
      settled?.();
      return true;
    },
    emit: (event) => this.onRead(event),
    watched: () => undefined,
    shipped: { watchBegun: () => undefined, watchSent: () => undefined },
  });
  private readonly asked = new Map<number, string>();

  private read(id: string, args: ReadArgs): void {
    const token = this.reads;
    this.asked.set(token, id);
    this.reader.perform({ type: "read-range", via: "primary", token, args: { track: "rx", ...args } });
  }

  private onRead(event: Event): void {
    if (event.type !== "range-read") return;
    const id = this.asked.get(event.token);
    const clocks = [{ boot: this.boot, mono: this.mono(), wall: this.options.now(), trust: "ntp" }];
    const said = event.result.ok
      ? { ...event.result.detail, clocks, id, phase: "result" }
      : { id, phase: "rejected", code: event.result.code };
    this.state("up/reply", said, false);
  }

  private publishChunks(console: string, chunks: readonly Chunk[]): number {
    let dictionary: Uint8Array = new Uint8Array();
    let end = -1;
    for (const chunk of chunks) {
      if (chunk.offset !== end) dictionary = new Uint8Array();
      this.options.publish(`${this.root}/up/capture/${console}/rx`, encodeChunk(chunk, dictionary), false);
      dictionary = Buffer.concat([dictionary, chunk.data]);
      end = chunk.offset + chunk.data.length;
    }
    return end;
  }

  private life(console: string, boot = this.boot): Life {
    const boots = this.lives.get(console) ?? new Map<number, Life>();
    this.lives.set(console, boots);
    const life = boots.get(boot) ?? { pieces: [], gaps: [], first: 0, next: 0 };
    boots.set(boot, life);
    return life;
  }

  speak(console: string, text: string): void {
    const life = this.life(console);
    life.pieces.push({ offset: life.next, monoMs: this.mono(), data: Buffer.from(text) });
    life.next += text.length;
  }

  lose(console: string, length: number | null): void {
    const life = this.life(console);
    life.gaps.push({ cause: "overrun", length, offset: life.next, monoMs: this.mono() });
    const track = { console, track: "rx", offset: life.next, cause: "overrun", length, count: 1 };
    life.next += length ?? 0;
    this.record("gap", track);
  }

  /** The ring came round: the oldest pieces are gone. */
  recycle(console: string, pieces: number): void {
    const life = this.life(console);
    life.pieces.splice(0, pieces);
    life.first = life.pieces[0]?.offset ?? life.next;
    life.gaps.splice(0, life.gaps.findIndex(({ offset }) => offset >= life.first) + 1 || life.gaps.length);
  }

  record(kind: string, detail: object = {}): void {
    this.records.push({ seq: this.lastSeq + 1, boot: this.boot, mono: this.mono(), kind, ...detail });
    this.options.publish(
      `${this.root}/up/event`,
      Buffer.from(JSON.stringify({ records: this.records.slice(-1) })),
      false,
    );
  }

  /** Somebody put in another card: nothing of before is known. */
  newCard(): void {
    this.records.length = 0;
    this.lives.clear();
    this.acked.clear();
    this.sent.clear();
  }

  reboot(): void {
    this.boot += 17;
    this.sent.clear();
    this.online();
  }

  online(): void {
    this.link++;
    const say = JSON.stringify({ state: "online", boot: this.boot, start: this.start, n: this.link });
    this.options.publish(`${this.root}/up/link/primary`, Buffer.from(say), true);
    this.birth();
    this.tellState("ok");
  }

  offline(): void {
    const say = JSON.stringify({ state: "offline", boot: this.boot, start: this.start, n: this.link });
    this.options.publish(`${this.root}/up/link/primary`, Buffer.from(say), true);
  }

  tellState(storage: "ok" | "degraded"): void {
    const site = { storage: { state: storage, detail: "" }, clock: { trust: "ntp" }, trust: { epoch: 1 } };
    this.state("up/state", { mono: this.mono(), wall: this.options.now(), site }, true);
  }

  private birth(): void {
    const consoles = [...this.lives.keys()];
    const boots = [...new Set([...this.lives.values()].flatMap((one) => [...one.keys()])), this.boot];
    const ledger = { seq: this.lastSeq };
    this.state("up/birth", { consoles, boots, tracks: {}, ledger, trust: { epoch: 1 } }, true);
  }

  private state(tail: string, said: object, retained: boolean): void {
    const topic = `${this.root}/${tail}`;
    const body = Buffer.from(JSON.stringify({ ...said, topic, boot: this.boot, start: this.start, n: ++this.n }));
    const sigs = [signEd25519(this.options.key, body, NAMESPACES.site)];
    this.options.publish(topic, Buffer.from(encodeEnvelope({ body, sigs })), retained);
  }

  /** What comes down. */
  hear(topic: string, payload: Uint8Array): void {
    const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
    if (envelope === null) throw new Error(`no envelope on ${topic}`);
    const ack = topic.endsWith("/dn/ack");
    const namespace = ack ? NAMESPACES.collect : NAMESPACES.command;
    const [sig = new Uint8Array()] = envelope.sigs;
    if (verifySignature(envelope.body, sig, namespace)?.fingerprint !== this.options.receiver)
      throw new Error("not signed by the receiver");
    if (ack) return this.onAck(envelope.body);
    const { id, args } = parseJson(envelope.body) as { id: string; args: ReadArgs };
    this.reads++;
    const code = this.refuse ?? this.refusals.get(args.console ?? "");
    if (code !== undefined) return this.state("up/reply", { id, phase: "rejected", code }, false);
    this.read(id, args);
  }

  private onAck(body: Uint8Array): void {
    for (const { boot, track, ranges } of decodeAck(body)?.tracks ?? [])
      for (const [from, to] of ranges)
        if (from === 0) this.take(`${boot}/${track}`, Math.min(to, this.endOf(boot, track)));
  }

  private take(key: string, to: number): void {
    if (to > 0) this.acked.set(key, Math.max(to, this.acked.get(key) ?? 0));
  }

  /** Nobody can acknowledge what is not written. */
  private endOf(boot: number, track: string): number {
    if (boot === 0) return this.lastSeq + 1;
    return this.lives.get(track.replace(/\/rx$/, ""))?.get(boot)?.next ?? 0;
  }

  /** Go-back-N from what is acknowledged. */
  ship(): void {
    if (this.stall) return;
    const { now, ships, publish } = this.options;
    const acked = this.acked.get("0/ledger") ?? 1;
    if (ships && acked <= this.lastSeq && now() - this.eventsSentAt > RESEND_MS) {
      this.eventsSentAt = now();
      publish(
        `${this.root}/up/event`,
        Buffer.from(JSON.stringify({ records: this.records.filter(({ seq }) => seq >= acked) })),
        false,
      );
    }
    for (const [console, boots] of this.options.ships ? this.lives : []) {
      for (const [boot, life] of boots) this.shipBoot(console, boot, life);
    }
  }

  private shipBoot(console: string, boot: number, life: Life): void {
    const key = `${boot}/${console}/rx`;
    const acked = this.acked.get(key) ?? 0;
    const sent = this.sent.get(key) ?? { to: acked, at: 0 };
    const late = this.options.now() - sent.at > RESEND_MS;
    const from = late ? acked : Math.max(acked, sent.to);
    if (from >= life.next || from - acked > WINDOW) return;
    const range = rangeOf(boot, life, from, life.next, WINDOW);
    const end = this.publishChunks(console, chunksOf(boot, range.pieces));
    if (end > 0) this.sent.set(key, { to: end, at: this.options.now() });
  }
}

function rangeOf(boot: number, life: Life, from: number, to: number, limit: number): Range {
  const pieces: Piece[] = [];
  let left = limit;
  let reached = from;
  for (const { offset, monoMs, data } of life.pieces) {
    const start = Math.max(from, offset);
    const stop = Math.min(to, offset + data.length, start + left);
    if (stop <= start) continue;
    pieces.push({ offset: start, monoMs, data: data.subarray(start - offset, stop - offset) });
    left -= stop - start;
    reached = stop;
  }
  const end = left <= 0 ? reached : Math.max(reached, to);
  const gaps = life.gaps.filter(({ offset }) => offset >= from && offset <= end);
  return { boot, pieces, gaps, first: life.first, next: life.next, end };
}

/** Pieces that follow each other, as one chunk up to a size. */
function chunksOf(boot: number, pieces: readonly Piece[]): Chunk[] {
  const chunks: Chunk[] = [];
  for (const { offset, monoMs, data } of pieces) {
    const last = chunks.at(-1);
    const at = last?.data.length ?? 0;
    if (last === undefined || last.offset + at !== offset || at + data.length > 2_000)
      chunks.push({ boot, offset, monoMs, marks: [], data });
    else {
      const marks = [...last.marks, { at, monoMs }];
      chunks[chunks.length - 1] = { ...last, marks, data: Buffer.concat([last.data, data]) };
    }
  }
  return chunks;
}
