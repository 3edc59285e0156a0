import { answerRecorded } from "./answers.ts";
import type { Event, ReplyTo } from "./events.ts";
import { drivenPower, factsOfAll, observedPower, relayLevel } from "./facts.ts";
import type { Intent, Unsettled } from "./ledger.ts";
import type { Reply } from "./messages.ts";
import { outletNamed } from "./plan.ts";
import {
  advance,
  afterDrive,
  newSequence,
  plannedSteps,
  type Sequence,
  type Step,
  startSteps,
  verdictOf,
} from "./sequence.ts";
import type { SiteState, Turn } from "./state.ts";

/** Power commands in execution: edges go out, answers come in, verdicts are recorded. */

export function beginSequence(turn: Turn, intent: Intent, via: ReplyTo): void {
  const steps = plannedSteps(turn.state.plan, intent.verb, intent.outlets, intent.waitMs);
  turn.set({ sequences: [...turn.state.sequences, newSequence(intent, via, steps, false)] });
}

/** Lets every sequence go as far as it can now. */
export function runSequences(turn: Turn): void {
  for (const { intent } of turn.state.sequences) runOne(turn, intent.id);
}

function runOne(turn: Turn, id: string): void {
  const sequence = turn.state.sequences.find((one) => one.intent.id === id);
  if (sequence === undefined) return;
  const progress = advance(sequence, (outlet) => observedPower(turn.state, outlet), turn.nowMs);
  replace(turn, id, progress.sequence);
  if (progress.drive !== null) drive(turn, id, progress.drive.outlet, progress.drive.power);
  if (progress.done) finish(turn, progress.sequence);
}

function replace(turn: Turn, id: string, sequence: Sequence): void {
  turn.set({ sequences: turn.state.sequences.map((one) => (one.intent.id === id ? sequence : one)) });
}

function drive(turn: Turn, id: string, name: string, power: "on" | "off"): void {
  const outlet = outletNamed(turn.state.plan, name);
  if (outlet === undefined) return;
  const token = turn.token();
  turn.set({ drives: { ...turn.state.drives, [id]: token } });
  turn.effects.push({ type: "drive", token, id, relay: outlet.relay, energised: relayLevel(outlet, power) });
}

export function onRelayDriven(turn: Turn, event: Extract<Event, { type: "relay-driven" }>): void {
  const id = Object.keys(turn.state.drives).find((one) => turn.state.drives[one] === event.token);
  const sequence = turn.state.sequences.find((one) => one.intent.id === id);
  const step = sequence?.steps[sequence.at];
  if (id === undefined || sequence === undefined || step?.do !== "drive") return;
  const { [id]: _, ...drives } = turn.state.drives;
  const outlet = outletNamed(turn.state.plan, step.outlet);
  const lines =
    outlet !== undefined && event.energised !== null
      ? { ...turn.state.lines, [outlet.relay]: { value: event.energised, atMs: turn.nowMs } }
      : turn.state.lines;
  turn.set({ drives, lines });
  const ok = event.fault === null;
  turn.append([{ kind: "edge", id, outlet: step.outlet, power: step.power, ok }], { sync: false });
  replace(turn, id, afterDrive(sequence, event.fault, turn.nowMs));
  turn.reply(sequence.via, { id, phase: "progress", step: { outlet: step.outlet, power: step.power, ok } });
  runOne(turn, id);
}

function finish(turn: Turn, sequence: Sequence): void {
  const { intent } = sequence;
  turn.set({ sequences: turn.state.sequences.filter((one) => one.intent.id !== intent.id) });
  const verdict = verdictOf(sequence, turn.state.plan);
  const code = sequence.failures[0]?.code ?? (verdict === "interrupted" ? ("power.interrupted" as const) : null);
  const outlets = Object.fromEntries(intent.outlets.map((name) => [name, commandedAfter(turn.state, sequence, name)]));
  // The facts belong to the moment after the record, so the reply is made from a state that already has it.
  const reply: Reply = {
    id: intent.id,
    phase: "result",
    verdict,
    ...(code !== null && { code }),
    durability: intent.durability,
    failures: sequence.failures,
    facts: withCommanded(factsOfAll(turn.state, intent.outlets), outlets),
  };
  const record = { kind: "outcome", id: intent.id, verdict, failures: sequence.failures, outlets, reply } as const;
  answerRecorded(turn, sequence.via, reply, record, { sync: true });
}

function withCommanded(facts: ReturnType<typeof factsOfAll>, outlets: Record<string, "on" | "off" | "unknown">) {
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [
      name,
      { ...fact, commanded: { ...fact.commanded, value: outlets[name] ?? fact.commanded.value } },
    ]),
  );
}

/** An interrupted off is not repeated, a cancelled one not begun: what the line says is then what is commanded. */
function commandedAfter(state: SiteState, sequence: Sequence, name: string): "on" | "off" | "unknown" {
  if (sequence.intent.verb !== "off") return "on";
  const outlet = outletNamed(state.plan, name);
  const ended = sequence.recovery || sequence.cancelled;
  return ended && outlet !== undefined ? drivenPower(state, outlet) : "off";
}

/** After a start: every unsettled intent becomes a sequence that pays the on it owes, and nothing else. */
export function recoverOwed(turn: Turn): void {
  const { unsettled } = turn.state.durable;
  unsettled.forEach((intent, index) => {
    const later = unsettled.slice(index + 1);
    const known = intent.outlets.filter((name) => outletNamed(turn.state.plan, name) !== undefined);
    const mine = known.filter((name) => !later.some((one) => one.outlets.includes(name)));
    const owed = intent.verb === "off" ? [] : mine;
    const steps: Step[] =
      owed.length === 0 ? [] : [...restOfWait(turn, intent, owed), ...startSteps(turn.state.plan, owed)];
    turn.set({ sequences: [...turn.state.sequences, newSequence({ ...intent, outlets: known }, "all", steps, true)] });
  });
  runSequences(turn);
}

/** The off time still holds: a supply that was off for only a moment may not have let its device drain. */
function restOfWait(turn: Turn, intent: Unsettled, owed: readonly string[]): Step[] {
  const dark = owed.some((name) => {
    const outlet = outletNamed(turn.state.plan, name);
    return outlet !== undefined && drivenPower(turn.state, outlet) === "off";
  });
  if (!dark || intent.verb !== "cycle") return [];
  if (intent.offAtMs !== null) return [{ do: "pause", ms: Math.max(0, intent.offAtMs + intent.waitMs - turn.nowMs) }];
  const usual = Math.max(...owed.map((name) => outletNamed(turn.state.plan, name)?.offTimeMs ?? 0));
  return [{ do: "pause", ms: Math.min(intent.waitMs, usual) }];
}
