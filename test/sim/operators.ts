import { maySwitch, type Person, SECOND_TRUST, signedBy } from "./people.ts";
import { outletsOf } from "./plan.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./time.ts";

/** Several people at work at once: they select, read, think, operate, ask again when nothing is heard. */

export interface Order {
  readonly id: string;
  readonly by: Person;
  readonly verb: string;
  readonly target: string;
  readonly outlets: readonly string[];
  readonly nonce: string;
  readonly forMs: number | undefined;
  readonly override: readonly string[];
}

interface Wish {
  readonly by: Person;
  readonly verb: string;
  readonly target: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const VERBS = ["on", "off", "cycle", "cycle", "cycle", "lock", "unlock", "cancel"];
const TARGETS = [
  "router1",
  "switch1",
  "modem1",
  "mains",
  "generator",
  "lamp",
  ":a1",
  "router1:a2",
  "router1,switch1",
  "mains,generator",
];
const REPEATS = 2;

export class Operators {
  readonly orders = new Map<string, Order>();
  /** When the site said `selected`, by nonce. */
  readonly selectedAt = new Map<string, number>();
  /** Orders that got a final answer. */
  readonly answered = new Set<string>();
  private readonly wishes = new Map<string, Wish>();
  private readonly owners = new Map<string, Person>();
  private readonly epochs: Record<string, number> = {};
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly carry: (message: Uint8Array) => void;
  calm = false;

  constructor(time: VirtualTime, random: Random, carry: (message: Uint8Array) => void) {
    this.time = time;
    this.random = random;
    this.carry = carry;
  }

  id(): string {
    return `0${Array.from({ length: 25 }, () => this.random.pick([...ALPHABET])).join("")}`;
  }

  /** Somebody wants something. Returns the id of the select. */
  wish(wish: Partial<Wish> = {}): string {
    const by = wish.by ?? this.random.pick<Person>(["alice", "alice", "ada", "olaf", "bob"]);
    const verb = wish.verb ?? this.random.pick(VERBS);
    const target = wish.target ?? this.random.pick(TARGETS);
    const made: Wish = { by, verb, target, args: wish.args ?? this.argsFor(by, verb) };
    const id = this.id();
    this.wishes.set(id, made);
    this.send(by, { kind: "select", id, verb, target, args: made.args });
    // What is locked is what somebody else wants next.
    if (verb === "lock" && !this.calm)
      this.time.after(this.random.between(20_000, 200_000), () => this.wish({ verb: "cycle", target }));
    return id;
  }

  private argsFor(by: Person, verb: string): Record<string, unknown> {
    const forMs = this.random.between(1_000, 120_000);
    return {
      ...(verb === "cycle" && this.random.chance(0.7) && { from: "any" }),
      ...(verb === "off" && this.random.chance(0.4) && { forMs }),
      ...(verb === "lock" && this.random.chance(0.5) && { forMs: 10 * forMs }),
      ...(this.random.chance(0.2) && { partial: true }),
      ...(by === "ada" && this.random.chance(0.3) && { override: ["min-time", "rate"], reason: "sim" }),
      ...(this.random.chance(0.1) && { withoutRecord: true }),
    };
  }

  pushTrust(): void {
    this.send("ada", { kind: "trust", id: this.id(), args: { document: SECOND_TRUST }, epoch: 1 });
  }

  heard(reply: { id: string; phase: string; nonce?: string; epoch?: number; code?: string }): void {
    if (reply.phase === "result" || reply.phase === "rejected") this.answered.add(reply.id);
    const order = this.orders.get(reply.id);
    // Whoever hears that it was interrupted tries once more, or wants it back.
    if (reply.code === "power.interrupted" && order !== undefined && !this.calm && this.random.chance(0.7)) {
      const { by, target } = order;
      const verb = this.random.pick(["on", "off"]);
      this.time.after(this.random.between(500, 30_000), () => this.wish({ by, verb, target, args: {} }));
    }
    if (reply.phase !== "selected" || reply.nonce === undefined || this.selectedAt.has(reply.nonce)) return;
    const wish = this.wishes.get(reply.id);
    if (wish === undefined) return;
    this.selectedAt.set(reply.nonce, this.time.nowMs);
    this.owners.set(reply.nonce, wish.by);
    this.epochs[wish.by] = reply.epoch ?? 1;
    this.operate(wish, reply.nonce);
  }

  private operate(wish: Wish, nonce: string): void {
    const { by, args } = wish;
    const id = this.order(wish, nonce);
    const body = { kind: "operate", id, nonce, args: args.withoutRecord === true ? { withoutRecord: true } : {} };
    const thinkMs = this.calm ? 500 : this.random.between(100, 70_000);
    // A client with a fault in it spends the same nonce on a second order, or is revoked in the act.
    if (!this.calm && this.random.chance(0.1)) this.time.after(thinkMs + 3_000, () => this.again(wish, nonce));
    if (!this.calm && by === "olaf" && this.random.chance(0.3))
      this.time.after(thinkMs + this.random.between(0, 1_500), () => this.pushTrust());
    for (let repeat = 0; repeat <= REPEATS; repeat++)
      this.time.after(thinkMs + repeat * 8_000, () => {
        if (repeat === 0 || !this.answered.has(id)) this.send(by, body);
      });
  }

  private again(wish: Wish, nonce: string): void {
    this.send(wish.by, { kind: "operate", id: this.order(wish, nonce), nonce });
  }

  /** An order with an id of its own; what was selected decides, also for a second one on its nonce. */
  private order({ by, verb, target, args }: Wish, nonce: string): string {
    const id = this.id();
    const forMs = typeof args.forMs === "number" ? args.forMs : undefined;
    const override = Array.isArray(args.override) ? args.override.map(String) : [];
    const order: Order = { id, by, verb, target, outlets: outletsOf(target), nonce, forMs, override };
    if (maySwitch(by)) this.orders.set(id, order);
    return id;
  }

  /** A stranger's key, another's name, a viewer's order. */
  forge(): void {
    const nonce = [...this.selectedAt.keys()].at(-1) ?? this.random.hex(16);
    const body = { kind: "operate", id: this.id(), nonce };
    const kind = this.random.between(0, 4);
    if (kind === 0) return this.send("mallory", { ...body, by: "alice" });
    if (kind === 1) return this.send("bob", body);
    if (kind === 2) return this.send("bob", { ...body, by: "alice" });
    // Another operator's selection is not his to use.
    const other = (["alice", "ada"] as const).find((one) => one !== this.owners.get(nonce));
    if (other !== undefined) this.send(other, body);
  }

  private send(by: Person, body: Readonly<Record<string, unknown>>): void {
    const epoch = this.epochs[by] ?? 1;
    this.carry(signedBy(by, { v: 1, site: "sim/one", by, epoch, ...body }));
  }
}
