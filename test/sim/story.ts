import { signEd25519 } from "../../src/access/sshsig.ts";
import type { Command } from "../../src/core/messages.ts";
import { NONCE_TTL_MS } from "../../src/core/selection.ts";
import { decodeEnvelope, encodeEnvelope, NAMESPACES, parseJson } from "../../src/protocol/envelope.ts";
import type { Outgoing } from "../../src/site/edges.ts";
import { type Random, seeded } from "./random.ts";
import { VirtualTime } from "./time.ts";
import { COMMAND_TOPIC, OPERATOR_KEYS, PLAN, World } from "./world.ts";

/** One seed: an operator works through a hostile network at a site that crashes; then the faults stop. */

export interface Told {
  readonly seed: number;
  readonly problems: readonly string[];
  readonly history: readonly string[];
  readonly accepted: number;
  readonly edges: number;
  readonly faults: Readonly<Record<string, number>>;
}

interface Sent {
  readonly id: string;
  readonly verb: string;
  readonly nonce: string;
  readonly honest: boolean;
}

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const FAULTY_MS = 20 * 60_000;
/** Above the longest cycle of the plan, its staggers and a restart. */
const CALM_MS = 5 * 60_000;
/** Sync deadline, two edges and their answers. */
const SLACK_MS = 6_000;

export function tellStory(seed: number): Told {
  const random = seeded(seed);
  const time = new VirtualTime();
  const story = new Story(time, random);
  story.run();
  return {
    seed,
    problems: story.problems,
    history: story.world.history,
    accepted: story.world.accepted.size,
    edges: story.world.edges.length,
    faults: { ...story.world.counts, ...story.counts },
  };
}

class Story {
  readonly problems: string[] = [];
  readonly counts = { dropped: 0, duplicated: 0, delayed: 0, replayed: 0, forged: 0, retained: 0, pestered: 0 };
  readonly world: World;
  private readonly tape: Uint8Array[] = [];
  private readonly statusMessage = Buffer.from(
    encodeEnvelope({
      body: Buffer.from(
        JSON.stringify({ v: 1, id: "0".repeat(26), site: "sim/one", kind: "status", by: "local", epoch: 0 }),
      ),
      sigs: [],
    }),
  );
  private readonly sent = new Map<string, Sent>();
  /** When the site said `selected`, by nonce. */
  private readonly selectedAt = new Map<string, number>();
  /** Went ahead without the card: a crash may make the site forget them (design, section 5 item 8). */
  private readonly forgettable = new Set<string>();
  private readonly wanted = new Map<string, { verb: string; target: string }>();
  private readonly network: { drop: number; duplicate: number; delay: number };
  private readonly time: VirtualTime;
  private readonly random: Random;

  constructor(time: VirtualTime, random: Random) {
    this.time = time;
    this.random = random;
    const rate = (most: number) => (random.chance(0.6) ? random.next() * most : 0);
    this.network = { drop: rate(0.3), duplicate: rate(0.4), delay: rate(0.3) };
    const faults = {
      crash: rate(0.03),
      powerCut: random.next(),
      slowSync: rate(0.2),
      brokenDisk: rate(0.1),
      wallJump: rate(0.5),
    };
    this.world = new World(time, random, faults, (message) => this.onPublish(message));
  }

  run(): void {
    const begin = this.time.nowMs;
    for (let at = 0; at < FAULTY_MS; at += this.random.between(2_000, 90_000)) {
      this.time.after(at, () => this.act());
    }
    this.time.runUntil(begin + FAULTY_MS);
    this.world.calm = true;
    this.world.tell("faults stop");
    this.time.runUntil(begin + FAULTY_MS + CALM_MS);
    this.checkEdges();
    this.checkEnd();
  }

  private act(): void {
    const what = this.random.next();
    if (what < 0.6) return this.select();
    if (what < 0.75) return this.replay();
    if (what < 0.85) return this.forge();
    if (what < 0.9) return this.world.jumpWall();
    if (what < 0.95) return this.pester();
    return this.retain();
  }

  private id(): string {
    return `0${Array.from({ length: 25 }, () => this.random.pick([...ALPHABET])).join("")}`;
  }

  private select(): void {
    const id = this.id();
    const verb = this.random.pick(["on", "off", "cycle", "cycle", "cycle"]);
    const target = this.random.pick([...Object.keys(PLAN.devices), ":a1", "router1:a2"]);
    this.wanted.set(id, { verb, target });
    this.send("alice", {
      v: 1,
      id,
      site: "sim/one",
      kind: "select",
      verb,
      target,
      args: { from: "any" },
      by: "alice",
      epoch: 1,
    });
  }

  private send(signer: keyof typeof OPERATOR_KEYS, body: object): void {
    const bytes = Buffer.from(JSON.stringify(body));
    const message = Buffer.from(
      encodeEnvelope({ body: bytes, sigs: [signEd25519(OPERATOR_KEYS[signer], bytes, NAMESPACES.command)] }),
    );
    this.tape.push(message);
    this.carry(message);
  }

  /** What a hostile broker may do with a message. */
  private carry(message: Uint8Array): void {
    const { drop, duplicate, delay } = this.network;
    if (this.random.chance(drop)) return void this.counts.dropped++;
    const copies = this.random.chance(duplicate) ? 2 : 1;
    if (copies === 2) this.counts.duplicated++;
    for (let copy = 0; copy < copies; copy++) {
      const late = this.random.chance(delay);
      if (late) this.counts.delayed++;
      const ms = late ? this.random.between(1_000, 3 * NONCE_TTL_MS) : this.random.between(20, 600);
      this.deliver(message, ms, copy === 1 ? "primary" : "lte");
    }
  }

  private deliver(message: Uint8Array, ms: number, via: "lte" | "primary", retained = false): void {
    this.time.after(ms, () => this.world.receive(via, COMMAND_TOPIC, message, retained));
  }

  private replay(): void {
    if (this.tape.length === 0) return;
    this.counts.replayed++;
    this.deliver(this.random.pick(this.tape), 0, "lte");
  }

  /** Somebody asks how it is, far too often: nothing may be put off by it. */
  private pester(): void {
    this.counts.pestered++;
    for (let count = 0; count < 60; count++) {
      this.time.after(count * 17, () => this.world.receive("local", COMMAND_TOPIC, this.statusMessage, false));
    }
  }

  private retain(): void {
    if (this.tape.length === 0) return;
    this.counts.retained++;
    this.deliver(this.random.pick(this.tape), 0, "lte", true);
  }

  /** A stranger's key, another operator's name, a viewer's order, or a flipped bit. */
  private forge(): void {
    this.counts.forged++;
    const nonce = [...this.selectedAt.keys()].at(-1) ?? this.random.hex(16);
    const body = { v: 1, id: this.id(), site: "sim/one", kind: "operate", nonce, by: "alice", epoch: 1 };
    this.sent.set(body.id, { id: body.id, verb: "?", nonce, honest: false });
    const kind = this.random.between(0, 3);
    if (kind === 0) return this.send("mallory", body);
    if (kind === 1) return this.send("bob", { ...body, by: this.random.pick(["bob", "alice"]) });
    const original = this.tape.at(-1);
    if (original === undefined) return;
    const bent = Uint8Array.from(original);
    const at = this.random.between(0, bent.length);
    bent[at] = (bent[at] ?? 0) ^ (1 << this.random.between(0, 8));
    this.deliver(bent, 0, "lte");
  }

  private onPublish(message: Outgoing): void {
    if (!message.topic.endsWith("/up/reply")) return;
    const envelope = decodeEnvelope(Buffer.from(message.payload).toString("utf8"));
    const reply =
      envelope &&
      (parseJson(envelope.body) as { id: string; phase: string; nonce?: string; code?: string; durability?: string });
    if (reply === null) return;
    this.world.tell(`${reply.phase} ${reply.id} ${reply.code ?? ""}`);
    if (reply.phase === "accepted") this.world.accepted.add(reply.id);
    if (reply.durability === "memory") this.forgettable.add(reply.id);
    if (reply.phase !== "selected" || reply.nonce === undefined || this.selectedAt.has(reply.nonce)) return;
    this.selectedAt.set(reply.nonce, this.time.nowMs);
    this.operate(reply.id, reply.nonce);
  }

  private operate(selectId: string, nonce: string): void {
    const wanted = this.wanted.get(selectId);
    if (wanted === undefined) return;
    const body: Partial<Command> & object = {
      v: 1,
      id: this.id(),
      site: "sim/one",
      kind: "operate",
      nonce,
      by: "alice",
      epoch: 1,
    };
    this.sent.set(body.id ?? "", { id: body.id ?? "", verb: wanted.verb, nonce, honest: true });
    this.time.after(this.random.between(100, 70_000), () => this.send("alice", body));
  }

  private checkEdges(): void {
    const seen = new Set<string>();
    for (const edge of this.world.edges) {
      const sent = this.sent.get(edge.id);
      const said = `${edge.outlet} ${edge.power} at ${edge.atMs} by ${edge.id}`;
      if (sent === undefined || !sent.honest) this.problems.push(`an edge that no operator ordered: ${said}`);
      const key = `${edge.id} ${edge.outlet} ${edge.power}`;
      if (seen.has(key)) this.problems.push(`moved twice: ${said}`);
      seen.add(key);
      if (edge.power === "on") continue;
      if (sent?.verb === "on") this.problems.push(`off by an on: ${said}`);
      const selected = this.selectedAt.get(sent?.nonce ?? "") ?? Number.NEGATIVE_INFINITY;
      if (edge.atMs - selected > NONCE_TTL_MS + SLACK_MS)
        this.problems.push(`moved late: ${said}, selected at ${selected}`);
    }
  }

  /** The last word on each outlet: whoever asked for a cycle or an on and was accepted finds it on. */
  private checkEnd(): void {
    const state = this.world.site?.state();
    if (state === undefined) return void this.problems.push("the site did not come back");
    if (state.sequences.length > 0) this.problems.push("a command never ended");
    for (const one of state.durable.unsettled) this.problems.push(`still owed: ${one.id} ${one.verb}`);
    const last = new Map(this.world.edges.map((edge) => [edge.outlet, edge]));
    for (const [name, memory] of Object.entries(state.durable.outlets)) {
      const forgotten = this.forgettable.has(last.get(name)?.id ?? "");
      if (!forgotten && memory.commanded !== "unknown" && memory.commanded !== this.world.power(name)) {
        this.problems.push(`${name} is ${this.world.power(name)}, commanded ${memory.commanded}`);
      }
    }
    for (const edge of last.values()) {
      const verb = this.sent.get(edge.id)?.verb;
      const forgotten = this.forgettable.has(edge.id);
      if (edge.power === "off" && verb !== "off" && !forgotten)
        this.problems.push(`${edge.outlet} was left off by a ${verb}`);
    }
  }
}
