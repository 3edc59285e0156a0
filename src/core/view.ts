import { budgetItem } from "./budget.ts";
import { drivenPower, factsOf, wallNow } from "./facts.ts";
import { memoryOf } from "./ledger.ts";
import { lockedAtWall, lockOf } from "./locks.ts";
import { modemItem } from "./modem.ts";
import { branchOf } from "./plan.ts";
import { pendingOf } from "./sequence.ts";
import { sessionsView } from "./sessions.ts";
import type { SiteState } from "./state.ts";
import { uplinksItem } from "./uplink.ts";

/** The small state of a site as others see it: `up/state`, `up/birth` and the answer to `status`. */

type Item = Readonly<Record<string, unknown>>;

function outletItem(state: SiteState, name: string, nowMs: number): Item {
  const outlet = state.plan.outlets[name];
  const running = state.sequences.find((one) => one.intent.outlets.includes(name));
  const branch = branchOf(state.plan, [name]);
  return {
    relay: outlet?.relay,
    contact: outlet?.contact,
    ...factsOf(state, name),
    lock: lockItem(state, name, nowMs),
    alarm: state.mismatches[name]?.raised ?? false,
    ownBranch: branch === "controller" || branch === "path" ? branch : null,
    busy: running ? { id: running.intent.id, by: running.intent.by, verb: running.intent.verb } : null,
  };
}

function lockItem(state: SiteState, name: string, nowMs: number): Item | null {
  const lock = lockOf(state, name, nowMs);
  return lock && { ...lock, sinceWallMs: lockedAtWall(state, lock) };
}

function deviceItem(state: SiteState, name: string): Item {
  const device = state.plan.devices[name];
  const powers = (device?.outlets ?? []).map((outlet) => drivenPower(state, outlet));
  const power = powers.length === 0 ? "none" : powers.every((one) => one === powers[0]) ? powers[0] : "mixed";
  return { outlets: device?.outlets, consoles: device?.consoles, power, alive: signOfLife(state, name) };
}

/**
 * The power being back and the device being back are two answers; this is the second: what told of it since it was last
 * switched on. Without a time: the state is published at each change, and a console speaks all day.
 */
function signOfLife(state: SiteState, name: string): string | null {
  const device = state.plan.devices[name];
  const lastOnMs = Math.max(
    0,
    ...(device?.outlets ?? []).map((outlet) => memoryOf(state.durable, outlet).lastOnMs ?? 0),
  );
  const sources = (device?.consoles ?? []).map((console) => `console ${console}`);
  if (device?.address) sources.push(`address ${device.address}`);
  return sources.find((source) => (state.heard[source] ?? Number.NEGATIVE_INFINITY) > lastOnMs) ?? null;
}

function itemsOf(state: SiteState, nowMs: number): Record<string, Item> {
  const { plan } = state;
  const all: Record<string, Item> = {};
  for (const name of Object.keys(plan.outlets)) all[`outlets/${name}`] = outletItem(state, name, nowMs);
  for (const name of Object.keys(plan.devices)) all[`devices/${name}`] = deviceItem(state, name);
  for (const name of plan.consoles) all[`consoles/${name}`] = { ...state.consoles[name], ...sessionsView(state, name) };
  all["site/storage"] = { ...state.storage };
  all["site/trust"] = { epoch: state.trust?.epoch ?? null, sha256: state.trust?.sha256 ?? null };
  all["site/links"] = { ...state.links };
  if (Object.keys(state.uplinks).length > 0) all["site/uplinks"] = uplinksItem(state, nowMs);
  if (state.budget !== null) all["site/budget"] = budgetItem(state.budget);
  all["site/machine"] = { findings: state.machine };
  all["site/receivers"] = Object.fromEntries(state.receivers.map(({ name, by, via }) => [name, { by, via }]));
  const modem = modemItem(state, nowMs);
  if (modem !== null) all["site/modem"] = modem;
  all["site/clock"] = { trust: state.clock?.trust ?? "none" };
  return all;
}

/** Raises the revision of each item that changed. Returns the same object when none did. */
export function revise(state: SiteState, nowMs: number): SiteState["items"] {
  let changed = false;
  const next = Object.fromEntries(
    Object.entries(itemsOf(state, nowMs)).map(([name, item]) => {
      const json = JSON.stringify(item);
      const before = state.items[name];
      if (before?.json === json) return [name, before];
      changed = true;
      return [name, { rev: (before?.rev ?? 0) + 1, json, item }];
    }),
  );
  return changed || Object.keys(next).length !== Object.keys(state.items).length ? next : state.items;
}

/** Grouped as `{outlets: {a1: {rev, …}}, devices, consoles, site}`; `mono` tells how old each `atMs` is. */
export function stateView(state: SiteState, nowMs: number, items: SiteState["items"]): Record<string, unknown> {
  const groups: Record<string, Record<string, unknown>> = { outlets: {}, devices: {}, consoles: {}, site: {} };
  for (const [path, { rev, item }] of Object.entries(items)) {
    const [group = "", name = ""] = path.split("/");
    groups[group] = { ...groups[group], [name]: { rev, ...item } };
  }
  // Beside the item, not in it: it would be published anew with each acknowledgement.
  const heard = Object.fromEntries(state.receivers.map(({ name, heardMs }) => [name, heardMs]));
  const spent = state.budget === null ? {} : { spent: state.budget.account };
  groups.site = { ...groups.site, heard, ...spent };
  const pending = state.sequences.map((sequence) => ({
    ...pendingOf(sequence, nowMs),
    outlets: sequence.intent.outlets,
  }));
  return {
    fleet: state.plan.fleet,
    name: state.plan.site,
    mono: nowMs,
    wall: wallNow(state, nowMs),
    version: state.version,
    key: state.siteKey,
    login: state.login,
    ...groups,
    pending,
  };
}

export function birthView(state: SiteState, nowMs: number): Record<string, unknown> {
  const { plan } = state;
  return {
    v: 1,
    version: state.version,
    key: state.siteKey,
    mono: nowMs,
    devices: Object.keys(plan.devices),
    outlets: Object.keys(plan.outlets),
    consoles: plan.consoles,
    config: { sha256: state.configSha256 },
    boots: [...new Set([...state.durable.clocks.map((one) => one.boot), state.boot])],
    tracks: state.tracks,
    trust: { epoch: state.trust?.epoch ?? null, sha256: state.trust?.sha256 ?? null },
    clock: state.clock?.trust ?? "none",
    ledger: { seq: state.durable.seq },
  };
}
