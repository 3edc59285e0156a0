import { decodeEnvelope, encodeEnvelope, parseJson } from "../../src/protocol/envelope.ts";
import type { Outgoing } from "../../src/site/edges.ts";
import { Evidence } from "./evidence.ts";
import { Network } from "./network.ts";
import { Operators } from "./operators.ts";
import { Properties } from "./properties.ts";
import { type Random, seeded } from "./random.ts";
import { VirtualTime } from "./time.ts";
import { World } from "./world.ts";

/** One seed: people work through a hostile network at a site that crashes and breaks; then the faults stop. */

export interface Told {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly history: readonly string[];
  readonly accepted: number;
  readonly edges: number;
  readonly faults: Readonly<Record<string, number>>;
}

const FAULTY_MS = 20 * 60_000;
/** Above the longest wait of an order, its delays, its observations and a restart. */
const CALM_MS = 10 * 60_000;

const STATUS = Buffer.from(
  encodeEnvelope({
    body: Buffer.from(
      JSON.stringify({ v: 1, id: "0".repeat(26), site: "sim/one", kind: "status", by: "local", epoch: 0 }),
    ),
    sigs: [],
  }),
);

export function tellStory(seed: number): Told {
  const story = new Story(new VirtualTime(), seeded(seed));
  story.run();
  const { world, network, operators, properties, counts } = story;
  return {
    seed,
    problems: properties.problems,
    history: world.history,
    accepted: [...properties.accepted.keys()].filter((id) => operators.orders.has(id)).length,
    edges: world.edges.length,
    faults: { ...world.counts, ...network.counts, ...counts },
  };
}

class Story {
  readonly counts = { forged: 0, pestered: 0, revoked: 0, ladders: 0 };
  readonly world: World;
  readonly network: Network;
  readonly operators: Operators;
  readonly properties: Properties;
  private readonly evidence: Evidence;
  private readonly time: VirtualTime;
  private readonly random: Random;

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.random = random;
    const rate = (most: number) => (random.chance(0.6) ? random.next() * most : 0);
    const faults = {
      crash: rate(0.02),
      reboot: random.next(),
      mainsLost: random.next(),
      slowSync: rate(0.2),
      brokenDisk: rate(0.1),
    };
    this.network = new Network(time, random, (via, message, retained) => this.world.receive(via, message, retained));
    this.operators = new Operators(time, random, (message) => this.network.carry(message));
    let properties: Properties | null = null;
    const evidence = new Evidence((text) => properties?.problem(text));
    this.evidence = evidence;
    this.world = new World(time, random, faults, {
      published: (message) => this.onPublish(message),
      moved: (edge) => properties?.moved(edge),
      driven: (edge) => properties?.driven(edge),
      worked: () => properties?.always(),
      arrived: (payload, retained) => evidence.arrived(payload, retained),
      recorded: (records) => {
        evidence.recorded(records);
        properties?.recorded(records);
      },
    });
    properties = new Properties(this.world, this.operators);
    this.properties = properties;
  }

  run(): void {
    const begin = this.time.nowMs;
    for (let at = 0; at < FAULTY_MS; at += this.random.between(2_000, 60_000)) this.time.after(at, () => this.act());
    this.time.runUntil(begin + FAULTY_MS);
    this.world.calm = true;
    this.network.calm = true;
    this.network.settledMs = this.time.nowMs + CALM_MS / 2;
    this.operators.calm = true;
    this.world.hardware.mend();
    this.world.tell("faults stop");
    this.time.runUntil(begin + FAULTY_MS + CALM_MS);
    this.properties.atTheEnd();
    this.lastOrder();
  }

  /** Liveness: an honest operator with a working path gets a final answer. */
  private lastOrder(): void {
    const select = this.operators.wish({ by: "alice", verb: "cycle", target: "router1", args: { from: "any" } });
    this.time.runUntil(this.time.nowMs + 60_000);
    const order = [...this.operators.orders.values()].at(-1);
    const answered =
      this.operators.answered.has(select) || (order !== undefined && this.operators.answered.has(order.id));
    if (!answered) this.properties.problems.push("an honest order got no final answer");
  }

  private act(): void {
    const what = this.random.next();
    if (what < 0.55) return this.wish();
    if (what < 0.65) return this.network.replay();
    if (what < 0.73) return this.forge();
    if (what < 0.78) return this.world.jumpWall();
    if (what < 0.81) return this.pester();
    if (what < 0.84) return this.network.retain();
    if (what < 0.87) return this.network.partition();
    if (what < 0.92) return this.world.breakSomething();
    if (what < 0.95) return this.flap();
    if (what < 0.98) return this.climb();
    this.counts.revoked++;
    this.operators.pushTrust();
  }

  private wish(): void {
    this.operators.wish();
  }

  private forge(): void {
    this.counts.forged++;
    if (this.random.chance(0.25)) this.network.bend();
    else this.operators.forge();
  }

  private flap(): void {
    this.network.counts.flaps++;
    this.world.flapLink();
  }

  /** A modem that does not come back: its ladder tries again and again. */
  private climb(): void {
    for (let rung = 0; rung < 4; rung++)
      this.time.after(rung * 60_000, () => this.world.climbLadder(`ladder-${++this.counts.ladders}`));
  }

  /** Somebody asks how it is, far too often: nothing may be put off by it. */
  private pester(): void {
    this.counts.pestered++;
    for (let count = 0; count < 20; count++)
      this.time.after(count * 17, () => this.world.receive("local", STATUS, false));
  }

  private onPublish(message: Outgoing): void {
    if (!message.topic.endsWith("/up/reply")) return;
    const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
    const reply = envelope && (parseJson(envelope.body) as Parameters<Properties["said"]>[0] & { nonce?: string });
    if (reply === null) return;
    this.world.tell(
      `${reply.phase} ${reply.id} ${reply.code ?? reply.verdict ?? ""} ${reply.locked ?? ""} ${reply.durability ?? ""}`.trim(),
    );
    this.properties.said(reply);
    this.evidence.said(reply);
    this.operators.heard(reply);
  }
}
