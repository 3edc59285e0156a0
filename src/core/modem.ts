import { onActorOrdered } from "./actors.ts";
import type { Event } from "./events.ts";
import { drivenPower } from "./facts.ts";
import { type LadderStep, nextStep, REST_MS, STEPS, type StepRefusal } from "./ladder.ts";
import { EMPTY_MODEM, type ModemMemory } from "./modem-memory.ts";
import { devicesFedBy, outletNamed } from "./plan.ts";
import { addSample, judge, median, type SignalSample } from "./signal.ts";
import type { SiteState, Turn } from "./state.ts";

/**
 * The modem: what is wrong with it, and what a site does about that by itself, one step at a time. Every step is a
 * record; the link working again ends it.
 */

/** What the modem's driver tells. Null: not known, or not there. */
export interface ModemReport {
  readonly driver: string;
  /** `missing`: ModemManager is there and has no such modem; `unmanaged`: nobody can be asked. */
  readonly presence: "present" | "missing" | "unmanaged";
  /** As ModemManager names it: `registered`, `connected`, `failed`. */
  readonly state: string | null;
  /** Why it failed, or is not the one that is meant. */
  readonly reason: string | null;
  /** `sim-pin`, `sim-puk`. Null: nothing is asked of it. */
  readonly lock: string | null;
  readonly imei: string | null;
  readonly model: string | null;
  readonly revision: string | null;
  readonly registration: string | null;
  readonly operator: string | null;
  readonly technology: readonly string[];
  readonly iccid: string | null;
  readonly slot: { readonly active: number; readonly count: number } | null;
  readonly signal: SignalSample | null;
}

export type ModemTrouble =
  | "none"
  | "unmanaged"
  | "missing"
  | "sim-locked"
  | "sim-missing"
  | "failed"
  | "denied"
  | "searching"
  | "no-bearer"
  | "no-link";

export interface ModemState {
  readonly report: ModemReport;
  readonly trouble: ModemTrouble;
  /** Since when the trouble is this one, mono ms. */
  readonly sinceMs: number;
  /** Since when there is any, mono ms. */
  readonly badSinceMs: number;
  /** The trouble that was last a record. */
  readonly recorded: ModemTrouble | null;
  readonly samples: readonly { readonly atMs: number; readonly signal: SignalSample }[];
  /** What others were last told: raw values would be published anew with each sample. */
  readonly told: SignalSample | null;
  readonly alarm: boolean;
  /** The step under way. */
  readonly token: number | null;
  /** When the link came back; null while it is away, or when that was long ago. */
  readonly wellSinceMs: number | null;
}

export const MODEM_ACTOR = "local:modem-ladder";

/** A trouble that goes by itself within this is not worth a record. */
const SETTLED_MS = 30_000;
/** The link has to hold so long before a step has helped. */
const HELPED_MS = 10 * 60_000;
/** Of what is told to others, dB. */
const DEADBAND_DB = 3;
/** The least time that a modem's own supply stays off: capacitors. */
const POWER_OFF_MS = 10_000;

type Told = Extract<Event, { type: "modem-told" }>;
type Stepped = Extract<Event, { type: "modem-stepped" }>;

export function onModemTold(turn: Turn, { report }: Told): void {
  if (turn.state.plan.modem == null) return;
  const before = turn.state.modem;
  const samples = addSample(before?.samples ?? [], report.signal, turn.nowMs);
  const middle = median(samples, turn.nowMs);
  const alarm = judge(before?.alarm ?? false, middle);
  const told = report.signal === null ? null : withDeadband(before?.told ?? null, middle ?? report.signal);
  const trouble = troubleOf(report, linkOf(turn.state));
  turn.set({
    modem: {
      ...{ report, samples, told, alarm, trouble },
      sinceMs: before?.trouble === trouble ? before.sinceMs : turn.nowMs,
      badSinceMs: badSince(before, turn.nowMs),
      recorded: before?.recorded ?? null,
      token: before?.token ?? null,
      wellSinceMs: before?.wellSinceMs ?? null,
    },
  });
  if (alarm !== (before?.alarm ?? false))
    turn.append([{ kind: "modem-signal", state: alarm ? "raised" : "cleared", detail: signalText(middle) }], {
      sync: false,
    });
}

/** One that goes from one trouble to the next and back has been in trouble all the time. */
function badSince(before: ModemState | null | undefined, nowMs: number): number {
  return before == null || before.trouble === "none" ? nowMs : before.badSinceMs;
}

function withDeadband(before: SignalSample | null, now: SignalSample): SignalSample {
  if (before === null) return now;
  const moved = (["rssi", "rsrp", "rsrq", "snr"] as const).some((name) => {
    const [was, is] = [before[name], now[name]];
    return (was === null) !== (is === null) || Math.abs((was ?? 0) - (is ?? 0)) >= DEADBAND_DB;
  });
  return moved ? now : before;
}

function signalText(signal: SignalSample | null): string {
  return Object.entries(signal ?? {})
    .flatMap(([name, value]) => (value === null ? [] : [`${name} ${value}`]))
    .join(", ");
}

/** Whether the connection over LTE carries messages. Null: nothing has tried yet. */
function linkOf(state: SiteState): boolean | null {
  const link = state.links.lte;
  return link === undefined ? null : link.state === "up";
}

const LOCKED = new Set(["sim-pin", "sim-puk", "sim-pin2", "sim-puk2"]);

/** The first thing that stands between the modem and a working link. */
function troubleOf(report: ModemReport, link: boolean | null): ModemTrouble {
  // Whatever a driver says: what carries messages works.
  if (link === true) return "none";
  if (report.presence !== "present") return report.presence;
  if (report.state === "locked" || LOCKED.has(report.lock ?? "")) return "sim-locked";
  if (report.state === "failed") return report.reason === "sim-missing" ? "sim-missing" : "failed";
  if (report.registration === "denied") return "denied";
  if (report.state === "connected") return link === null ? "none" : "no-link";
  return report.registration === "home" || report.registration === "roaming" ? "no-bearer" : "searching";
}

/** With each event: what is due of the ladder. */
export function tendModem(turn: Turn): void {
  const modem = current(turn);
  if (modem === null) return;
  record(turn, modem);
  if (modem.trouble === "none") return calm(turn, modem);
  if (modem.wellSinceMs !== null) turn.set({ modem: { ...modem, wellSinceMs: null } });
  climb(turn, turn.state.modem ?? modem);
}

/** The link comes and goes without a word of the driver. */
function current(turn: Turn): ModemState | null {
  const { modem } = turn.state;
  if (modem === null) return null;
  const trouble = troubleOf(modem.report, linkOf(turn.state));
  if (trouble === modem.trouble) return modem;
  const next = { ...modem, trouble, sinceMs: turn.nowMs, badSinceMs: badSince(modem, turn.nowMs) };
  turn.set({ modem: next });
  return next;
}

function record(turn: Turn, modem: ModemState): void {
  if (modem.recorded === modem.trouble || turn.nowMs - modem.sinceMs < SETTLED_MS) return;
  turn.set({ modem: { ...modem, recorded: modem.trouble } });
  const { report, trouble } = modem;
  const detail = [report.model, report.state, report.reason, report.registration, report.operator];
  const said = detail.filter((one) => one !== null && one !== "").join(", ");
  turn.append([{ kind: "modem", trouble, detail: said }], { sync: false });
}

function memoryOf(state: SiteState): ModemMemory {
  return state.durable.modem ?? EMPTY_MODEM;
}

/** It works: after a while the ladder is at its foot again, and it is said which step helped. */
function calm(turn: Turn, modem: ModemState): void {
  const memory = memoryOf(turn.state);
  if (memory.last === null) return;
  const { wellSinceMs } = modem;
  if (wellSinceMs === null) return turn.set({ modem: { ...(turn.state.modem ?? modem), wellSinceMs: turn.nowMs } });
  if (turn.nowMs - wellSinceMs < HELPED_MS) return;
  turn.set({ modem: { ...(turn.state.modem ?? modem), wellSinceMs: null } });
  turn.append([{ kind: "modem-well", after: memory.last }], { sync: false });
}

function climb(turn: Turn, modem: ModemState): void {
  const found = next(turn.state, modem, turn.nowMs);
  if (found === null || turn.nowMs < found.atMs) return;
  if (found.step === "rest") return rest(turn, modem);
  take(turn, modem, found.step);
}

function rest(turn: Turn, modem: ModemState): void {
  const { rounds } = memoryOf(turn.state);
  const detail = `every step was tried and none helped; again in ${REST_MS(rounds + 1) / 60_000} min`;
  turn.append([{ kind: "modem-step", step: "rest", trouble: modem.trouble, result: "done", detail }], { sync: true });
}

function next(state: SiteState, modem: ModemState, nowMs: number) {
  return nextStep({
    nowMs,
    trouble: modem.trouble,
    sinceMs: modem.badSinceMs,
    memory: memoryOf(state),
    doubtful: modem.trouble === "no-link" && state.links.primary?.state !== "up",
    refused: (step) => refusalOf(state, modem, step),
  });
}

/** Why a step cannot be taken here and now; null where it can. */
function refusalOf(state: SiteState, { report }: ModemState, step: LadderStep): StepRefusal | null {
  const plan = state.plan.modem;
  if (step === "power") return powerRefusal(state);
  if (step === "profile") return (plan?.profiles ?? 0) > 1 || (report.slot?.count ?? 0) > 1 ? null : "not-here";
  return step === "reboot" ? rebootRefusal(state) : null;
}

/** What else hangs on the modem's outlet is not taken down by itself while the site can be reached another way. */
function powerRefusal(state: SiteState): StepRefusal | null {
  const outlet = state.plan.modem?.outlet ?? null;
  if (outlet === null) return "not-here";
  const feedsOthers = devicesFedBy(state.plan, [outlet]).length > 0;
  return feedsOthers && state.links.primary?.state === "up" ? "not-now" : null;
}

/** A restart lets every line go: only where no relay is held, nothing is owed, and nobody can reach the site anyway. */
function rebootRefusal(state: SiteState): StepRefusal | null {
  if (state.links.primary?.state === "up") return "not-now";
  if (state.storage.state !== "ok" || state.durable.unsettled.length > 0) return "not-now";
  const held = Object.values(state.plan.outlets).some(({ relay }) => state.lines[relay]?.value !== false);
  return held ? "not-now" : null;
}

function take(turn: Turn, modem: ModemState, step: LadderStep): void {
  const low = turn.state.machine.some((one) => one.check === "voltage") ? "the supply of the Pi is or was too low" : "";
  turn.append([{ kind: "modem-step", step, trouble: modem.trouble, result: "begun", detail: low }], { sync: true });
  if (step === "power") return orderPower(turn);
  const token = turn.token();
  turn.set({ modem: { ...(turn.state.modem ?? modem), token } });
  turn.effects.push({ type: "modem-step", token, step });
}

/** Through the same checks as everybody: what is refused is a record with its code. */
function orderPower(turn: Turn): void {
  const name = turn.state.plan.modem?.outlet ?? "";
  const dark = drivenPower(turn.state, name) === "off";
  onActorOrdered(turn, {
    type: "actor-ordered",
    id: orderId(turn.state),
    actor: MODEM_ACTOR,
    verb: dark ? "on" : "cycle",
    target: `:${name}`,
    reason: `the modem: ${turn.state.modem?.trouble}`,
    forMs: dark ? undefined : Math.max(outletNamed(turn.state.plan, name)?.offTimeMs ?? 0, POWER_OFF_MS),
  });
}

/** Its own once: the number of the record before it, as hex digits, which are digits of a ULID too. */
function orderId({ boot, durable }: SiteState): string {
  return `00${boot.toString(16).padStart(8, "0")}${durable.seq.toString(16).padStart(16, "0")}`.toUpperCase();
}

export function onModemStepped(turn: Turn, { token, step, result, detail }: Stepped): void {
  const { modem } = turn.state;
  if (modem === null || modem.token !== token) return;
  turn.set({ modem: { ...modem, token: null } });
  turn.append([{ kind: "modem-step", step, trouble: modem.trouble, result, detail }], { sync: false });
}

/** When something is due by itself, mono ms. */
export function modemWakes(state: SiteState, nowMs: number): number[] {
  const { modem } = state;
  if (modem === null) return [];
  const wakes = modem.recorded === modem.trouble ? [] : [modem.sinceMs + SETTLED_MS];
  if (modem.wellSinceMs !== null) wakes.push(modem.wellSinceMs + HELPED_MS);
  const due = modem.trouble === "none" ? null : next(state, modem, nowMs);
  return due === null ? wakes : [...wakes, due.atMs];
}

/** `site/modem` of the state; null where the config names none. */
export function modemItem(state: SiteState, nowMs: number): Readonly<Record<string, unknown>> | null {
  if (state.plan.modem == null) return null;
  const { modem } = state;
  if (modem === null) return { trouble: null };
  const { signal: _, ...report } = modem.report;
  const { rung, rounds, last, lastMs, counts } = memoryOf(state);
  const due = modem.trouble === "none" ? null : next(state, modem, nowMs);
  return {
    ...report,
    trouble: modem.trouble,
    sinceMs: modem.sinceMs,
    signal: modem.told,
    alarm: modem.alarm,
    ladder: {
      rung,
      of: STEPS.length,
      rounds,
      last,
      lastMs,
      counts,
      next: due?.step ?? null,
      nextMs: due?.atMs ?? null,
    },
  };
}
