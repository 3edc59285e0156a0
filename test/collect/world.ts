import { publicKeyLine } from "../../src/access/sshsig.ts";
import { Collector } from "../../src/collect/collector.ts";
import type { HookEvent } from "../../src/collect/hooks.ts";
import type { Message, TransportEvents } from "../../src/link/transport.ts";
import { ulid } from "../../src/operator/ulid.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import { type Random, seeded } from "../sim/random.ts";
import { inProcessSigner, newKey } from "../trust.ts";
import { createFaultFolder, type FaultFolder } from "./fault-folder.ts";
import { ModelSite } from "./model-site.ts";

/** A collector and a site over a network that loses, repeats and reorders, with time that is told. */
export class World {
  readonly random: Random;
  readonly folder: FaultFolder = createFaultFolder();
  readonly told: HookEvent[] = [];
  readonly logged: string[] = [];
  readonly site: ModelSite;
  collector: Collector;
  nowMs = Date.UTC(2026, 10, 23, 12);
  /** How likely a message is lost, repeated, or overtaken. */
  trouble = 0;
  /** A list of sites is believed, and names only the one. */
  onlyKnown = false;
  /** Somebody at the broker tells each record in words of his own too, before the site's and after them. */
  forging = false;
  private readonly vault = newKey();
  private readonly siteKey = newKey();
  private readonly pullMs: number | null;
  private retained = new Map<string, Uint8Array>();
  private queue: Message[] = [];
  private events: TransportEvents | null = null;
  private work: () => void = () => undefined;

  constructor(options: { seed?: number; ships?: boolean; pullMs?: number | null } = {}) {
    this.random = seeded(options.seed ?? 1);
    this.pullMs = options.pullMs ?? null;
    this.site = new ModelSite({
      name: "one",
      key: this.siteKey,
      receiver: inProcessSigner(this.vault).fingerprint,
      ships: options.ships ?? true,
      now: () => this.nowMs,
      publish: (topic, payload, retained) => this.up({ topic, payload, retained, oversized: false }),
    });
    this.collector = this.makeCollector();
  }

  private up(message: Message): void {
    if (message.retained) this.retained.set(message.topic, message.payload);
    const statement = !message.topic.includes("/up/capture/") && !message.topic.endsWith("/up/event");
    if (this.forging && message.topic.endsWith("/up/event")) {
      const forged = Buffer.from(Buffer.from(message.payload).toString().replaceAll('"kind":"', '"kind":"forged-'));
      this.queue.push({ ...message, payload: forged }, message, { ...message, payload: forged });
      return;
    }
    if (!statement && this.random.chance(this.trouble)) return;
    this.queue.push(message);
    if (this.random.chance(this.trouble)) this.queue.push(message);
    if (this.random.chance(this.trouble)) this.queue.unshift(message);
  }

  makeCollector(): Collector {
    const signer = inProcessSigner(this.vault);
    const key = fingerprintOf(keyBlob(publicKeyLine(this.siteKey, "")) ?? new Uint8Array());
    this.collector = new Collector({
      fleet: "acme",
      sites: null,
      receiver: "vault",
      folder: this.folder,
      transport: {
        start: (events) => {
          this.events = events;
        },
        publish: (topic, payload) => {
          this.site.hear(topic, payload);
          return true;
        },
        stop: async () => Promise.resolve(),
      },
      keyOf: (site) => (site === "one" ? key : null),
      onlyKnown: () => this.onlyKnown,
      sign: signer.sign,
      by: "vault",
      newId: ulid,
      hooks: {
        tell: (event) => void this.told.push(event),
        counts: { ran: 0, failed: 0, dropped: 0 },
        stop: async () => Promise.resolve(),
      },
      pullMs: this.pullMs,
      now: () => this.nowMs,
      random: () => this.random.next(),
      repeat: (work) => {
        this.work = work;
        return () => undefined;
      },
      log: (line) => void this.logged.push(line),
      pid: 1,
    });
    return this.collector;
  }

  connect(): void {
    this.collector.start();
    for (const [topic, payload] of this.retained)
      this.queue.unshift({ topic, payload, retained: true, oversized: false });
    this.deliver();
    this.events?.up("test");
  }

  private deliver(): void {
    for (const message of this.queue.splice(0)) this.events?.message(message);
  }

  inject(topic: string, payload: Uint8Array): void {
    this.events?.message({ topic, payload, retained: false, oversized: false });
  }

  /** Lets time go on. */
  async pass(ms: number, stepMs = 250): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.nowMs += stepMs;
      this.site.ship();
      this.deliver();
      this.work();
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  stored(console = "router1"): string {
    const logs = this.folder.paths.filter((path) => path.includes(`/${console}.rx/`) && path.endsWith(".log")).sort();
    return logs.map((path) => Buffer.from(this.folder.text(path)).toString("latin1")).join("");
  }

  index(console = "router1"): Record<string, unknown>[] {
    const files = this.folder.paths.filter((path) => path.includes(`/${console}.rx/`) && path.endsWith(".idx")).sort();
    const text = files.map((path) => Buffer.from(this.folder.text(path)).toString()).join("");
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  events_(): number[] {
    const text = Buffer.from(this.folder.text("acme/one/events.jsonl")).toString().trim();
    return text.split("\n").map((line) => (JSON.parse(line) as { seq: number }).seq);
  }
}

/** A site with one console that ships, and a collector that has its first words. */
export async function begun(options: ConstructorParameters<typeof World>[0] = {}): Promise<World> {
  const world = new World(options);
  world.site.speak("router1", "boot\r\n");
  world.site.online();
  world.connect();
  await world.pass(5_000);
  return world;
}
