import assert from "node:assert/strict";
import type { Guest, Outcome, Scenario } from "../guest.ts";
import { type LaidSite, sleep } from "../site.ts";

/**
 * The three verdicts that a person at a terminal can get of an outlet whose contact is sensed. What stands for the
 * relay and its contact lives on the other side of the simulated chip, and the program has no part in it.
 */

/** Relay 3 of the board, which pulls in at low, and its input s1, which is pulled down where the load has power. */
const LINE = 22;
const CONTACT = "/run/gpio-sim-pi/sim_gpio12/pull";
const FED = "pull-down";
const DARK = "pull-up";

/** A relay that obeys, with a healthy contact: the load is on an NC contact, so a released relay feeds it. */
const RELAY = `last=
while sleep 0.1; do
  level=$(</run/gpio-sim-pi/sim_gpio${LINE}/value)
  if [ "$level" = "$last" ]; then continue; fi
  if [ "$level" = 1 ]; then echo ${FED}; else echo ${DARK}; fi >${CONTACT}
  last=$level
done
`;

interface Site {
  readonly guest: Guest;
  readonly laid: LaidSite;
}

const obey = async ({ guest }: Site): Promise<void> => {
  await guest.write("/tmp/relay3", RELAY);
  await guest.expect("systemctl is-active -q relay3 || systemd-run -q --collect --unit relay3 bash /tmp/relay3");
};

/** Its armature rests where it is, and so does the contact. */
const stick = ({ guest }: Site) => guest.expect("systemctl stop relay3");

async function outlet({ laid }: Site): Promise<Readonly<Record<string, unknown>>> {
  const { outlets } = (await laid.operator().status()) as { outlets?: Record<string, Record<string, unknown>> };
  return outlets?.a3 ?? {};
}

async function until(site: Site, what: string, good: (a3: string) => boolean): Promise<void> {
  for (let tries = 0; tries < 180; tries++) {
    if (good(JSON.stringify(await outlet(site)))) return;
    await sleep(500);
  }
  throw new Error(`${what}: ${JSON.stringify(await outlet(site))}`);
}

const observed = (site: Site, power: string) =>
  until(site, `s1 does not say ${power}`, (a3) => a3.includes(`"observed":{"value":"${power}"`));

/** As the operator types it; the site is known to answer. */
async function power({ laid }: Site, ...args: string[]): Promise<Outcome> {
  await laid.operator().status();
  return laid.towpath(["power", ...args, "--yes"]);
}

/** What the kernel saw of the relay's line since it was asked last. */
const driven = async ({ guest }: Site) =>
  (await guest.gpioTrace()).filter(({ line, kind }) => line === LINE && kind === "value").map(({ value }) => value);

/** Whatever was tried before: a simulated line that was let go falls to low. */
async function healthy(site: Site): Promise<void> {
  await obey(site);
  const on = await power(site, "on", "one/modem1");
  assert.match(on.out, /verified/);
  await until(site, "the alarm of before does not clear", (a3) => a3.includes('"alarm":false'));
  await driven(site);
}

async function obeys(site: Site): Promise<void> {
  await healthy(site);
  const cycled = await power(site, "cycle", "one/modem1");
  assert.equal(cycled.code, 0, cycled.out);
  assert.match(cycled.out, /verified: done, and the observation agrees/);
  assert.deepEqual(await driven(site), [0, 1]);
}

async function sticks(site: Site): Promise<void> {
  await healthy(site);
  await stick(site);
  const off = await power(site, "off", "one/modem1");
  assert.equal(off.code, 4, off.out);
  assert.match(off.out, /^failed: FAILED$/m);
  assert.match(off.out, /^ +a3: commanded off, observed on after 5000 ms \(fact\.disagrees\)$/m);
  await until(site, "no alarm of the outlet", (a3) => a3.includes('"alarm":true'));
  // Told for as long as it lasts, and tried once.
  assert.deepEqual(await driven(site), [0]);
  const { driven: line, observed: contact } = await outlet(site);
  assert.match(JSON.stringify([line, contact]), /"off".*"relay 3".*"on".*"input s1"/);
  await obey(site);
  await observed(site, "off");
  assert.match((await power(site, "on", "one/modem1")).out, /verified/);
  assert.deepEqual(await driven(site), [1]);
}

/** The load has power and goes off and on; its contact says dark all the time, and at first nobody switches. */
async function lies(site: Site): Promise<void> {
  const { guest, laid } = site;
  await healthy(site);
  await stick(site);
  await guest.expect(`echo ${DARK} >${CONTACT}`);
  await until(site, "no alarm of the contact", (a3) => a3.includes('"alarm":true'));
  assert.deepEqual(await driven(site), [], "an outlet was switched because its contact lied");
  const told = await laid.towpath(["events", "one"]);
  assert.match(told.out, /driven on, observed off \(input s1\)/);
  const cycled = await power(site, "cycle", "one/modem1");
  assert.equal(cycled.code, 4, cycled.out);
  assert.match(cycled.out, /a3: commanded on, observed off after 5000 ms \(fact\.disagrees\)/);
  assert.deepEqual(await driven(site), [0, 1]);
  await obey(site);
  await observed(site, "on");
  await until(site, "the alarm does not clear", (a3) => a3.includes('"alarm":false'));
  await guest.expect("systemctl stop relay3");
}

const TRIED: readonly (readonly [name: string, run: (site: Site) => Promise<void>])[] = [
  ["a relay that obeys is verified by its contact, and its line moved off and on", obeys],
  ["a relay that is stuck fails the command with exit 4, which names the contact, and is not tried again", sticks],
  ["a contact that lies raises an alarm, switches nothing by itself, and verifies no cycle", lies],
];

export function verdictScenarios(laid: LaidSite): readonly Scenario[] {
  return TRIED.map(([name, run]) => ({ name, on: "vm", run: (guest) => run({ guest, laid }) }));
}
