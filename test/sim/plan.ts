import type { OutletPlan, SitePlan } from "../../src/core/plan.ts";

/** The simulated site: two supplies of one device, a chain, a pair that is never both on, its own path, delays. */

const outlet = (name: string, relay: number, more: Partial<OutletPlan> = {}): OutletPlan => ({
  name,
  relay,
  contact: "nc",
  offTimeMs: 5_000,
  onDelayMs: 0,
  offDelayMs: 0,
  minOffMs: 2_000,
  minOnMs: 10_000,
  rate: { max: 6, perMs: 3_600_000 },
  powerRestore: "as-wired",
  observe: null,
  ...more,
});

const device = (name: string, outlets: string[], more: { consoles?: string[]; after?: string[] } = {}) => ({
  name,
  outlets,
  consoles: more.consoles ?? [],
  after: more.after ?? [],
  address: null,
});

export const PLAN: SitePlan = {
  fleet: "sim",
  site: "one",
  outlets: {
    a1: outlet("a1", 1, { observe: { input: "s1", withinMs: 2_000 } }),
    a2: outlet("a2", 2, { offTimeMs: 10_000, observe: { input: "s2", withinMs: 2_000 } }),
    a3: outlet("a3", 3, { contact: "no", onDelayMs: 1_500, offDelayMs: 700, minOffMs: 90_000 }),
    a4: outlet("a4", 4),
    a5: outlet("a5", 5, { contact: "no", powerRestore: "always-on" }),
    a6: outlet("a6", 6, { contact: "no", powerRestore: "last-state", minOnMs: 120_000 }),
    a7: outlet("a7", 7, { powerRestore: "always-off", rate: { max: 2, perMs: 600_000 } }),
  },
  devices: {
    router1: device("router1", ["a1", "a2"], { consoles: ["router1"] }),
    switch1: device("switch1", ["a3"], { after: ["router1"] }),
    modem1: device("modem1", ["a4"]),
    mains: device("mains", ["a5"]),
    generator: device("generator", ["a6"]),
    lamp: device("lamp", ["a7"]),
  },
  consoles: ["router1"],
  ownBranch: { declared: true, controller: [], path: ["a4"] },
  interlocks: [["a5", "a6"]],
  actors: { "local:modem-ladder": { verbs: ["cycle"], outlets: ["a4"], rate: { max: 2, perMs: 3_600_000 } } },
};

/** What a target of the orders means, for whoever judges from outside. */
export function outletsOf(target: string): string[] {
  return target
    .split(",")
    .flatMap((one) => (one.includes(":") ? (one.split(":")[1] ?? []) : (PLAN.devices[one]?.outlets ?? [])));
}
