import { vi } from "vitest";
import { type Account, EMPTY_ACCOUNT, type GovernorLevel, passes, spend } from "../../src/core/budget.ts";
import type { Reply } from "../../src/core/messages.ts";
import { type Span, unionOf } from "../../src/core/ranges.ts";
import { Outbox, type Parcel, type Urgency, urgencyOf } from "../../src/link/outbox.ts";
import { createShipper, type Shipper } from "../../src/link/shipper.ts";
import { chunkHead, decodeChunk } from "../../src/protocol/chunk.ts";
import { parseJson } from "../../src/protocol/envelope.ts";
import { parseTopic, siteRoot } from "../../src/protocol/topics.ts";
import { Bench } from "../core/bench.ts";
import type { Random } from "../sim/random.ts";

/**
 * A site that has only LTE, on a clock that is moved by hand: the real decision, shipper, outbox and budget; a broker
 * that keeps a session, a carrier that comes and goes, a receiver, and an operator who does not give up at once.
 */

const ROOT = siteRoot("acme", "one");
const BOOT = 7;
/** How long a message takes, or its acknowledgement. */
const STEP_MS = 4_000;
/** TCP, TLS, MQTT and the acknowledgement of one message; a connect, resumed; a ping and its answer. */
const MESSAGE_BYTES = 215;
const CONNECT_BYTES = 2_900;
const PING_BYTES = 204;
const KEEPALIVE_MS = 230_000;
const PATIENCE_MS = 20_000;

interface Order {
  readonly id: string;
  readonly sentMs: number;
  nonce: string | null;
  result: boolean;
}

export class LteWorld {
  readonly core = new Bench();
  readonly random: Random;
  readonly budget: { readonly bytes: number; readonly per: "day" };
  online = false;
  level: GovernorLevel = "normal";
  account: Account = EMPTY_ACCOUNT;
  today = "2026-11-24";
  /** What was said, and from where on the ring still has it. */
  readonly said = new Map<string, Buffer>([["alarm-panel/rx", Buffer.alloc(0)]]);
  first = 0;
  /** What the receiver has. */
  readonly got = new Map<string, Buffer>();
  readonly gotSpans = new Map<string, readonly Span[]>();
  records: readonly Span[] = [];
  readonly arrived: { urgency: Urgency; topic: string; bytes: number; atMs: number }[] = [];
  readonly orders: Order[] = [];
  mostUnderWay = 0;
  connects = 0;
  private readonly outbox = new Outbox();
  private readonly shipper: Shipper;
  private wire: Parcel[] = [];
  /** What the broker holds for the site, also while that is away. */
  private session: (() => void)[] = [];
  private unsent: Reply[] = [];
  private told = 0;
  private replied = 0;
  private spokenMs = 0;
  private heard = false;

  constructor(random: Random, budgetBytes: number) {
    this.random = random;
    this.budget = { bytes: budgetBytes, per: "day" };
    this.shipper = createShipper({
      ...{ root: ROOT, boot: BOOT, monoMs: () => this.core.nowMs, tracks: {}, ledgerNext: 1 },
      consoles: [
        { name: "alarm-panel", ship: "always" },
        { name: "router1", ship: "primary" },
      ],
      roomy: () => this.online && this.outbox.roomy(),
      publish: (topic, payload, urgency) => this.publish(topic, payload, urgency),
      journal: {
        readCapture: async (track, boot, from, to) => this.read(track, boot ?? BOOT, from, to),
        readLedger: async (from, to, limit) =>
          this.core.records
            .filter(({ seq }) => seq >= from && seq < to)
            .slice(0, limit)
            .map((one) => JSON.stringify(one)),
        stats: async () => ({}),
      },
    });
  }

  private read(track: string, boot: number, from: number, to: number) {
    const text = this.said.get(track) ?? Buffer.alloc(0);
    const start = Math.max(from, Math.min(this.first, text.length));
    const end = Math.max(start, Math.min(to, text.length));
    const pieces = end > start ? [{ offset: start, monoMs: start, data: text.subarray(start, end) }] : [];
    return { boot, pieces, gaps: [], first: this.first, next: text.length, end };
  }

  private publish(topic: string, payload: Uint8Array, urgency = urgencyOf(topic)): boolean {
    if (!this.online || !passes(this.level, urgency)) return false;
    return this.outbox.push({ topic, payload, urgency, retained: topic.endsWith("/state") });
  }

  say(console: string, text: string): void {
    const track = `${console}/rx`;
    const before = this.said.get(track) ?? Buffer.alloc(0);
    const data = Buffer.from(text);
    this.said.set(track, Buffer.concat([before, data]));
    const at = { track, boot: BOOT, offset: before.length, monoMs: this.core.nowMs };
    this.shipper.captured([{ ...at, content: { data } }], false);
  }

  /** An operator wants the power of a device switched, and says so to the broker. Nobody waits for an answer for ever. */
  order(verb: "on" | "off", hesitates = false): Order {
    const order: Order = { id: this.core.id(), sentMs: this.core.nowMs, nonce: null, result: false };
    this.orders.push(order);
    this.deliverTwice(() => {
      const reply = this.core.select(verb, "nas1");
      order.nonce ??= typeof reply.nonce === "string" ? reply.nonce : null;
      const waits = this.core.nowMs - order.sentMs < PATIENCE_MS;
      if (order.nonce !== null && waits && !hesitates) this.repeat(order);
    });
    return order;
  }

  /** The same command again, as often as it takes: whoever asks gets one answer. */
  repeat(order: Order): void {
    this.deliverTwice(() => this.core.operate(order.nonce, { id: order.id }));
  }

  private deliverTwice(command: () => unknown): void {
    for (let times = this.random.chance(0.3) ? 2 : 1; times > 0; times--)
      this.session.push(() => {
        command();
        this.tellReplies();
        this.tellRecords();
      });
  }

  private tellReplies(): void {
    for (const reply of this.core.replies.slice(this.replied)) this.answer(reply);
    this.replied = this.core.replies.length;
  }

  private answer(reply: Reply): void {
    if (!this.publish(`${ROOT}/up/reply`, Buffer.from(JSON.stringify(reply)))) this.unsent.push(reply);
  }

  private tellRecords(): void {
    const fresh = this.core.records.slice(this.told);
    const [first] = fresh;
    this.told = this.core.records.length;
    if (first === undefined) return;
    this.shipper.recorded(first.seq, first.seq + fresh.length);
    this.publish(`${ROOT}/up/event`, Buffer.from(JSON.stringify({ records: fresh })));
  }

  connect(online: boolean): void {
    if (online === this.online) return;
    this.online = online;
    if (!online) {
      // Some of what was on its way arrives all the same, and nobody is told.
      for (const parcel of this.wire) if (this.random.chance(0.5)) this.take(parcel);
      this.wire = [];
      this.outbox.clear();
    }
    const detail = online ? "broker" : "lost";
    this.core.emit({ type: "link-changed", connection: "lte", state: online ? "up" : "down", detail });
    this.shipper.way(online && this.level !== "last" ? "metered" : "none");
    if (!online) return this.tellRecords();
    this.connects++;
    this.cost("connection", CONNECT_BYTES);
    this.publish(`${ROOT}/up/state`, Buffer.alloc(1_500, "{"));
    for (const reply of this.unsent.splice(0)) this.answer(reply);
    this.tellRecords();
    this.heard = true;
  }

  private cost(what: string, bytes: number): void {
    this.account = spend(this.account, { [what]: bytes }, this.today);
    this.spokenMs = this.core.nowMs;
  }

  private take({ topic, payload, urgency }: Parcel): void {
    this.arrived.push({ urgency, topic, bytes: payload.length, atMs: this.core.nowMs });
    const name = parseTopic(topic)?.topic;
    if (name?.name === "up/reply") this.heardReply(parseJson(payload) as Reply);
    if (name?.name === "up/event") {
      const { records } = parseJson(payload) as { records: { seq: number }[] };
      this.records = unionOf([...this.records, ...records.map(({ seq }): Span => [seq, seq + 1])]);
    }
    if (name?.name === "up/capture/{console}/{track}") this.takeChunk(`${name.console}/rx`, payload);
    this.heard = true;
  }

  private heardReply({ id, phase }: Reply): void {
    const order = this.orders.find((one) => one.id === id);
    if (order !== undefined && (phase === "result" || phase === "rejected")) order.result = true;
  }

  private takeChunk(track: string, payload: Uint8Array): void {
    const head = chunkHead(payload);
    const before = this.got.get(track) ?? Buffer.alloc(0);
    if (head === null) throw new Error("no chunk");
    const chunk = decodeChunk(payload, before.subarray(0, head.offset));
    if (chunk === null) throw new Error(`${track}: cannot be decoded at ${head.offset}`);
    const end = chunk.offset + chunk.data.length;
    const text = Buffer.alloc(Math.max(before.length, end));
    text.set(before);
    text.set(chunk.data, chunk.offset);
    this.got.set(track, text);
    this.gotSpans.set(track, unionOf([...(this.gotSpans.get(track) ?? []), [chunk.offset, end]]));
  }

  /** The receiver's acknowledgement, which the broker keeps. */
  private acknowledge(): void {
    if (!this.heard || !this.online) return;
    this.heard = false;
    const held = [...this.gotSpans].map(([track, ranges]) => ({ boot: BOOT, track, ranges }));
    const tracks = [...held, { boot: 0, track: "ledger", ranges: this.records }];
    this.cost("connection", MESSAGE_BYTES);
    this.shipper.perform({ type: "acknowledged", receiver: "vault", tracks, kept: false });
  }

  async step(): Promise<void> {
    this.core.pass(STEP_MS);
    this.tellReplies();
    if (this.online) {
      for (const parcel of this.wire.splice(0)) {
        this.take(parcel);
        this.outbox.finished(parcel);
      }
      for (const deliver of this.session.splice(0)) deliver();
      this.acknowledge();
    }
    await vi.advanceTimersByTimeAsync(STEP_MS);
    this.tellRecords();
    for (let parcel = this.online ? this.outbox.take() : null; parcel !== null; parcel = this.outbox.take()) {
      this.wire.push(parcel);
      this.cost(parcel.urgency, parcel.payload.length + MESSAGE_BYTES);
    }
    this.mostUnderWay = Math.max(
      this.mostUnderWay,
      this.wire.reduce((sum, { payload }) => sum + payload.length, 0),
    );
    if (this.online && this.core.nowMs - this.spokenMs >= KEEPALIVE_MS) this.cost("connection", PING_BYTES);
  }

  /** Once a minute, as the site does. */
  govern(): void {
    const before = this.core.effects.length;
    this.core.emit({ type: "data-counted", budget: this.budget, account: this.account });
    for (const effect of this.core.effects.slice(before)) {
      if (effect.type !== "govern") continue;
      this.level = effect.level;
      if (this.online) this.shipper.way(this.level === "last" ? "none" : "metered");
    }
  }

  stop(): void {
    this.shipper.stop();
  }
}
