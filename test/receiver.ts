import type { KeyObject } from "node:crypto";
import { signEd25519 } from "../src/access/sshsig.ts";
import { type Span, unionOf } from "../src/core/ranges.ts";
import { PERSON_RHYTHM } from "../src/link/backoff.ts";
import { createMqttTransport } from "../src/link/mqtt.ts";
import type { MqttOptions } from "../src/link/mqtt-options.ts";
import { plainPath } from "../src/link/plain-path.ts";
import type { Message, Transport } from "../src/link/transport.ts";
import { newId } from "../src/operator/switching.ts";
import { encodeAck } from "../src/protocol/ack.ts";
import { chunkHead, decodeChunk } from "../src/protocol/chunk.ts";
import { encodeEnvelope, NAMESPACES, parseJson } from "../src/protocol/envelope.ts";
import { parseTopic } from "../src/protocol/topics.ts";

/** A receiver by another program than ours, from the wire contract alone: it keeps what comes, and says what it has. */
export class Receiver {
  readonly texts = new Map<string, Buffer>();
  records: readonly Span[] = [];
  chunks: { offset: number; bytes: number; dictionary: number }[] = [];
  /** Chunks that began behind what was there, or could not be decoded. */
  broken = 0;
  answers = true;
  readonly transport: Transport;
  private readonly root: string;
  private readonly key: KeyObject;
  private timer: NodeJS.Timeout | null = null;

  constructor(options: {
    root: string;
    key: KeyObject;
    broker: string;
    tls?: MqttOptions["tls"];
    answerAfterMs?: number;
    up?: () => void;
  }) {
    const { root, key, broker, tls = {}, answerAfterMs = 100 } = options;
    this.root = root;
    this.key = key;
    this.transport = createMqttTransport({
      ...{
        path: plainPath(),
        rhythm: PERSON_RHYTHM,
        brokers: [broker],
        tls,
        clientId: "vault",
        filters: [`${root}/up/#`],
      },
      ...{ persistent: true, presence: null, random: () => 0 },
    });
    this.transport.start({
      up: () => {
        if (this.answers) this.acknowledge();
        options.up?.();
      },
      down: () => undefined,
      message: (message) => this.take(message, answerAfterMs),
    });
  }

  acknowledge(key = this.key): void {
    const captured = [...this.texts].map(([name, text]) => ({
      boot: Number(name.split("/")[0]),
      track: name.slice(name.indexOf("/") + 1),
      ranges: [[0, text.length]] as const,
    }));
    const tracks = [...captured, { boot: 0, track: "ledger", ranges: this.records }];
    const body = encodeAck({ receiver: "vault", tracks });
    const sigs = [signEd25519(key, body, NAMESPACES.collect)];
    this.transport.publish(`${this.root}/dn/ack`, Buffer.from(encodeEnvelope({ body, sigs })), true);
  }

  /** Asks for a console's text as it comes, for a minute. */
  watch(console: string, by: string): void {
    const [, , , fleet, site] = this.root.split("/");
    const head = { v: 1, id: newId(), site: `${fleet}/${site}`, by, epoch: 1 };
    const body = Buffer.from(JSON.stringify({ ...head, kind: "watch", args: { console } }));
    const sigs = [signEd25519(this.key, body, NAMESPACES.command)];
    this.transport.publish(`${this.root}/dn/command`, Buffer.from(encodeEnvelope({ body, sigs })), false);
  }

  private take({ topic, payload }: Message, answerAfterMs: number): void {
    const name = parseTopic(topic)?.topic;
    if (name?.name === "up/event") this.takeRecords(payload);
    if (name?.name === "up/capture/{console}/{track}") this.takeChunk(`${name.console}/${name.track}`, payload);
    if (!this.answers) return;
    this.timer ??= setTimeout(() => {
      this.timer = null;
      if (this.answers) this.acknowledge();
    }, answerAfterMs);
  }

  private takeRecords(payload: Uint8Array): void {
    const { records } = parseJson(payload) as { records: { seq: number }[] };
    this.records = unionOf([...this.records, ...records.map(({ seq }): Span => [seq, seq + 1])]);
  }

  private takeChunk(track: string, payload: Uint8Array): void {
    const head = chunkHead(payload);
    const key = `${head?.boot}/${track}`;
    const text = this.texts.get(key) ?? Buffer.alloc(0);
    const decodable = head !== null && head.offset <= text.length;
    const chunk = decodable ? decodeChunk(payload, text.subarray(0, head.offset)) : null;
    if (chunk === null || head === null) {
      this.broken++;
      return;
    }
    this.chunks.push({ offset: head.offset, bytes: chunk.data.length, dictionary: head.dictionaryLength });
    const end = head.offset + chunk.data.length;
    if (end > text.length) this.texts.set(key, Buffer.concat([text.subarray(0, head.offset), chunk.data]));
  }

  text(): string {
    return [...this.texts.values()].map((text) => text.toString("latin1")).join("");
  }

  async stop(): Promise<void> {
    this.answers = false;
    if (this.timer !== null) clearTimeout(this.timer);
    await this.transport.stop();
  }
}
