import { onAck } from "./acks.ts";
import { onActorOrdered } from "./actors.ts";
import { checkMismatches, mismatchWakes } from "./alarms.ts";
import { settleAnswer } from "./answers.ts";
import { onDataCounted } from "./budget.ts";
import { onClock } from "./clock.ts";
import {
  onFaultSet,
  onOutcome,
  onRangeRead,
  onRead,
  onSim,
  onStatus,
  onTrust,
  onTrustStored,
  onWatch,
} from "./commands.ts";
import type { Effect, Event } from "./events.ts";
import { drivenPower, observedPower } from "./facts.ts";
import { dueGaps, nextGapMs, takeGap } from "./gaps.ts";
import { flushIgnored, ignore } from "./ignored.ts";
import { memoryOf } from "./ledger.ts";
import { lookedElsewhere } from "./looks.ts";
import { modemWakes, onModemStepped, onModemTold, tendModem } from "./modem.ts";
import { onOperate, onSelect } from "./power.ts";
import { checkDeadlines, settleRecording } from "./recording.ts";
import { evidenceOf, refuse, reject, senderOf } from "./refusals.ts";
import { restorePower } from "./restore.ts";
import { onRelayDriven, recoverOwed, runSequences } from "./running.ts";
import { AGREE_MS, advance } from "./sequence.ts";
import { checkSessions, nextSessionMs, onSession } from "./sessions.ts";
import { type SiteState, Turn } from "./state.ts";
import { onStreamClosed, onStreamOpen, onStreamOpened } from "./streams.ts";
import { revised, tellChanges } from "./telling.ts";
import { acceptTrust } from "./trust.ts";
import { onUplinkDrifted, onUplinkProbed } from "./uplink.ts";
import { birthView, stateView } from "./view.ts";

/** The decision of a site: one event in, the next state and what to do out. No clock, no I/O, no randomness. */
export function stepSite(
  state: SiteState,
  event: Event,
  nowMs: number,
): { state: SiteState; effects: readonly Effect[] } {
  const turn = new Turn(state, nowMs);
  route(turn, event);
  // With every event, not only with its tick: else whoever asks often enough would push the wake-up before him for ever.
  runSequences(turn);
  checkMismatches(turn);
  tendModem(turn);
  checkSessions(turn);
  tellChanges(turn, event);
  turn.effects.push({ type: "wake", atMs: nextWake(turn.state, nowMs) });
  return { state: turn.state, effects: turn.effects };
}

function route(turn: Turn, event: Event): void {
  switch (event.type) {
    case "started":
      return onStarted(turn, event);
    case "command-arrived":
      return onCommand(turn, event);
    case "message-ignored":
      return onIgnored(turn, event);
    case "ack-arrived":
      return onAck(turn, event);
    case "append-finished": {
      const { token, ok } = event;
      const recording = turn.state.recordings.find((one) => one.token === token);
      if (recording !== undefined) return settleRecording(turn, recording, ok);
      const answer = turn.state.answers.find((one) => one.token === token);
      return answer && settleAnswer(turn, answer, ok);
    }
    case "checkpoint-signed": {
      const { of, sha256, signed } = event;
      return turn.append([{ kind: "checkpoint", of, sha256, signed }], { sync: false });
    }
    case "storage-changed":
      turn.set({ storage: { state: event.state, detail: event.detail } });
      return turn.append([{ kind: "storage", state: event.state, detail: event.detail }], { sync: false });
    case "relay-driven":
      return onRelayDriven(turn, event);
    case "input-sensed":
      return onInput(turn, event.input, event.present);
    case "life-sensed":
      return turn.set({ heard: { ...turn.state.heard, [event.source]: turn.nowMs } });
    case "modem-told":
      return onModemTold(turn, event);
    case "modem-stepped":
      return onModemStepped(turn, event);
    case "actor-ordered":
      return onActorOrdered(turn, event);
    case "trust-stored":
      return onTrustStored(turn, event);
    case "console-changed":
      return onConsole(turn, event);
    case "console-line": {
      const { console, modem, errors } = event;
      const before = turn.state.consoles[console];
      if (before !== undefined)
        turn.set({ consoles: { ...turn.state.consoles, [console]: { ...before, line: { modem, errors } } } });
      return;
    }
    case "console-gap":
      return onGap(turn, event);
    case "session-attached":
    case "session-asked":
    case "session-send":
    case "session-beat":
    case "session-detached":
    case "line-changed":
      return onSession(turn, event);
    case "stopping": {
      const { heads, towards } = event;
      tellHeldGaps(turn, "all");
      return turn.append([{ kind: "stop", start: turn.state.start, heads, towards }], { sync: true });
    }
    case "link-changed":
      return onLink(turn, event);
    case "range-read":
      return onRangeRead(turn, event);
    case "stream-opened":
      return onStreamOpened(turn, event);
    case "stream-closed":
      return onStreamClosed(turn, event);
    case "clock-read":
      return onClock(turn, event);
    case "uplink-probed":
      return onUplinkProbed(turn, event);
    case "uplink-drifted":
      return onUplinkDrifted(turn, event);
    case "data-counted":
      return onDataCounted(turn, event);
    case "fault-set":
      return onFaultSet(turn, event);
    case "machine-checked":
      return onMachineChecked(turn, event.findings);
    case "tick":
      checkDeadlines(turn);
      tellHeldGaps(turn, "due");
      return flushIgnored(turn);
    default:
      return unreachable(event);
  }
}

function unreachable(event: never): void {
  throw new Error(`an event that no one handles: ${JSON.stringify(event)}`);
}

function onStarted(turn: Turn, event: Extract<Event, { type: "started" }>): void {
  const { plan, durable, boot, start, version, siteKey, configSha256, tracks } = event;
  const lines = Object.fromEntries(
    Object.entries(event.lines).map(([relay, value]) => [relay, { value, atMs: turn.nowMs }]),
  );
  turn.set({ login: event.login ?? null, plan, durable, boot, start, version, siteKey, configSha256, tracks, lines });
  turn.append([{ kind: "start", start, version }], { sync: true });
  for (const note of event.notes)
    turn.append([{ kind: "config", code: note.code, detail: note.detail }], { sync: false });
  for (const offer of event.trust) adoptOffer(turn, offer);
  tellDrift(turn);
  recoverOwed(turn);
  restoreOnce(turn, event);
}

/** Once in each boot: only a new one can be after a power cut, and the first life of all has nothing to restore. */
function restoreOnce(turn: Turn, { durable, boot, power }: Extract<Event, { type: "started" }>): void {
  if ((durable.restoredBoot ?? durable.boot) === boot) return;
  const was = power === "unknown" && durable.stopped === "reboot" ? "kept" : power;
  if (durable.boot !== 0) restorePower(turn, was);
  turn.append([{ kind: "restored", was }], { sync: false });
}

/** An outlet that is not as it was commanded, and owes nothing: told, never mended without being asked. */
function tellDrift(turn: Turn): void {
  const owed = new Set(turn.state.durable.unsettled.flatMap((one) => one.outlets));
  for (const outlet of Object.values(turn.state.plan.outlets)) {
    const { commanded } = memoryOf(turn.state.durable, outlet.name);
    const driven = drivenPower(turn.state, outlet.name);
    if (owed.has(outlet.name) || [commanded, driven].includes("unknown") || commanded === driven) continue;
    const detail = `${outlet.name}: commanded ${commanded}, driven ${driven}`;
    turn.append([{ kind: "config", code: "outlet.drift", detail }], { sync: false });
  }
}

/** What cannot be read any more is unknown: its last value would go on verifying commands for ever. */
function onInput(turn: Turn, input: string, present: boolean | null): void {
  const { [input]: _, ...others } = turn.state.inputs;
  turn.set({ inputs: present === null ? others : { ...others, [input]: { value: present, atMs: turn.nowMs } } });
}

/** A number with a unit, and not the one in a name such as router1. */
const FIGURE = /\d+(\.\d+)?(?= ?(%|°|[kMG]i?B\b|ms\b|s\b|min\b|h\b|V\b))/g;

/** Words with figures in them change each minute: the ones of before stay while the findings are the same. */
function onMachineChecked(turn: Turn, findings: SiteState["machine"]): void {
  const kinds = (all: SiteState["machine"]) =>
    JSON.stringify(all.map(({ check, level, what }) => [check, level, what.replace(FIGURE, "#")]));
  if (kinds(findings) !== kinds(turn.state.machine)) turn.set({ machine: findings });
}

function adoptOffer(turn: Turn, offer: Extract<Event, { type: "started" }>["trust"][number]): void {
  const accepted = acceptTrust(turn.state.trust, offer, turn.state.plan.fleet, turn.state.durable.trust);
  const { document } = offer;
  if (!accepted.ok) {
    if (accepted.code === "trust.lower" && turn.state.trust !== null) return;
    return turn.append([{ kind: "config", code: accepted.code, detail: `epoch ${document.epoch}` }], { sync: false });
  }
  if (!accepted.changed) return;
  turn.set({ trust: document });
  const known = turn.state.durable.trust;
  if (known?.sha256 === document.sha256) return;
  const { epoch, sha256 } = document;
  const text = offer.text === undefined ? null : evidenceOf(offer.text);
  turn.append([{ kind: "trust", epoch, sha256, by: "file", id: null, document: text }], { sync: true });
  turn.effects.push({ type: "trust-adopted", document });
}

function onCommand(turn: Turn, event: Extract<Event, { type: "command-arrived" }>): void {
  const { command } = event;
  const { plan } = turn.state;
  if (command.site !== `${plan.fleet}/${plan.site}`) {
    const refusal = { code: "message.wrong-site", detail: command.site } as const;
    return refuse(turn, senderOf(turn.state, event), refusal, command.site);
  }
  if (lookedElsewhere(turn, event)) return;
  switch (command.kind) {
    case "select":
      return onSelect(turn, event, command);
    case "operate":
      return onOperate(turn, event, command);
    case "status":
      return onStatus(turn, event);
    case "outcome":
      return onOutcome(turn, event, command);
    case "read":
      return onRead(turn, event, command);
    case "watch":
      return onWatch(turn, event, command);
    case "stream.open":
      return onStreamOpen(turn, event, command);
    case "trust":
      return onTrust(turn, event, command);
    case "sim":
      return onSim(turn, event, command);
  }
}

function onIgnored(turn: Turn, event: Extract<Event, { type: "message-ignored" }>): void {
  if (event.id !== null) reject(turn, event.via, event.id, { code: event.code, detail: "" });
  ignore(turn, event.code);
}

function onConsole(turn: Turn, event: Extract<Event, { type: "console-changed" }>): void {
  const { console, state, code, detail } = event;
  const before = turn.state.consoles[console];
  const same = before?.state === state && before.code === code;
  const sinceMs = same ? before.sinceMs : turn.nowMs;
  turn.set({ consoles: { ...turn.state.consoles, [console]: { state, code, detail, sinceMs } } });
  if (same) return;
  turn.append([{ kind: "console", console, state, code, detail }], { sync: false });
}

function onGap(turn: Turn, { type: _, ...gap }: Extract<Event, { type: "console-gap" }>): void {
  const { limits, tell } = takeGap(turn.state.gaps, gap, turn.nowMs);
  turn.set({ gaps: limits });
  if (tell !== null) turn.append([{ kind: "gap", ...tell }], { sync: false });
}

function tellHeldGaps(turn: Turn, which: "due" | "all"): void {
  const { limits, tell } = dueGaps(turn.state.gaps, turn.nowMs, which === "all");
  turn.set({ gaps: limits });
  for (const gap of tell) turn.append([{ kind: "gap", ...gap }], { sync: false });
}

function onLink(turn: Turn, event: Extract<Event, { type: "link-changed" }>): void {
  const { connection, state, detail } = event;
  const before = turn.state.links[connection];
  // Another reason why it is down: told, but nothing has happened.
  const still = state === "down" && before?.state === "down";
  const sinceMs = still ? before.sinceMs : turn.nowMs;
  turn.set({ links: { ...turn.state.links, [connection]: { state, detail, sinceMs } } });
  if (still) return;
  turn.append([{ kind: "link", connection, state, detail }], { sync: false });
  if (state !== "up") return;
  turn.effects.push({ type: "publish", topic: "birth", to: connection, body: birthView(turn.state, turn.nowMs) });
  const body = stateView(turn.state, turn.nowMs, revised(turn));
  turn.effects.push({ type: "publish", topic: "state", to: connection, body });
}

function nextWake(state: SiteState, nowMs: number): number | null {
  const times: number[] = [...state.recordings, ...state.answers].map((one) => one.deadlineMs);
  for (const sequence of state.sequences) {
    const { wakeAtMs } = advance(sequence, (outlet) => observedPower(state, outlet), nowMs);
    // A sequence that could go on by itself has already; this only asks when.
    times.push(wakeAtMs ?? nowMs + AGREE_MS);
  }
  times.push(...mismatchWakes(state));
  if (state.settlesMs !== null) times.push(state.settlesMs);
  times.push(...modemWakes(state, nowMs));
  if (state.ignoredFlushMs !== null) times.push(state.ignoredFlushMs);
  const sessionMs = nextSessionMs(state);
  if (sessionMs !== null) times.push(sessionMs);
  const gapMs = nextGapMs(state.gaps);
  if (gapMs !== null) times.push(gapMs);
  return times.length === 0 ? null : Math.min(...times);
}
