import type { Connection, Effect, Event } from "../../src/core/events.ts";
import { applyRecord, type Durable, EMPTY_DURABLE, type LedgerRecord } from "../../src/core/ledger.ts";
import type { Command, PowerArgs, Reply } from "../../src/core/messages.ts";
import type { OutletPlan, SitePlan } from "../../src/core/plan.ts";
import { stepSite } from "../../src/core/site.ts";
import { EMPTY_STATE, type SiteState } from "../../src/core/state.ts";
import type { Offer, TrustDocument } from "../../src/core/trust.ts";

/** The pure decision with edges that answer at once, and a clock that is moved by hand. */

export function outlet(name: string, relay: number, more: Partial<OutletPlan> = {}): OutletPlan {
  return {
    name,
    relay,
    contact: "nc",
    offTimeMs: 5_000,
    onDelayMs: 0,
    offDelayMs: 0,
    powerRestore: "as-wired",
    minOffMs: 2_000,
    minOnMs: 10_000,
    rate: { max: 6, perMs: 3_600_000 },
    observe: null,
    ...more,
  };
}

export const PLAN: SitePlan = {
  fleet: "acme",
  site: "one",
  outlets: {
    a1: outlet("a1", 1),
    a2: outlet("a2", 2, { offTimeMs: 10_000 }),
    a3: outlet("a3", 3),
    a4: outlet("a4", 4, { contact: "no" }),
    a5: outlet("a5", 5, { observe: { input: "s5", withinMs: 1_000 } }),
  },
  devices: {
    router1: { name: "router1", outlets: ["a1", "a2"], consoles: ["router1"], after: [], address: null },
    switch1: { name: "switch1", outlets: ["a3"], consoles: [], after: ["router1"], address: null },
    nas1: { name: "nas1", outlets: ["a4"], consoles: [], after: [], address: null },
    cam1: { name: "cam1", outlets: ["a5"], consoles: [], after: [], address: null },
    dumb1: { name: "dumb1", outlets: [], consoles: [], after: [], address: null },
  },
  consoles: ["router1"],
  ownBranch: { declared: true, controller: [], path: ["a3"] },
  interlocks: [],
  actors: {},
};

export const TRUST: TrustDocument = {
  fleet: "acme",
  epoch: 3,
  roots: { threshold: 1, keys: ["root"] },
  operators: [
    { name: "alice", keys: ["key-alice"], roles: ["operator"] },
    { name: "vera", keys: ["key-vera"], roles: ["viewer"] },
    { name: "ruth", keys: ["key-ruth"], roles: ["routers"] },
    { name: "rex", keys: ["key-rex"], roles: ["operator"] },
  ],
  roles: { routers: { verbs: ["view", "power-cycle"], targets: ["one/router*"] } },
  revoked: ["rex"],
  sha256: "t3",
};

export class Bench {
  state: SiteState = EMPTY_STATE;
  nowMs = 100_000;
  readonly replies: Reply[] = [];
  readonly records: LedgerRecord[] = [];
  readonly drives: { relay: number; energised: boolean; atMs: number }[] = [];
  readonly effects: Effect[] = [];
  lines: Record<number, boolean> = { 1: false, 2: false, 3: false, 4: true, 5: false };
  /** What the card does with an append that asks to be told: at once, never, or refuse. */
  card: "ok" | "stalls" | "refuses" = "ok";
  wakeAtMs: number | null = null;
  power: "kept" | "lost" | "unknown" = "unknown";
  /** Null: the relay bank never answers. */
  onDrive: (relay: number, energised: boolean) => { energised: boolean | null; fault: string | null } | null = (
    _,
    energised,
  ) => ({
    energised,
    fault: null,
  });
  private nextId = 0;
  private nextNonce = 0;
  readonly plan: SitePlan;

  constructor(plan: SitePlan = PLAN, durable: Durable = EMPTY_DURABLE, trust: TrustDocument | null = TRUST) {
    this.plan = plan;
    this.start(durable, trust);
  }

  start(durable: Durable, trust: TrustDocument | null = TRUST, boot = 7): void {
    this.state = EMPTY_STATE;
    const start = durable.boot === boot ? durable.start + 1 : 1;
    this.emit({
      type: "started",
      plan: this.plan,
      durable,
      boot,
      start,
      version: "test",
      siteKey: "",
      configSha256: "",
      tracks: {},
      lines: { ...this.lines },
      power: this.power,
      trust: trust ? [{ document: trust, signers: ["root"] }] : [],
      notes: [],
    });
  }

  emit(event: Event): void {
    const queue: Event[] = [event];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const step = stepSite(this.state, next, this.nowMs);
      this.state = step.state;
      for (const effect of step.effects) queue.push(...this.perform(effect));
    }
  }

  private perform(effect: Effect): Event[] {
    this.effects.push(effect);
    switch (effect.type) {
      case "append":
        this.records.push(...effect.records);
        // A write goes to the page cache; it is the wait for the medium that takes long.
        if (effect.token === null || (this.card === "stalls" && effect.sync)) return [];
        return [{ type: "append-finished", token: effect.token, ok: this.card === "ok" }];
      case "drive": {
        this.drives.push({ relay: effect.relay, energised: effect.energised, atMs: this.nowMs });
        const result = this.onDrive(effect.relay, effect.energised);
        if (result === null) return [];
        if (result.energised !== null) this.lines[effect.relay] = result.energised;
        return [{ type: "relay-driven", token: effect.token, ...result }];
      }
      case "reply":
        this.replies.push(effect.reply);
        return [];
      case "wake":
        this.wakeAtMs = effect.atMs;
        return [];
      default:
        return [];
    }
  }

  /** Lets time pass, waking the site when it asked for it. */
  pass(ms: number): void {
    const until = this.nowMs + ms;
    while (this.wakeAtMs !== null && this.wakeAtMs <= until) {
      this.nowMs = Math.max(this.nowMs, this.wakeAtMs);
      this.emit({ type: "tick" });
    }
    this.nowMs = until;
  }

  id(): string {
    return `0${String(++this.nextId).padStart(25, "0")}`;
  }

  private send(
    command: Command,
    by: string,
    options: Partial<{ signers: string[]; signatures: number; via: Connection }>,
  ): Reply {
    const before = this.replies.length;
    this.emit({
      type: "command-arrived",
      via: options.via ?? "lte",
      command,
      signers: options.signers ?? [`key-${by}`],
      signatures: options.signatures ?? 1,
      signed: JSON.stringify(command),
      offer: null,
      entropy: `nonce-${++this.nextNonce}`,
    });
    return this.replies[before] ?? { id: "", phase: "rejected" };
  }

  private head(by: string, id = this.id()) {
    return { v: 1 as const, id, site: "acme/one", by, epoch: 3 };
  }

  select(
    verb: "on" | "off" | "cycle" | "cancel" | "lock" | "unlock",
    target: string,
    args: PowerArgs = {},
    by = "alice",
  ): Reply {
    return this.send({ ...this.head(by), kind: "select", verb, target, args }, by, {});
  }

  operate(
    nonce: unknown,
    more: Partial<Extract<Command, { kind: "operate" }>> & Partial<{ signers: string[]; signatures: number }> = {},
  ): Reply {
    const by = more.by ?? "alice";
    const { signers, signatures, ...fields } = more;
    const command: Command = {
      ...this.head(by),
      kind: "operate",
      verb: null,
      target: null,
      args: {},
      nonce: String(nonce),
      ...fields,
    };
    return this.send(command, by, { ...(signers && { signers }), ...(signatures !== undefined && { signatures }) });
  }

  /** Select and operate in one go. */
  order(verb: "on" | "off" | "cycle" | "cancel" | "lock" | "unlock", target: string, args: PowerArgs = {}): Reply {
    return this.operate(this.select(verb, target, args).nonce, { args });
  }

  ask(
    command: Partial<Command> & { kind: Command["kind"] },
    by = "alice",
    options: Parameters<Bench["send"]>[2] = {},
  ): Reply {
    return this.send({ ...this.head(by), ...command } as Command, by, options);
  }

  /** A trust document that arrives as a command; whoever brings it need not be known. */
  offerTrust(offer: Offer & { envelope: string }, via: "lte" | "local"): void {
    const command = { v: 1, id: this.id(), site: "acme/one", by: "x", epoch: offer.document.epoch } as const;
    this.emit({
      type: "command-arrived",
      via,
      command: { ...command, kind: "trust", args: { document: offer.envelope } },
      signers: [],
      signatures: 0,
      signed: "",
      offer,
      entropy: "n",
    });
  }

  /** What a start after a crash finds: the records that reached the card. */
  durable(kept = this.records.length): Durable {
    return this.records.slice(0, kept).reduce(applyRecord, EMPTY_DURABLE);
  }

  last(): Reply | undefined {
    return this.replies.at(-1);
  }
}
