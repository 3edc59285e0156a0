/** What a checked `site.yaml` means to the decisions: names, contacts, times. All times are milliseconds. */

export type Switch = "on" | "off";
export type Contact = "no" | "nc";

export interface RateLimit {
  readonly max: number;
  readonly perMs: number;
}

/** What happens to an outlet after a real power cut; nothing (`as-wired`) unless said. */
export type PowerRestore = "as-wired" | "always-on" | "always-off" | "last-state";

export interface OutletPlan {
  readonly name: string;
  /** Relay number as the board counts them, from 1. */
  readonly relay: number;
  readonly contact: Contact;
  readonly offTimeMs: number;
  /** Waited before it goes on or off as part of a command. */
  readonly onDelayMs: number;
  readonly offDelayMs: number;
  readonly minOffMs: number;
  readonly minOnMs: number;
  readonly rate: RateLimit;
  readonly powerRestore: PowerRestore;
  readonly observe: Observe | null;
}

/**
 * What tells whether an outlet has power. An input line (auxiliary contact, current switch) tells both on and off; a
 * console that speaks and an address that answers tell only that the device is on.
 */
export type Observe =
  | { readonly input: string; readonly withinMs: number }
  | { readonly console: string; readonly withinMs: number }
  | { readonly address: string; readonly withinMs: number };

export function inputOf(observe: Observe | null): string | null {
  return observe !== null && "input" in observe ? observe.input : null;
}

/** Who acts without an operator: named in the config, bound to these verbs and outlets, with a rate of its own. */
export interface ActorPlan {
  readonly verbs: readonly ("on" | "off" | "cycle")[];
  readonly outlets: readonly string[];
  readonly rate: RateLimit;
}

export interface ModemPlan {
  /** Feeds it; null where nothing can take its power away. */
  readonly outlet: string | null;
  /** Ways to a carrier that may be tried one after the other. */
  readonly profiles: number;
}

export interface DevicePlan {
  readonly name: string;
  readonly outlets: readonly string[];
  readonly consoles: readonly string[];
  /** Devices that must have power before this one. */
  readonly after: readonly string[];
  /** Host, or host:port, at which it answers; null where nobody said. */
  readonly address: string | null;
}

export interface OwnBranch {
  /** False when the config has no `controller:` section: then nothing is known and everything is suspect. */
  readonly declared: boolean;
  readonly controller: readonly string[];
  readonly path: readonly string[];
}

export interface SitePlan {
  readonly fleet: string;
  readonly site: string;
  readonly outlets: Readonly<Record<string, OutletPlan>>;
  readonly devices: Readonly<Record<string, DevicePlan>>;
  readonly consoles: readonly string[];
  readonly ownBranch: OwnBranch;
  /** Outlets of which never two are on. */
  readonly interlocks: readonly (readonly string[])[];
  /** Null, or absent: the site has no modem of its own to look after. */
  readonly modem?: ModemPlan | null | undefined;
  /** By name: `local:modem-ladder`. */
  readonly actors: Readonly<Record<string, ActorPlan>>;
}

/** Inrush guard between two starts. */
export const STAGGER_MS = 500;

/** The relay level that makes an outlet on or off: an NC contact feeds the outlet while the relay is released. */
export function energisedFor(contact: Contact, power: Switch): boolean {
  return contact === "nc" ? power === "off" : power === "on";
}

export function powerOf(contact: Contact, energised: boolean): Switch {
  return energisedFor(contact, "on") === energised ? "on" : "off";
}

export function outletNamed(plan: SitePlan, name: string): OutletPlan | undefined {
  return Object.hasOwn(plan.outlets, name) ? plan.outlets[name] : undefined;
}

export function deviceNamed(plan: SitePlan, name: string): DevicePlan | undefined {
  return Object.hasOwn(plan.devices, name) ? plan.devices[name] : undefined;
}

/** In the order of the names; one that left the config stands for nothing. */
export function outletsNamed(plan: SitePlan, names: readonly string[]): OutletPlan[] {
  return names.flatMap((name) => outletNamed(plan, name) ?? []);
}

export function devicesNamed(plan: SitePlan, names: readonly string[]): DevicePlan[] {
  return names.flatMap((name) => deviceNamed(plan, name) ?? []);
}

/** Devices that lose power entirely or in part when these outlets go off. */
export function devicesFedBy(plan: SitePlan, outlets: readonly string[]): string[] {
  return Object.values(plan.devices)
    .filter((device) => device.outlets.some((outlet) => outlets.includes(outlet)))
    .map((device) => device.name);
}

/** The device that a console belongs to, or the console's own name where no device claims it. */
export function ownerOfConsole(plan: SitePlan, console: string): string {
  return Object.values(plan.devices).find((device) => device.consoles.includes(console))?.name ?? console;
}

export type BranchKind = "none" | "controller" | "path" | "undeclared";

export function branchOf(plan: SitePlan, outlets: readonly string[]): BranchKind {
  if (outlets.some((outlet) => plan.ownBranch.controller.includes(outlet))) return "controller";
  if (outlets.some((outlet) => plan.ownBranch.path.includes(outlet))) return "path";
  return plan.ownBranch.declared ? "none" : "undeclared";
}

/**
 * How far down the chain of `after` the devices of an outlet stand: 0 comes first. Starts go from low to high, so a
 * router has power before the switch that comes after it. Circles are refused with the config.
 */
export function startRank(plan: SitePlan, outlet: string): number {
  const known = new Map<string, number>();
  const depth = ({ name, after }: DevicePlan): number => {
    const before = known.get(name);
    if (before !== undefined) return before;
    known.set(name, 0);
    const found = Math.max(0, ...devicesNamed(plan, after).map((first) => 1 + depth(first)));
    known.set(name, found);
    return found;
  };
  return Math.max(0, ...devicesNamed(plan, devicesFedBy(plan, [outlet])).map(depth));
}
