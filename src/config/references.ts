import { accessOf } from "./access.ts";
import { type Board, opensNcAtBoot } from "./board.ts";
import type { Problem, Surroundings } from "./config.ts";
import type { RawConsole, RawSite } from "./schema.ts";

/** What names what in `site.yaml`: missing references, two owners of one thing, circles. */

export function referenceProblems(raw: RawSite, board: Board | null, surroundings: Surroundings): Problem[] {
  const problems: Problem[] = [];
  const add = (where: string, what: string, todo: string) => problems.push({ where, what, todo });
  const known = (where: string, names: readonly string[], all: object, what: string) => {
    for (const name of names) {
      if (!Object.hasOwn(all, name))
        add(where, `there is no ${what} "${name}"`, `Define it under ${what}s:, or correct the name.`);
    }
  };
  twice(
    Object.entries(raw.outlets).map(([name, one]) => [String(one.relay), `outlets.${name}.relay`]),
    "relay",
    add,
  );
  twice(
    Object.entries(raw.consoles).map(([name, one]) => [portKey(one, surroundings.resolve), `consoles.${name}.port`]),
    "port",
    add,
  );
  twice(
    Object.entries(raw.devices).flatMap(([name, one]) =>
      one.consoles.map((console): [string, string] => [console, `devices.${name}.consoles`]),
    ),
    "console",
    add,
  );
  if (board !== null) boardProblems(raw, board, add);
  for (const [name, device] of Object.entries(raw.devices)) {
    known(`devices.${name}.outlets`, device.outlets, raw.outlets, "outlet");
    known(`devices.${name}.consoles`, device.consoles, raw.consoles, "console");
    known(`devices.${name}.after`, device.after, raw.devices, "device");
  }
  for (const circle of circles(raw))
    add(`devices.${circle[0]}.after`, `a circle: ${circle.join(" → ")}`, "Break the circle.");
  interlockProblems(raw, add, known);
  for (const [name, { observe }] of Object.entries(raw.outlets)) {
    if (observe !== undefined && "console" in observe) witnessProblems(raw, name, observe.console, add);
  }
  known("controller.poweredBy", poweredBy(raw), raw.outlets, "outlet");
  known("controller.path", raw.controller?.path ?? [], raw.outlets, "outlet");
  if (raw.uplinks?.lte?.modemOutlet !== undefined)
    known("uplinks.lte.modemOutlet", [raw.uplinks.lte.modemOutlet], raw.outlets, "outlet");
  const listeners = raw.access?.listeners ?? [];
  for (const [index, { console }] of listeners.entries())
    known(`access.listeners.${index}.console`, [console], raw.consoles, "console");
  for (const { at } of accessOf(raw.access).listeners)
    if (/^(0\.0\.0\.0|\[[0:]+\]):/.test(at))
      add("access.listeners", `${at} is every address, the LTE side too`, "Name one: 127.0.0.1, or that of the LAN.");
  twice(
    accessOf(raw.access).listeners.map(({ at }) => [at, "access.listeners"]),
    "address",
    add,
  );
  for (const [name, one] of Object.entries(raw.consoles)) {
    if ("sim" in one.port) known(`consoles.${name}.port.sim`, [one.port.sim], raw.devices, "device");
  }
  for (const [index, url] of (raw.link?.brokers ?? []).entries()) {
    if (url.startsWith("mqtt://") && !isLoopback(url) && !surroundings.insecureLab) {
      add(
        `link.brokers.${index}`,
        "plaintext beyond this machine",
        "Use mqtts://, or start with --insecure-lab in a lab.",
      );
    }
  }
  return problems;
}

type Known = (where: string, names: readonly string[], all: object, what: string) => void;

/** Two that are never both on must not be put on by wiring or by a power cut either. */
function interlockProblems(raw: RawSite, add: Add, known: Known): void {
  for (const [index, group] of raw.interlocks.entries()) {
    const where = `interlocks.${index}`;
    known(where, group, raw.outlets, "outlet");
    const twiceNamed = group.find((name, at) => group.indexOf(name) !== at);
    if (twiceNamed !== undefined) add(where, `"${twiceNamed}" is named twice`, "Name each outlet once.");
    const nc = group.filter((name) => raw.outlets[name]?.contact === "nc");
    if (nc.length > 1)
      add(where, `${nc.join(" and ")} are both on whenever the controller is off`, "Wire all but one of them to NO.");
    const wanted = group.filter((name) => raw.outlets[name]?.powerRestore === "always-on");
    if (wanted.length > 1)
      add(where, `${wanted.join(" and ")} are both always-on after a power cut`, "Let one of them be always-on.");
  }
}

/** A console tells of an outlet only when it is that of a device which the outlet feeds. */
function witnessProblems(raw: RawSite, outlet: string, console: string, add: Add): void {
  const where = `outlets.${outlet}.observe.console`;
  if (!Object.hasOwn(raw.consoles, console))
    return add(where, `there is no console "${console}"`, "Define it under consoles:, or correct the name.");
  const owner = Object.values(raw.devices).find((device) => device.consoles.includes(console));
  if (!owner?.outlets.includes(outlet))
    add(where, `${console} is no console of a device that ${outlet} feeds`, "Name a console of the device behind it.");
}

type Add = (where: string, what: string, todo: string) => void;

/** What the outlets ask of the board and it does not have, or cannot do safely. */
function boardProblems(raw: RawSite, board: Board, add: Add): void {
  const count = Object.keys(board.relays).length;
  const inputs = Object.keys(board.inputs);
  for (const [name, outlet] of Object.entries(raw.outlets)) {
    const relay = board.relays[outlet.relay];
    if (relay === undefined) {
      add(`outlets.${name}.relay`, `the board has ${count} relays`, "Use one that is there.");
    } else if (outlet.contact === "nc") {
      const opens = opensNcAtBoot(relay);
      const todo = "Use another relay or board, or wire the load to NO and write `contact: no`.";
      if (opens !== null) add(`outlets.${name}.contact`, opens, todo);
    }
    const input = outlet.observe !== undefined && "input" in outlet.observe ? outlet.observe.input : undefined;
    if (input === undefined || Object.hasOwn(board.inputs, input)) continue;
    const has = inputs.length > 0 ? `It has ${inputs[0]} to ${inputs.at(-1)}.` : "It has none.";
    add(`outlets.${name}.observe.input`, `the board has no input "${input}"`, has);
  }
  for (const [name, { port }] of Object.entries(raw.consoles)) {
    if ("sim" in port && board.kind !== "simulated")
      add(
        `consoles.${name}.port.sim`,
        "simulated devices need the simulated board",
        "Use `board: sim`, or a real port.",
      );
  }
}

function twice(
  owners: readonly (readonly [thing: string, where: string])[],
  what: string,
  add: (where: string, what: string, todo: string) => void,
): void {
  const first = new Map<string, string>();
  for (const [thing, where] of owners) {
    const before = first.get(thing);
    if (before !== undefined) add(where, `${what} ${thing} is already used by ${before}`, "One owner each.");
    else first.set(thing, where);
  }
}

/** The same port by another spelling is the same port. */
function portKey(console: RawConsole, resolve: (path: string) => string): string {
  if ("path" in console.port) return resolve(console.port.path);
  return JSON.stringify(Object.entries(console.port).sort());
}

export function poweredBy(raw: RawSite): string[] {
  const value = raw.controller?.poweredBy ?? "none";
  return value === "none" ? [] : [value].flat();
}

function isLoopback(url: string): boolean {
  const host = new URL(url.replace(/^mqtts?:/, "http:")).hostname;
  return host === "localhost" || host === "[::1]" || /^127\./.test(host);
}

/** Each circle of `after` once. */
function circles(raw: RawSite): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: readonly string[]): void => {
    const at = trail.indexOf(name);
    if (at >= 0) return void found.push([...trail.slice(at), name]);
    if (done.has(name)) return;
    for (const before of raw.devices[name]?.after ?? []) visit(before, [...trail, name]);
    done.add(name);
  };
  for (const name of Object.keys(raw.devices)) visit(name, []);
  return found;
}
