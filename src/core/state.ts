import type { Code } from "./codes.ts";
import type { Connection, ConsoleLine, Effect, MachineFinding, ReplyTo } from "./events.ts";
import type { GapLimits } from "./gaps.ts";
import {
  applyRecord,
  type Durable,
  EMPTY_DURABLE,
  type Intent,
  type LedgerRecord,
  memoryOf,
  type RecordBody,
} from "./ledger.ts";
import type { Fact, OutletFacts, Reply } from "./messages.ts";
import { energisedFor, type OutletPlan, powerOf, type SitePlan, type Switch } from "./plan.ts";
import type { Selections } from "./selection.ts";
import type { Sequence } from "./sequence.ts";
import type { TrustDocument } from "./trust.ts";

/** The whole state of a site's decisions, and the small tools with which a step changes it. */

export interface Reading {
  readonly value: boolean;
  readonly atMs: number;
}

/** An accepted command whose intent is on its way to the card. */
export interface Recording {
  readonly token: number;
  readonly intent: Intent;
  readonly via: Connection;
  readonly deadlineMs: number;
  /** True when it may go ahead without the card. */
  readonly mayForget: boolean;
}

export interface ConsoleState {
  readonly state: "up" | "down";
  readonly code: Code | null;
  readonly detail: string;
  readonly sinceMs: number;
  readonly line?: ConsoleLine;
}

export interface LinkState {
  readonly state: "up" | "down";
  /** Which broker, or why not. */
  readonly detail: string;
  readonly sinceMs: number;
}

/** Who stores what the site ships. */
export interface ReceiverState {
  readonly name: string;
  /** The operator whose key signed. */
  readonly by: string;
  readonly via: Connection;
  /** Mono of its last acknowledgement; null when only the broker's copy of one is known. */
  readonly heardMs: number | null;
}

export interface TrustChange {
  readonly token: number;
  readonly document: TrustDocument;
  readonly id: string;
  readonly by: string;
  readonly via: Connection;
}

export interface Asked {
  readonly token: number;
  readonly id: string;
  readonly via: Connection;
}

export interface SiteState {
  readonly plan: SitePlan;
  readonly boot: number;
  readonly start: number;
  readonly version: string;
  readonly siteKey: string;
  readonly configSha256: string;
  readonly tracks: Readonly<Record<string, { readonly boot: number; readonly next: number }>>;
  readonly durable: Durable;
  readonly trust: TrustDocument | null;
  readonly selections: Selections;
  readonly recordings: readonly Recording[];
  readonly sequences: readonly Sequence[];
  /** Token of the edge under way, by command id. */
  readonly drives: Readonly<Record<string, number>>;
  readonly lines: Readonly<Record<number, Reading>>;
  readonly inputs: Readonly<Record<string, Reading>>;
  readonly consoles: Readonly<Record<string, ConsoleState>>;
  readonly links: Readonly<Partial<Record<Connection, LinkState>>>;
  readonly storage: { readonly state: "ok" | "degraded"; readonly detail: string };
  /** What is not well with the machine itself. */
  readonly machine: readonly MachineFinding[];
  readonly clock: { readonly wallMs: number; readonly monoMs: number; readonly trust: string } | null;
  readonly receivers: readonly ReceiverState[];
  /** Since when each connection was up when it last brought an acknowledgement. */
  readonly acksSeen: Readonly<Partial<Record<Connection, number | undefined>>>;
  readonly trustChange: TrustChange | null;
  readonly asked: readonly Asked[];
  readonly ignored: Readonly<Record<string, number>>;
  readonly ignoredFlushMs: number | null;
  readonly gaps: GapLimits;
  readonly items: Readonly<Record<string, { rev: number; json: string }>>;
  readonly nextToken: number;
}

const EMPTY_PLAN: SitePlan = {
  fleet: "",
  site: "",
  outlets: {},
  devices: {},
  consoles: [],
  ownBranch: { declared: false, controller: [], path: [] },
};

export const EMPTY_STATE: SiteState = {
  plan: EMPTY_PLAN,
  boot: 0,
  start: 0,
  version: "",
  siteKey: "",
  configSha256: "",
  tracks: {},
  durable: EMPTY_DURABLE,
  trust: null,
  selections: [],
  recordings: [],
  sequences: [],
  drives: {},
  lines: {},
  inputs: {},
  consoles: {},
  links: {},
  storage: { state: "ok", detail: "" },
  clock: null,
  receivers: [],
  acksSeen: {},
  trustChange: null,
  asked: [],
  machine: [],
  ignored: {},
  ignoredFlushMs: null,
  gaps: {},
  items: {},
  nextToken: 1,
};

/** One step in the making: the state so far and what to do. Everything in it is replaced, never mutated in place. */
export class Turn {
  state: SiteState;
  readonly nowMs: number;
  readonly effects: Effect[] = [];

  constructor(state: SiteState, nowMs: number) {
    this.state = state;
    this.nowMs = nowMs;
  }

  set(change: Partial<SiteState>): void {
    this.state = { ...this.state, ...change };
  }

  token(): number {
    const token = this.state.nextToken;
    this.set({ nextToken: token + 1 });
    return token;
  }

  /** Writes records: the state takes them now, the card when it can. With `token` the answer comes back as an event. */
  append(bodies: readonly RecordBody[], options: { sync: boolean; token?: number }): void {
    const records = bodies.map((body): LedgerRecord => {
      const record = { seq: this.state.durable.seq + 1, boot: this.state.boot, mono: this.nowMs, ...body };
      this.set({ durable: applyRecord(this.state.durable, record) });
      return record;
    });
    const { durable } = this.state;
    this.effects.push({ type: "append", records, durable, sync: options.sync, token: options.token ?? null });
    this.effects.push({ type: "publish-events", records });
  }

  reply(via: ReplyTo, reply: Reply): void {
    this.effects.push({ type: "reply", via, reply });
  }
}

export function drivenPower(state: SiteState, outlet: OutletPlan): Switch | "unknown" {
  const line = state.lines[outlet.relay];
  return line === undefined ? "unknown" : powerOf(outlet.contact, line.value);
}

export function observedPower(state: SiteState, name: string): Switch | "unknown" {
  const outlet = state.plan.outlets[name];
  const reading = outlet?.observe ? state.inputs[outlet.observe.input] : undefined;
  if (reading === undefined) return "unknown";
  return reading.value ? "on" : "off";
}

export function relayLevel(outlet: OutletPlan, power: Switch): boolean {
  return energisedFor(outlet.contact, power);
}

export function factsOf(state: SiteState, name: string): OutletFacts {
  const outlet = state.plan.outlets[name];
  const none: Fact = { value: "unknown", atMs: null, source: "none" };
  if (outlet === undefined) return { commanded: none, driven: none, observed: none };
  const memory = memoryOf(state.durable, name);
  const line = state.lines[outlet.relay];
  const input = outlet.observe ? state.inputs[outlet.observe.input] : undefined;
  return {
    commanded: { value: memory.commanded, atMs: memory.commandedAtMs, source: "ledger" },
    driven: line
      ? { value: powerOf(outlet.contact, line.value), atMs: line.atMs, source: `relay ${outlet.relay}` }
      : none,
    observed: input
      ? { value: input.value ? "on" : "off", atMs: input.atMs, source: `input ${outlet.observe?.input}` }
      : none,
  };
}

export function factsOfAll(state: SiteState, outlets: readonly string[]): Record<string, OutletFacts> {
  return Object.fromEntries(outlets.map((outlet) => [outlet, factsOf(state, outlet)]));
}

/** The command in execution on an outlet, if any. */
export function busyWith(state: SiteState, outlet: string): string | null {
  const running = state.sequences.find((one) => one.intent.outlets.includes(outlet));
  const recording = state.recordings.find((one) => one.intent.outlets.includes(outlet));
  return running?.intent.id ?? recording?.intent.id ?? null;
}
