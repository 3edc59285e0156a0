/** What a checked `site.yaml` means to the decisions: names, contacts, times. All times are milliseconds. */

export type Switch = "on" | "off";
export type Contact = "no" | "nc";

export interface RateLimit {
  readonly max: number;
  readonly perMs: number;
}

export interface OutletPlan {
  readonly name: string;
  /** Relay number as the board counts them, from 1. */
  readonly relay: number;
  readonly contact: Contact;
  readonly offTimeMs: number;
  readonly minOffMs: number;
  readonly minOnMs: number;
  readonly rate: RateLimit;
  readonly observe: { readonly input: string; readonly withinMs: number } | null;
}

export interface DevicePlan {
  readonly name: string;
  readonly outlets: readonly string[];
  readonly consoles: readonly string[];
  /** Devices that must have power before this one. */
  readonly after: readonly string[];
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
