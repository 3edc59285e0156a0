import { memoryOf } from "./ledger.ts";
import type { Fact, OutletFacts } from "./messages.ts";
import { devicesFedBy, devicesNamed, type OutletPlan, outletNamed, powerOf, type Switch } from "./plan.ts";
import type { SiteState } from "./state.ts";

/**
 * What is known of an outlet: commanded, driven (its line read back), observed (a contact, a console that speaks, an
 * address that answers).
 */

export function drivenPower(state: SiteState, name: string): Switch | "unknown" {
  return factOf(state, name, drivenFact).value;
}

export function observedPower(state: SiteState, name: string): Switch | "unknown" {
  return factOf(state, name, observedFact).value;
}

export function factsOf(state: SiteState, name: string): OutletFacts {
  const { commanded, commandedAtMs } = memoryOf(state.durable, name);
  return {
    commanded: { value: commanded, atMs: commandedAtMs, source: "ledger" },
    driven: factOf(state, name, drivenFact),
    observed: factOf(state, name, observedFact),
  };
}

/** Of an outlet that the config does not have, nothing is known. */
function factOf(state: SiteState, name: string, fact: (state: SiteState, outlet: OutletPlan) => Fact): Fact {
  const outlet = outletNamed(state.plan, name);
  return outlet === undefined ? NOTHING : fact(state, outlet);
}

function drivenFact(state: SiteState, { relay, contact }: OutletPlan): Fact {
  const line = state.lines[relay];
  return line ? { value: powerOf(contact, line.value), atMs: line.atMs, source: `relay ${relay}` } : NOTHING;
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
function quietUntilMs(state: SiteState, { name }: OutletPlan): number {
  const { lastOnMs, lastOffMs } = memoryOf(state.durable, name);
  if (drivenPower(state, name) === "on") return lastOnMs ?? Number.NEGATIVE_INFINITY;
  const feeds = devicesNamed(state.plan, devicesFedBy(state.plan, [name])).flatMap((device) => device.outlets);
  if (feeds.some((feed) => drivenPower(state, feed) !== "off")) return Number.POSITIVE_INFINITY;
  return (lastOffMs ?? 0) + LAST_WORDS_MS;
}

/** Wall time in ms, for telling ages to people who read this later; null while the site has none. */
export function wallNow(state: SiteState, nowMs: number): number | null {
  return state.clock === null ? null : state.clock.wallMs + (nowMs - state.clock.monoMs);
}
