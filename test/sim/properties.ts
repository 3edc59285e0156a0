import type { Intent, LedgerRecord } from "../../src/core/ledger.ts";
import { NONCE_TTL_MS } from "../../src/core/selection.ts";
import type { Operators, Order } from "./operators.ts";
import { PLAN } from "./plan.ts";
import { Tags } from "./tags.ts";
import { Waits } from "./waits.ts";
import type { Edge, World } from "./world.ts";

/** What must hold, judged from outside: by the edges of the relays, what the site answered, and what it wrote down. */

/** Sync deadline, edges, delays and their answers. */
const SLACK_MS = 12_000;
const STAGGER_MS = 500;
const ANSWER_MS = 3_000;

interface Said {
  readonly id: string;
  readonly phase: string;
  readonly code?: string;
  readonly verdict?: string;
  readonly durability?: string;
  readonly locked?: readonly string[];
  readonly facts?: Readonly<Record<string, unknown>>;
  readonly epoch?: number;
}

export class Properties {
  readonly problems: string[] = [];
  readonly accepted = new Map<string, number>();
  /** Went ahead without the card: a crash may make the site forget them (design, section 5 item 8). */
  readonly forgettable = new Set<string>();
  private readonly tags = new Tags((text) => this.problem(text));
  private readonly waits: Waits;
  private readonly nonces = new Map<string, string>();
  /** In which life of the program its intent was recorded, by command. */
  private readonly decidedIn = new Map<string, number>();
  private readonly restored = new Set<string>();
  private readonly edgesOf = new Map<string, Edge[]>();
  private readonly asked = new Set<string>();
  private revoked = false;
  private readonly world: World;
  private readonly operators: Operators;

  constructor(world: World, operators: Operators) {
    this.world = world;
    this.operators = operators;
    this.waits = new Waits(world.boot, world.edges, (id) => this.accepted.has(id) && !this.forgettable.has(id));
  }

  problem(text: string): void {
    if (this.problems.length < 20) this.problems.push(`${text} (at ${this.world.time.nowMs} ms)`);
  }

  // --- answers -------------------------------------------------------------------------------------------------

  said(reply: Said): void {
    const order = this.operators.orders.get(reply.id);
    if (reply.durability === "memory") this.forgettable.add(reply.id);
    if (reply.phase === "accepted" && !this.accepted.has(reply.id)) this.onAccepted(reply, order);
    if (reply.phase === "rejected" && this.accepted.has(reply.id) && /^nonce\./.test(reply.code ?? ""))
      if (!this.forgettable.has(reply.id)) this.problem(`decided twice: ${reply.id} ${reply.code}`);
    if (reply.phase !== "result") return;
    if (reply.verdict === "verified" && order !== undefined) this.onVerified(order, Object.keys(reply.facts ?? {}));
    if (reply.locked !== undefined && !this.forgettable.has(reply.id)) this.tags.confirmed(reply.id);
    if (order === undefined && reply.epoch === 2) this.revoked = true;
  }

  private onAccepted({ id }: Said, order: Order | undefined): void {
    this.accepted.set(id, this.world.time.nowMs);
    if (order === undefined) {
      if (!/^(restore|ladder)-/.test(id)) this.problem(`accepted what no operator ordered: ${id}`);
      return;
    }
    // What was decided before, in a life that crashed, is owed; asked again, the site tells what it then had stored.
    const owed = this.decidedIn.get(id) !== this.world.life;
    if (this.revoked && order.by === "olaf" && !owed) this.problem(`accepted from a revoked operator: ${id}`);
    const before = this.nonces.get(order.nonce);
    if (before !== undefined && before !== id) this.problem(`one nonce, two orders: ${before} and ${id}`);
    this.nonces.set(order.nonce, id);
  }

  private onVerified(order: Order, outlets: readonly string[]): void {
    const want = order.verb === "off" && order.forMs === undefined ? "off" : "on";
    for (const outlet of outlets) {
      const { observe } = PLAN.outlets[outlet] ?? {};
      if (!observe || !("input" in observe)) {
        this.problem(`verified where nothing observes: ${outlet}`);
        continue;
      }
      const { sensed, saidAt } = this.world.hardware;
      const agreed = saidAt.get(`${observe.input} ${want === "on"}`) ?? Number.NEGATIVE_INFINITY;
      // The answer waits for its record: what the sensor says by now may be another thing.
      const lately = this.world.time.nowMs - agreed < ANSWER_MS;
      if (sensed.get(observe.input) !== (want === "on") && !lately)
        this.problem(`verified ${want}, but ${observe.input} does not say so: ${order.id}`);
    }
  }

  // --- records -------------------------------------------------------------------------------------------------

  recorded(records: readonly LedgerRecord[]): void {
    for (const record of records) {
      this.tags.recorded(record, this.world.time.nowMs);
      this.waits.recorded(record, this.world.time.nowMs);
      if (record.kind === "intent") this.onDecided(record.intent);
    }
  }

  private onDecided({ id, by }: Intent): void {
    this.decidedIn.set(id, this.world.life);
    if (this.revoked && by === "olaf") this.problem(`decided for a revoked operator: ${id}`);
  }

  // --- edges ---------------------------------------------------------------------------------------------------

  /** A relay that does not follow is a failure, and nothing to try again: it may be the contact that welds. */
  driven({ id, outlet, power, life }: Edge): void {
    const edge = `${outlet} ${power} by ${id}`;
    if (this.asked.has(`${edge} ${life}`)) this.problem(`driven again: ${edge}`);
    this.asked.add(`${edge} ${life}`);
  }

  moved(edge: Edge): void {
    const said = `${edge.outlet} ${edge.power} by ${edge.id}`;
    const mine = this.edgesOf.get(edge.id) ?? [];
    const before = mine.findLast((one) => one.outlet === edge.outlet && one.power === edge.power);
    // An owed on is paid again when a reset let the relay go in between.
    const released = this.world.hardware.releases.some((at) => before !== undefined && at >= before.atMs);
    if (before !== undefined && !(released && edge.power === "on")) this.problem(`moved twice: ${said}`);
    if (this.tags.wasUnder(edge.id, edge.outlet)) this.problem(`a locked outlet moved: ${said}`);
    if (/^restore-/.test(edge.id)) this.checkRestore(edge, said);
    else if (/^ladder-/.test(edge.id)) this.checkLadder(edge, said);
    else this.checkOrder(edge, said);
    if (edge.power === "on") this.checkOn(edge, mine, said);
    else this.checkOff(edge, said);
    this.checkInterlock(edge, said);
    this.edgesOf.set(edge.id, [...mine, edge]);
  }

  /** Once in a boot, never where the mains was there, and nothing off where nobody can tell. */
  private checkRestore(edge: Edge, said: string): void {
    const { powerWas, boot } = this.world;
    // What was begun in the boot before is owed, whatever this boot is like.
    if (!edge.id.includes(`-${boot}-`)) return;
    const key = `${boot} ${edge.outlet}`;
    const paid = this.edgesOf.get(edge.id)?.some((one) => one.outlet === edge.outlet) === true;
    if (this.restored.has(key) && !paid) this.problem(`restored twice in one boot: ${said}`);
    this.restored.add(key);
    if (powerWas === "kept") this.problem(`restored although the mains was there: ${said}`);
    if (edge.power === "off" && powerWas !== "lost") this.problem(`taken off where nobody can tell: ${said}`);
  }

  private checkLadder(edge: Edge, said: string): void {
    const lately = this.world.edges.filter(
      (one) => /^ladder-/.test(one.id) && one.power === "off" && edge.atMs - one.atMs < 3_600_000,
    );
    if (lately.length > 2 && !lately.some((one) => this.forgettable.has(one.id)))
      this.problem(`an actor beyond its rate: ${said}`);
  }

  private checkOrder(edge: Edge, said: string): void {
    const order = this.operators.orders.get(edge.id);
    if (order === undefined) return this.problem(`an edge that no operator ordered: ${said}`);
    if (!order.outlets.includes(edge.outlet)) this.problem(`an edge at another outlet than ordered: ${said}`);
    if (edge.power === "on" && order.verb === "off" && order.forMs === undefined) this.problem(`on by an off: ${said}`);
    if (edge.power === "on") return;
    if (order.verb === "on") this.problem(`off by an on: ${said}`);
    const selected = this.operators.selectedAt.get(order.nonce) ?? Number.NEGATIVE_INFINITY;
    if (edge.atMs - selected > NONCE_TTL_MS + SLACK_MS) this.problem(`moved late: ${said}, selected at ${selected}`);
    if (edge.outlet === "a4" && order.verb === "off" && order.forMs === undefined)
      this.problem(`the own path was switched off for good: ${said}`);
  }

  private checkOn(edge: Edge, mine: readonly Edge[], said: string): void {
    const others = mine.filter((one) => one.power === "on" && one.outlet !== edge.outlet && one.life === edge.life);
    const last = others.at(-1);
    if (last !== undefined && edge.atMs - last.atMs < STAGGER_MS) this.problem(`two starts at once: ${said}`);
    const off = this.lastEdge(edge.outlet, "off");
    const order = this.operators.orders.get(edge.id);
    // Where it was on since, a reset let its relay go, and the owed on is paid.
    const since = this.lastEdge(edge.outlet, "on");
    const dark = off !== undefined && (since === undefined || since.atMs <= off.atMs);
    if (order?.verb === "on" && !this.mayHurry(order)) {
      const wait = PLAN.outlets[edge.outlet]?.minOffMs ?? 0;
      if (dark && off.id !== edge.id && edge.atMs - off.atMs < wait)
        this.problem(`on before its minimum off time: ${said}`);
      this.checkAfterStart(edge, said);
    }
    this.checkOverlap(edge, mine, said);
  }

  /** Both supplies off together for the wait, unless something went wrong or somebody cancelled. */
  private checkOverlap(edge: Edge, mine: readonly Edge[], said: string): void {
    const offs = mine.filter((one) => one.power === "off");
    const last = offs.at(-1);
    const first = !mine.some((one) => one.power === "on");
    const order = this.operators.orders.get(edge.id);
    if (last === undefined || !first || last.life !== edge.life || order === undefined) return;
    if (
      order.outlets.some((name) => this.cancelWasAsked(name)) ||
      order.outlets.some((name) => this.world.hardware.everTroubled.has(name))
    )
      return;
    const waits = offs.map((one) => order.forMs ?? PLAN.outlets[one.outlet]?.offTimeMs ?? 0);
    if (edge.atMs - last.atMs < Math.max(...waits)) this.problem(`the wait was cut short: ${said}`);
  }

  private checkOff(edge: Edge, said: string): void {
    const order = this.operators.orders.get(edge.id);
    const outlet = PLAN.outlets[edge.outlet];
    // After a power cut everything came on by itself a moment ago.
    if (outlet === undefined || /^restore-/.test(edge.id) || (order !== undefined && this.mayHurry(order))) return;
    const on = this.lastEdge(edge.outlet, "on");
    if (on !== undefined && on.id !== edge.id && edge.atMs - on.atMs < outlet.minOnMs)
      this.problem(`off before its minimum on time: ${said}`);
    this.checkAfterStart(edge, said);
    const cuts = this.world.edges.filter(
      (one) => one.outlet === edge.outlet && one.power === "off" && edge.atMs - one.atMs < outlet.rate.perMs,
    );
    const forgotten = cuts.some((one) => this.forgettable.has(one.id) || this.hurried(one.id));
    if (!forgotten && cuts.length > outlet.rate.max) this.problem(`switched too often: ${said}`);
  }

  private checkAfterStart(edge: Edge, said: string): void {
    const decidedSince = this.decidedIn.get(edge.id) === edge.life;
    if (decidedSince && !this.world.hardware.everTroubled.has(edge.outlet) && this.waits.tooSoon(edge))
      this.problem(`before its minimum time, counted from the start: ${said}`);
  }

  private cancelWasAsked(outlet: string): boolean {
    return [...this.operators.orders.values()].some((one) => one.verb === "cancel" && one.outlets.includes(outlet));
  }

  private mayHurry(order: Order): boolean {
    return order.override.length > 0 && order.by === "ada";
  }

  private hurried(id: string): boolean {
    const order = this.operators.orders.get(id);
    return order !== undefined && this.mayHurry(order);
  }

  private checkInterlock(edge: Edge, said: string): void {
    for (const group of PLAN.interlocks) {
      if (edge.power !== "on" || !group.includes(edge.outlet)) continue;
      const rival = group.find((one) => one !== edge.outlet && this.world.hardware.power(one) === "on");
      if (rival !== undefined && !this.world.hardware.everTroubled.has(rival))
        this.problem(`both on: ${said}, and ${rival} is on`);
    }
  }

  private lastEdge(outlet: string, power: string): Edge | undefined {
    // The edge in hand is the last of all.
    return this.world.edges.slice(0, -1).findLast((one) => one.outlet === outlet && one.power === power);
  }

  // --- always --------------------------------------------------------------------------------------------------

  /** After every piece of work: memory is bounded, whoever asks whatever how often. */
  always(): void {
    const state = this.world.site?.state();
    if (state === undefined) return;
    if (state.selections.length > 128 || state.durable.decided.length > 128 || state.asked.length > 16)
      this.problem("something grows without end");
  }

  // --- the end -------------------------------------------------------------------------------------------------

  /** The faults have stopped: everything is settled, and the last word on each outlet holds. */
  atTheEnd(): void {
    const state = this.world.site?.state();
    if (state === undefined) return this.problem("the site did not come back");
    if (state.sequences.length > 0 || state.recordings.length > 0) this.problem("a command never ended");
    for (const one of state.durable.unsettled) this.problem(`still owed: ${one.id} ${one.verb}`);
    const last = new Map(this.world.edges.map((edge) => [edge.outlet, edge]));
    for (const edge of last.values()) this.checkLeftOff(edge);
    for (const [name, memory] of Object.entries(state.durable.outlets)) {
      const power = this.world.hardware.power(name);
      const forgotten = this.forgettable.has(last.get(name)?.id ?? "") || this.released(name);
      if (forgotten || this.world.hardware.everTroubled.has(name) || memory.commanded === "unknown") continue;
      if (memory.commanded !== power) this.problem(`${name} is ${power}, commanded ${memory.commanded}`);
    }
  }

  /** A reset let every relay go: what was commanded is then not what is, and that is told as drift. */
  private released(name: string): boolean {
    return this.world.counts.mainsLost + this.world.counts.reboots > 0 && PLAN.outlets[name] !== undefined;
  }

  private checkLeftOff(edge: Edge): void {
    const order = this.operators.orders.get(edge.id);
    const returns = order !== undefined && (order.verb !== "off" || order.forMs !== undefined);
    const broken = this.forgettable.has(edge.id) || this.world.hardware.everTroubled.has(edge.outlet);
    const on = this.world.hardware.power(edge.outlet) === "on";
    if (edge.power === "off" && returns && !broken && !on)
      this.problem(`${edge.outlet} was left off by a ${order.verb}`);
  }
}
