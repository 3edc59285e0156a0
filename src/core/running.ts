import { answerRecorded } from "./answers.ts";
import type { Event, ReplyTo } from "./events.ts";
import { drivenPower, factsOf, observedPower } from "./facts.ts";
import type { Intent, Unsettled } from "./ledger.ts";
import type { Reply } from "./messages.ts";
import { outletsNamed, type Switch } from "./plan.ts";
import { advance, afterDrive, type Begun, newSequence, type Sequence, verdictOf } from "./sequence.ts";
import type { SiteState, Turn } from "./state.ts";
import { plannedSteps, type Step, startSteps } from "./steps.ts";

/** Power commands in execution: edges go out, answers come in, verdicts are recorded. */

export function beginSequence(turn: Turn, intent: Intent, via: ReplyTo): void {
  const steps = plannedSteps(turn.state.plan, intent.verb, intent.outlets, intent.waitMs);
  begin(turn, { intent, via, steps, recovery: false });
}

function begin(turn: Turn, begun: Begun): void {
  turn.set({ sequences: [...turn.state.sequences, newSequence(begun, turn.nowMs)] });
}

/** Lets every sequence go as far as it can now. */
export function runSequences(turn: Turn): void {
  for (const sequence of turn.state.sequences) run(turn, sequence);
}

function run(turn: Turn, sequence: Sequence): void {
  const { sequence: now, drive, done } = advance(sequence, (outlet) => observedPower(turn.state, outlet), turn.nowMs);
  if (done) return finish(turn, now);
  if (drive === null) return replace(turn, now);
  const token = turn.token();
  replace(turn, { ...now, edge: { token, step: drive } });
  const { relay, energised } = drive;
  turn.effects.push({ type: "drive", token, id: now.intent.id, relay, energised });
}

function replace(turn: Turn, sequence: Sequence): void {
  const { id } = sequence.intent;
  turn.set({ sequences: turn.state.sequences.map((one) => (one.intent.id === id ? sequence : one)) });
}

/** An answer that comes after its edge was given up is nobody's any more. */
export function onRelayDriven(turn: Turn, event: Extract<Event, { type: "relay-driven" }>): void {
  const sequence = turn.state.sequences.find((one) => one.edge?.token === event.token);
  if (!sequence?.edge) return;
  const { id } = sequence.intent;
  const { step } = sequence.edge;
  const { outlet, power, relay } = step;
  if (event.energised !== null)
    turn.set({ lines: { ...turn.state.lines, [relay]: { value: event.energised, atMs: turn.nowMs } } });
  const ok = event.fault === null;
  turn.append([{ kind: "edge", id, outlet, power, ok }], { sync: false });
  turn.reply(sequence.via, { id, phase: "progress", step: { outlet, power, ok } });
  run(turn, afterDrive(sequence, step, event.fault, turn.nowMs));
}

function finish(turn: Turn, sequence: Sequence): void {
  const { intent, failures } = sequence;
  const { id, durability } = intent;
  turn.set({ sequences: turn.state.sequences.filter((one) => one.intent.id !== id) });
  const verdict = verdictOf(sequence, turn.state.plan);
  const code = failures[0]?.code ?? (verdict === "interrupted" ? ("power.interrupted" as const) : null);
  const after = intent.outlets.map((name) => ({ name, value: commandedAfter(turn.state, sequence, name) }));
  // The facts belong to the moment after the record.
  const facts = after.map(({ name, value }) => {
    const before = factsOf(turn.state, name);
    return [name, { ...before, commanded: { ...before.commanded, value } }];
  });
  const reply: Reply = {
    id,
    phase: "result",
    verdict,
    ...(code !== null && { code }),
    durability,
    failures,
    facts: Object.fromEntries(facts),
  };
  const outlets = Object.fromEntries(after.map(({ name, value }) => [name, value]));
  answerRecorded(turn, sequence.via, reply, { kind: "outcome", id, verdict, failures, outlets, reply }, { sync: true });
}

/** An interrupted off is not repeated, a cancelled one not begun: what the line says is then what is commanded. */
function commandedAfter(state: SiteState, { intent, recovery, cancelled }: Sequence, name: string): Switch | "unknown" {
  if (intent.verb !== "off") return "on";
  return recovery || cancelled ? drivenPower(state, name) : "off";
}

/** After a start: every unsettled intent becomes a sequence that pays the on it owes, and nothing else. */
export function recoverOwed(turn: Turn): void {
  const { unsettled } = turn.state.durable;
  unsettled.forEach((intent, index) => {
    const outlets = outletsNamed(turn.state.plan, intent.outlets).map(({ name }) => name);
    const later = unsettled.slice(index + 1).flatMap((one) => one.outlets);
    const owed = intent.verb === "off" ? [] : outlets.filter((name) => !later.includes(name));
    const steps: Step[] =
      owed.length === 0 ? [] : [...restOfWait(turn, intent, owed), ...startSteps(turn.state.plan, owed)];
    begin(turn, { intent: { ...intent, outlets }, via: "all", steps, recovery: true });
  });
  runSequences(turn);
}

/** The off time still holds: a supply that was off for only a moment may not have let its device drain. */
function restOfWait(turn: Turn, { verb, offAtMs, waitMs }: Unsettled, owed: readonly string[]): Step[] {
  const dark = owed.some((name) => drivenPower(turn.state, name) === "off");
  if (!dark || verb !== "cycle") return [];
  if (offAtMs !== null) return [{ do: "pause", ms: Math.max(0, offAtMs + waitMs - turn.nowMs), before: "on" }];
  // Since when is not known any more: once more as long as usual, but never longer than was asked for.
  const usual = Math.max(...outletsNamed(turn.state.plan, owed).map(({ offTimeMs }) => offTimeMs));
  return [{ do: "pause", ms: Math.min(waitMs, usual), before: "on" }];
}
