import type { GovernorLevel } from "./budget.ts";
import type { Durability, Failure, Override, Reply, Verdict } from "./messages.ts";
import { afterModemRecord, type ModemMemory, type ModemRecord, modemInNewBoot } from "./modem-memory.ts";
import type { Switch } from "./plan.ts";
import type { SessionRecord } from "./sessions.ts";

/**
 * The decisions of a site as records, and the state that follows from them. Running and recovering use the same
 * reducer, so what is remembered after a crash is what the records say and nothing else.
 */

interface Head {
  readonly seq: number;
  readonly boot: number;
  /** CLOCK_MONOTONIC, ms. */
  readonly mono: number;
}

export type RecordBody =
  | { kind: "start"; start: number; version: string }
  | { kind: "clock"; wall: number; trust: ClockTrust }
  /** `document` as it was signed; null where it is too large for a ledger, or an older version wrote the record. */
  | { kind: "trust"; epoch: number; sha256: string; by: string; id: string | null; document: string | null }
  /** What was asked for and is promised for a minute; `signed` here and below: the command as it was signed. */
  | { kind: "selected"; id: string; by: string; verb: string; target: string; nonce: string; signed: string }
  /** Actors of the config sign nothing. */
  | { kind: "intent"; intent: Intent; signed: string | null }
  | { kind: "unrecorded"; id: string }
  | { kind: "edge"; id: string; outlet: string; power: Switch; ok: boolean }
  | {
      kind: "outcome";
      id: string;
      verdict: Verdict;
      failures: readonly Failure[];
      outlets: Record<string, Switch | "unknown">;
      reply: Reply;
    }
  | {
      kind: "refused";
      id: string;
      by: string;
      code: string;
      target: string;
      signed: string | null;
      reply: Reply | null;
    }
  | ({
      kind: "locked";
      id: string;
      by: string;
      reason: string;
      outlets: readonly string[];
      signed: string;
      reply: Reply;
    } & LockEnd)
  | { kind: "unlocked"; id: string; by: string; outlets: readonly string[]; signed: string; reply: Reply }
  | { kind: "cancelled"; id: string; by: string; cancels: string; signed: string; reply: Reply }
  /** The site's signature over the chain of records up to the number `of`, whose hash is `sha256`. */
  | { kind: "checkpoint"; of: number; sha256: string; signed: string }
  | { kind: "ignored"; counts: Readonly<Record<string, number>> }
  | { kind: "console"; console: string; state: "up" | "down"; code: string | null; detail: string }
  | SessionRecord
  /** Declared loss: the newest of `count` gaps. All of them are in the capture ring. */
  | {
      kind: "gap";
      console: string;
      track: "rx" | "tx";
      boot: number;
      offset: number;
      cause: string;
      length: number | null;
      count: number;
    }
  /** A clean end: what was read is recorded up to these offsets. `reboot`: because the machine restarts. */
  | { kind: "stop"; start: number; heads: Readonly<Record<string, number>>; towards: "reboot" | "other" }
  | { kind: "link"; connection: string; state: "up" | "down"; detail: string }
  /** The budget of LTE: what is spent of it, in bytes, and what that means from now on. */
  | { kind: "budget"; level: GovernorLevel; used: number; of: number; per: "day" | "month" }
  /** `id`: of the command that opened it. `key`: which one signed; what else is there, at its end. */
  | ({ kind: "stream"; id: string; by: string; key: string | null; via: string; service: string } & StreamRecord)
  /** What is wrong with an uplink, or `ok`; and what was said before. */
  | { kind: "uplink"; uplink: string; verdict: string; was: string; detail: string }
  | { kind: "storage"; state: "ok" | "degraded"; detail: string }
  | ModemRecord
  /** What `powerRestore` asks for in this boot was decided. */
  | { kind: "restored"; was: PowerWas }
  | { kind: "alarm"; code: string; outlet: string; state: "raised" | "cleared"; detail: string }
  | { kind: "config"; code: string; detail: string };

interface StreamRecord {
  readonly state: "opened" | "closed";
  readonly console: string | null;
  readonly mode: string;
  /** The message that opened it, as evidence; null where the local socket's group did. */
  readonly signed?: string | null;
  readonly how?: string;
  /** From who opened it, and to. */
  readonly bytesIn?: number;
  readonly bytesOut?: number;
}

/** Whether the mains was there all the time since the boot before. */
export type PowerWas = "kept" | "lost" | "unknown";

export type LedgerRecord = Head & RecordBody;
export type ClockTrust = "none" | "rtc" | "gsm" | "ntp";

/** What was decided, before anything moves. For `on` and `cycle` it is the owed on as well. */
export interface Intent {
  readonly id: string;
  readonly by: string;
  readonly verb: "on" | "off" | "cycle";
  readonly target: string;
  readonly reason: string;
  readonly outlets: readonly string[];
  /** Those that lose power by it: they count for the rate. */
  readonly cuts: readonly string[];
  readonly waitMs: number;
  readonly durability: Durability;
  readonly override?: readonly Override[] | undefined;
}

export interface Lock {
  readonly by: string;
  readonly reason: string;
  readonly atMs: number;
  /** Where in which boot it was set; absent in what an older version wrote. */
  readonly set?: { readonly boot: number; readonly mono: number };
  /** How long it was meant to last; null: until it is taken away. */
  readonly forMs: number | null;
  /** Its end on the calendar, unix ms; null where the clock could not be trusted when it was set. */
  readonly untilWallMs: number | null;
}

/** Absent in records that an older version wrote: those locks do not end. */
export interface LockEnd {
  readonly forMs?: number | null;
  readonly untilWallMs?: number | null;
}

export interface OutletMemory {
  readonly commanded: Switch | "unknown";
  readonly commandedAtMs: number | null;
  readonly lastOnMs: number | null;
  readonly lastOffMs: number | null;
  readonly cutsMs: readonly number[];
  readonly lock: Lock | null;
}

export interface Unsettled extends Intent {
  /** When the last of its outlets went off, in this boot. */
  readonly offAtMs: number | null;
}

export interface Decided {
  readonly id: string;
  readonly by: string;
  readonly reply: Reply;
}

export interface Durable {
  readonly v: 1;
  /** Sequence number of the last record in this state. */
  readonly seq: number;
  readonly boot: number;
  readonly start: number;
  readonly outlets: Readonly<Record<string, OutletMemory>>;
  readonly unsettled: readonly Unsettled[];
  /** Newest last, at most `DECIDED_KEPT`. Forgetting is safe: without a living nonce nothing acts. */
  readonly decided: readonly Decided[];
  readonly trust: { readonly epoch: number; readonly sha256: string } | null;
  /** What the wall clock said at some mono of a boot; the last one of each of the last boots. */
  readonly clocks: readonly ClockMap[];
  /** How far the modem's ladder was climbed; absent while it stands at its foot and never was. */
  readonly modem?: ModemMemory;
  /** When actors of the config acted, mono of this boot. */
  readonly actors?: Readonly<Record<string, readonly number[]>>;
  /** The boot for which `powerRestore` was last decided. */
  readonly restoredBoot?: number;
  /** How the life before ended; absent where it did not end on purpose. */
  readonly stopped?: "reboot" | "other" | undefined;
  /** Hash of the last record's text. Whoever writes the records puts it in; nothing here looks at it. */
  readonly chain?: string;
}

export interface ClockMap {
  readonly boot: number;
  readonly mono: number;
  readonly wall: number;
  readonly trust: ClockTrust;
}

const CLOCKS_KEPT = 32;
const DECIDED_KEPT = 128;
const CUTS_KEPT = 64;
const FAILURES_KEPT = 4;

const EMPTY_MEMORY: OutletMemory = {
  commanded: "unknown",
  commandedAtMs: null,
  lastOnMs: null,
  lastOffMs: null,
  cutsMs: [],
  lock: null,
};

export const EMPTY_DURABLE: Durable = {
  v: 1,
  seq: 0,
  boot: 0,
  start: 0,
  outlets: {},
  unsettled: [],
  decided: [],
  trust: null,
  clocks: [],
};

export function memoryOf(durable: Durable, outlet: string): OutletMemory {
  return (Object.hasOwn(durable.outlets, outlet) ? durable.outlets[outlet] : undefined) ?? EMPTY_MEMORY;
}

/** The state after one more record. Records that the state already holds change nothing. */
export function applyRecord(durable: Durable, record: LedgerRecord): Durable {
  if (record.seq <= durable.seq) return durable;
  return { ...reduce(durable, record), seq: record.seq };
}

function reduce(durable: Durable, record: LedgerRecord): Durable {
  switch (record.kind) {
    case "start":
      return {
        ...afterInterruption(rebase(durable, record.boot, record.mono), record.mono),
        start: record.start,
        stopped: undefined,
      };
    case "stop":
      return { ...durable, stopped: record.towards };
    case "trust":
      return { ...durable, trust: { epoch: record.epoch, sha256: record.sha256 } };
    case "clock": {
      const { boot, mono, wall, trust } = record;
      const others = durable.clocks.filter((one) => one.boot !== boot);
      return { ...durable, clocks: [...others, { boot, mono, wall, trust }].slice(-CLOCKS_KEPT) };
    }
    case "modem-step":
    case "modem-well":
      return { ...durable, modem: afterModemRecord(durable.modem, record, record.mono) };
    case "restored":
      return { ...durable, restoredBoot: record.boot };
    case "intent":
      return applyIntent(durable, record.intent, record.mono);
    case "unrecorded":
      return applyUnrecorded(durable, record.id);
    case "edge":
      return applyEdge(durable, record.id, record.outlet, record.power, record.mono);
    case "outcome":
      return applyOutcome(durable, record.id, record.outlets, record.reply, record.mono);
    case "refused":
      return record.reply === null ? durable : decide(durable, record.id, record.by, record.reply);
    case "locked":
      return setLocks(decide(durable, record.id, record.by, record.reply), record.outlets, {
        by: record.by,
        reason: record.reason,
        atMs: record.mono,
        set: { boot: record.boot, mono: record.mono },
        forMs: record.forMs ?? null,
        untilWallMs: record.untilWallMs ?? null,
      });
    case "unlocked":
      return setLocks(decide(durable, record.id, record.by, record.reply), record.outlets, null);
    case "cancelled":
      return decide(durable, record.id, record.by, record.reply);
    default:
      return durable;
  }
}

/** Times of another boot say nothing about now, so each is taken as just passed: every minimum time starts anew. */
function rebase(durable: Durable, boot: number, nowMs: number): Durable {
  if (durable.boot === boot) return durable;
  const now = (at: number | null) => (at === null ? null : nowMs);
  const outlets = Object.fromEntries(
    Object.entries(durable.outlets).map(([name, memory]) => [
      name,
      {
        ...memory,
        commandedAtMs: now(memory.commandedAtMs),
        lastOnMs: now(memory.lastOnMs),
        lastOffMs: now(memory.lastOffMs),
        cutsMs: memory.cutsMs.map(() => nowMs),
        lock: memory.lock && { ...memory.lock, atMs: nowMs },
      },
    ]),
  );
  const actors = Object.fromEntries(
    Object.entries(durable.actors ?? {}).map(([name, acts]) => [name, acts.map(() => nowMs)]),
  );
  return {
    ...durable,
    ...modemInNewBoot(durable.modem, nowMs),
    boot,
    outlets,
    actors,
    unsettled: durable.unsettled.map((one) => ({ ...one, offAtMs: null })),
  };
}

/** Edges of a command that did not end may have gone unrecorded: each counts as just driven. */
function afterInterruption(durable: Durable, nowMs: number): Durable {
  const interrupted = durable.unsettled.flatMap((one) => one.outlets);
  let next = durable;
  for (const outlet of interrupted)
    next = remember(next, outlet, { ...memoryOf(next, outlet), lastOnMs: nowMs, lastOffMs: nowMs });
  return next;
}

function applyIntent(durable: Durable, intent: Intent, mono: number): Durable {
  let next = durable;
  for (const outlet of intent.outlets) {
    const memory = memoryOf(next, outlet);
    next = remember(next, outlet, {
      ...memory,
      commanded: intent.verb === "off" ? "off" : "on",
      commandedAtMs: mono,
      cutsMs: intent.cuts.includes(outlet) ? [...memory.cutsMs, mono].slice(-CUTS_KEPT) : memory.cutsMs,
    });
  }
  const accepted: Reply = { id: intent.id, phase: "accepted", durability: intent.durability, waitMs: intent.waitMs };
  next = rememberActor(decide(next, intent.id, intent.by, accepted), intent.by, mono);
  return { ...next, unsettled: [...next.unsettled, { ...intent, offAtMs: null }] };
}

const ACTOR = /^local:/;

function rememberActor(durable: Durable, by: string, mono: number): Durable {
  if (!ACTOR.test(by)) return durable;
  const acts = [...(durable.actors?.[by] ?? []), mono].slice(-CUTS_KEPT);
  return { ...durable, actors: { ...durable.actors, [by]: acts } };
}

/** The command went ahead before the card had its intent: whoever asks again is told so. */
function applyUnrecorded(durable: Durable, id: string): Durable {
  const durability = "memory" as const;
  return {
    ...durable,
    unsettled: durable.unsettled.map((one) => (one.id === id ? { ...one, durability } : one)),
    decided: durable.decided.map((one) => (one.id === id ? { ...one, reply: { ...one.reply, durability } } : one)),
  };
}

function applyEdge(durable: Durable, id: string, outlet: string, power: Switch, mono: number): Durable {
  const memory = memoryOf(durable, outlet);
  const moved = remember(
    durable,
    outlet,
    power === "on" ? { ...memory, lastOnMs: mono } : { ...memory, lastOffMs: mono },
  );
  if (power === "on") return moved;
  return { ...moved, unsettled: moved.unsettled.map((one) => (one.id === id ? { ...one, offAtMs: mono } : one)) };
}

function applyOutcome(
  durable: Durable,
  id: string,
  outlets: Record<string, Switch | "unknown">,
  reply: Reply,
  mono: number,
): Durable {
  const intent = durable.unsettled.find((one) => one.id === id);
  let next: Durable = { ...durable, unsettled: durable.unsettled.filter((one) => one.id !== id) };
  for (const [outlet, commanded] of Object.entries(outlets)) {
    next = remember(next, outlet, { ...memoryOf(next, outlet), commanded, commandedAtMs: mono });
  }
  return intent ? decide(next, id, intent.by, reply) : next;
}

function setLocks(durable: Durable, outlets: readonly string[], lock: Lock | null): Durable {
  return outlets.reduce((next, outlet) => remember(next, outlet, { ...memoryOf(next, outlet), lock }), durable);
}

function remember(durable: Durable, outlet: string, memory: OutletMemory): Durable {
  return { ...durable, outlets: { ...durable.outlets, [outlet]: memory } };
}

/** What is kept of an answer: the verdict. Facts grow old, and the snapshot must stay small. */
function withoutFacts(reply: Reply): Reply {
  const { facts: _, ...kept } = reply;
  const failures = Array.isArray(kept.failures) ? kept.failures.slice(0, FAILURES_KEPT) : undefined;
  return failures === undefined ? kept : { ...kept, failures };
}

function decide(durable: Durable, id: string, by: string, reply: Reply): Durable {
  const others = durable.decided.filter((one) => one.id !== id);
  return { ...durable, decided: [...others, { id, by, reply: withoutFacts(reply) }].slice(-DECIDED_KEPT) };
}
