import type { Allowances } from "./allowance.ts";
import type { BudgetState } from "./budget.ts";
import type { Code } from "./codes.ts";
import type { Connection, ConsoleLine, Effect, MachineFinding, ReplyTo } from "./events.ts";
import type { GapLimits } from "./gaps.ts";
import {
  applyRecord,
  type ClockTrust,
  type Durable,
  EMPTY_DURABLE,
  type Intent,
  type LedgerRecord,
  type RecordBody,
} from "./ledger.ts";
import type { Look } from "./looks.ts";
import type { Reply } from "./messages.ts";
import type { ModemState } from "./modem.ts";
import type { SitePlan } from "./plan.ts";
import type { Sender } from "./refusals.ts";
import type { Selections } from "./selection.ts";
import type { Sequence } from "./sequence.ts";
import { NO_SESSIONS, type Sessions } from "./sessions.ts";
import type { OpenStream } from "./streams.ts";
import type { TrustDocument } from "./trust.ts";
import type { UplinkTrack } from "./uplink.ts";

/** The whole state of a site's decisions, and the small tools with which a step changes it. */

export interface Reading {
  readonly value: boolean;
  readonly atMs: number;
}

/** An accepted command whose intent is on its way to the card. */
export interface Recording {
  readonly token: number;
  readonly intent: Intent;
  readonly via: ReplyTo;
  readonly deadlineMs: number;
  /** True when it may go ahead without the card. */
  readonly mayForget: boolean;
  /** Of the trust under which it was asked. */
  readonly epoch: number | undefined;
}

/** An answer whose record is on its way to the card. */
export interface Answering {
  readonly token: number;
  readonly via: ReplyTo;
  readonly reply: Reply;
  readonly deadlineMs: number;
}

/** Whether an outlet's sensor disagrees with its line, as it is told. */
export interface Mismatch {
  readonly raised: boolean;
  /** Since when it has been the other way, mono ms; null while it is not. */
  readonly changingMs: number | null;
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
  readonly text: string;
  readonly by: string;
  readonly sender: Sender;
}

export interface Asked {
  readonly token: number;
  readonly sender: Sender;
  /** What was asked for, as a refusal names it. */
  readonly target: string;
}

/** A part of the published state, with how often it changed. */
export interface StateItem {
  readonly rev: number;
  readonly json: string;
  readonly item: Readonly<Record<string, unknown>>;
}

export interface SiteState {
  readonly plan: SitePlan;
  readonly boot: number;
  readonly start: number;
  readonly version: string;
  readonly siteKey: string;
  readonly login: { readonly user: string; readonly hostKey: string } | null;
  readonly configSha256: string;
  readonly tracks: Readonly<Record<string, { readonly boot: number; readonly next: number }>>;
  readonly durable: Durable;
  readonly trust: TrustDocument | null;
  readonly selections: Selections;
  readonly recordings: readonly Recording[];
  readonly answers: readonly Answering[];
  readonly sequences: readonly Sequence[];
  readonly lines: Readonly<Record<number, Reading>>;
  readonly inputs: Readonly<Record<string, Reading>>;
  /** Last sign of life, mono ms: `console router1`, `address 10.0.0.2`. */
  readonly heard: Readonly<Record<string, number>>;
  readonly mismatches: Readonly<Record<string, Mismatch>>;
  readonly consoles: Readonly<Record<string, ConsoleState>>;
  readonly sessions: Sessions;
  readonly links: Readonly<Partial<Record<Connection, LinkState>>>;
  readonly uplinks: Readonly<Partial<Record<"primary" | "lte", UplinkTrack>>>;
  /** Null until its driver has spoken. */
  readonly modem: ModemState | null;
  readonly storage: { readonly state: "ok" | "degraded"; readonly detail: string };
  /** What is not well with the machine itself. */
  readonly machine: readonly MachineFinding[];
  readonly clock: { readonly wallMs: number; readonly monoMs: number; readonly trust: ClockTrust } | null;
  /** Null where nothing counts. */
  readonly budget: BudgetState | null;
  readonly receivers: readonly ReceiverState[];
  /** Since when each connection was up when it last brought an acknowledgement. */
  readonly acksSeen: Readonly<Partial<Record<Connection, number | undefined>>>;
  readonly trustChange: TrustChange | null;
  readonly asked: readonly Asked[];
  readonly looks: readonly Look[];
  /** What each operator may still select, and have refused, before it is only counted. */
  readonly selects: Allowances;
  readonly refusals: Allowances;
  /** The last refusals that are records: the same message again, over another connection, is the same refusal. */
  readonly told: readonly string[];
  readonly streams: readonly OpenStream[];
  /** Ids of commands that opened a stream in this life, newest last. */
  readonly streamsUsed: readonly string[];
  readonly ignored: Readonly<Record<string, number>>;
  readonly ignoredFlushMs: number | null;
  readonly gaps: GapLimits;
  readonly items: Readonly<Record<string, StateItem>>;
  /** The items as they were last published to all. */
  readonly shown: Readonly<Record<string, StateItem>>;
  /** Records that were not published yet. */
  readonly untold: readonly LedgerRecord[];
  /** When what changed is published, mono ms; null: nothing did. */
  readonly settlesMs: number | null;
  readonly nextToken: number;
}

const EMPTY_PLAN: SitePlan = {
  fleet: "",
  site: "",
  outlets: {},
  devices: {},
  consoles: [],
  ownBranch: { declared: false, controller: [], path: [] },
  interlocks: [],
  actors: {},
};

export const EMPTY_STATE: SiteState = {
  plan: EMPTY_PLAN,
  boot: 0,
  start: 0,
  version: "",
  siteKey: "",
  login: null,
  configSha256: "",
  tracks: {},
  durable: EMPTY_DURABLE,
  trust: null,
  selections: [],
  recordings: [],
  answers: [],
  sequences: [],
  lines: {},
  inputs: {},
  heard: {},
  mismatches: {},
  consoles: {},
  sessions: NO_SESSIONS,
  links: {},
  uplinks: {},
  modem: null,
  storage: { state: "ok", detail: "" },
  clock: null,
  budget: null,
  receivers: [],
  acksSeen: {},
  trustChange: null,
  asked: [],
  looks: [],
  selects: new Map(),
  refusals: new Map(),
  told: [],
  streams: [],
  streamsUsed: [],
  machine: [],
  ignored: {},
  ignoredFlushMs: null,
  gaps: {},
  items: {},
  shown: {},
  untold: [],
  settlesMs: null,
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
    this.set({ untold: [...this.state.untold, ...records] });
    if (bodies.some((body) => body.kind === "outcome")) this.effects.push({ type: "checkpoint" });
  }

  reply(via: ReplyTo, reply: Reply): void {
    this.effects.push({ type: "reply", via, reply });
  }
}
