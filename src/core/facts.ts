import { memoryOf } from "./ledger.ts";
import type { Fact, OutletFacts } from "./messages.ts";
import { deviceNamed, devicesFedBy, energisedFor, type OutletPlan, powerOf, type Switch } from "./plan.ts";
import type { SiteState } from "./state.ts";

/**
 * What is known of an outlet: commanded, driven (its line read back), observed (a contact, a console that speaks, an
 * address that answers).
 */

export function drivenPower(state: SiteState, outlet: OutletPlan): Switch | "unknown" {
  const line = state.lines[outlet.relay];
  return line === undefined ? "unknown" : powerOf(outlet.contact, line.value);
}

export function observedPower(state: SiteState, name: string): Switch | "unknown" {
  const outlet = state.plan.outlets[name];
  return outlet === undefined ? "unknown" : observedFact(state, outlet).value;
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
  return {
    commanded: { value: memory.commanded, atMs: memory.commandedAtMs, source: "ledger" },
    driven: line
      ? { value: powerOf(outlet.contact, line.value), atMs: line.atMs, source: `relay ${outlet.relay}` }
      : none,
    observed: observedFact(state, outlet),
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

const NOTHING: Fact = { value: "unknown", atMs: null, source: "none" };
/** What a device without power may still say: the rest of its capacitors, and of our buffers. */
const LAST_WORDS_MS = 5_000;

export function observedFact(state: SiteState, outlet: OutletPlan): Fact {
  const { observe } = outlet;
  if (observe === null) return NOTHING;
  if ("input" in observe) {
    const reading = state.inputs[observe.input];
    if (reading === undefined) return NOTHING;
    return { value: reading.value ? "on" : "off", atMs: reading.atMs, source: `input ${observe.input}` };
  }
  const source = "console" in observe ? `console ${observe.console}` : `address ${observe.address}`;
  const heardMs = state.heard[source];
  const alive = heardMs !== undefined && heardMs > quietUntilMs(state, outlet);
  return alive ? { value: "on", atMs: heardMs, source } : NOTHING;
}

/** A sign of life counts when it is younger than the last edge; after an off, when nothing else feeds the device. */
function quietUntilMs(state: SiteState, outlet: OutletPlan): number {
  const { lastOnMs, lastOffMs } = memoryOf(state.durable, outlet.name);
  if (drivenPower(state, outlet) === "on") return lastOnMs ?? Number.NEGATIVE_INFINITY;
  const fed = devicesFedBy(state.plan, [outlet.name]).some((device) =>
    (deviceNamed(state.plan, device)?.outlets ?? []).some((name) => {
      const other = state.plan.outlets[name];
      return other !== undefined && drivenPower(state, other) !== "off";
    }),
  );
  return fed ? Number.POSITIVE_INFINITY : (lastOffMs ?? 0) + LAST_WORDS_MS;
}

/** Wall time in ms, for telling ages to people who read this later; null while the site has none. */
export function wallNow(state: SiteState, nowMs: number): number | null {
  return state.clock === null ? null : state.clock.wallMs + (nowMs - state.clock.monoMs);
}
