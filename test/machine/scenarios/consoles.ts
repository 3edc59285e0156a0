import assert from "node:assert/strict";
import { plugCp2102 } from "../cp2102.ts";
import { talkLinesIn } from "../far-end.ts";
import type { Guest, Scenario } from "../guest.ts";
import { type LaidSite, type Operator, ready, SOCKET, sleep } from "../site.ts";

/** Real adapters under an installed controller: pulled, moved, doubled, written to never. */

const SITE = "/etc/towpath/site.yaml";

type Consoles = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Asked from outside: a command in the emulated machine takes seconds to start. */
async function consoleOf({ operator }: Site, name: string): Promise<Readonly<Record<string, unknown>>> {
  return ((await operator.status()).consoles as Consoles | undefined)?.[name] ?? {};
}

async function untilConsole(
  site: Site,
  name: string,
  good: (one: Readonly<Record<string, unknown>>) => boolean,
): Promise<void> {
  let last: unknown = null;
  for (let tries = 0; tries < 60; tries++) {
    const now = await consoleOf(site, name);
    if (good(now)) return;
    last = now;
    await sleep(500);
  }
  throw new Error(`${name} is ${JSON.stringify(last)}`);
}

/** A machine with an installed site, and its operator. */
interface Site {
  readonly guest: Guest;
  readonly operator: Operator;
}

const up = ({ state }: Record<string, unknown>) => state === "up";

/** Bytes that the driver sent to the adapter since the machine started. */
const sentTo = (guest: Guest, n: number): number =>
  guest.adapters.told(n).reduce((sum, event) => sum + (event.kind === "out" ? event.bytes.length : 0), 0);

const logged = async (guest: Guest, name: string): Promise<readonly number[]> =>
  talkLinesIn((await guest.run(`towpath log one/${name} --all --raw --local ${SOCKET}`)).out);

/** Whoever has opened a port before, for the kernel remembers a number's settings: nothing is sent, ever. */
async function silentAtOpen(site: Site): Promise<void> {
  const { guest } = site;
  const talks = [1, 2].map((n) => guest.adapters.console(n).talk(100));
  for (const name of ["router1", "switch1"]) await untilConsole(site, name, up);
  const before = [1, 2].map((n) => sentTo(guest, n));
  const pid = await ready(guest);
  await guest.expect("systemctl stop towpath; systemctl clean --what=fdstore towpath; systemctl start towpath", {
    timeoutMs: 120_000,
  });
  await ready(guest, pid);
  for (const name of ["router1", "switch1"]) await untilConsole(site, name, up);
  await sleep(1_000);
  for (const talk of talks) talk.stop();
  assert.deepEqual(
    [1, 2].map((n) => sentTo(guest, n)),
    before,
  );
}

/** So many milliseconds of emulated time lie between a driver's first read and raw mode, at the very most. */
const ECHO_ENDS_MS = 1_000;

const SPEECH = "switch7 says what it always says when it is asked nothing: hello, hello, this is line one of many\r\n";

/**
 * A terminal that the kernel has just made echoes until somebody makes it raw, which nobody can do before it is open.
 * The rule at plug time makes that as short as it can be: what is sent then is measured, and nothing comes after.
 */
async function firstOpen(site: Site): Promise<void> {
  const { guest } = site;
  const chip = await plugCp2102(guest, { serial: "SILABS7" });
  const talk = setInterval(() => chip.say(SPEECH), 9);
  try {
    await untilConsole(site, "switch7", up);
    await sleep(1_500);
  } finally {
    clearInterval(talk);
  }
  const told = chip.told();
  const opened = told.find((event) => event.kind === "enabled" && event.on);
  const out = told.flatMap((event) => (event.kind === "out" ? [event] : []));
  const bytes = out.reduce((sum, one) => sum + one.bytes.length, 0);
  const lastMs = Math.max(0, ...out.map(({ atMs }) => atMs - (opened?.atMs ?? 0)));
  process.stdout.write(
    `        echo at the first open of a number, the device talking at 115200 baud: ${bytes} bytes in ${lastMs} ms of emulated time\n`,
  );
  assert.ok(
    opened !== undefined && told.filter(({ kind }) => kind === "enabled").length >= 3,
    "opened less than twice",
  );
  assert.ok(lastMs < ECHO_ENDS_MS, `something was sent ${lastMs} ms after the first open`);
  await guest.eventually(`towpath log one/switch7 --all --raw --local ${SOCKET} | grep -q 'line one of many'`);
  assert.match(JSON.stringify(await consoleOf(site, "switch7")), /"cts":true,"dsr":true,"dcd":false.*"dtr":true/);
  chip.unplug();
  await untilConsole(site, "switch7", ({ state }) => state === "down");
}

async function pulled(site: Site): Promise<void> {
  const { guest } = site;
  await untilConsole(site, "switch1", up);
  for (const port of [undefined, 4]) {
    const before = guest.adapters.console(2).talk(100);
    await sleep(1_500);
    await guest.adapters.unplug(2);
    before.stop();
    await untilConsole(site, "switch1", ({ state, code }) => state === "down" && code === "console.missing");
    await guest.adapters.plug(2, { serial: "CONSOLE2", ...(port === undefined ? {} : { port }) });
    await untilConsole(site, "switch1", up);
    const after = guest.adapters.console(2).talk(100);
    await sleep(1_500);
    const said = after.stop();
    await sleep(1_000);
    const numbers = await logged(guest, "switch1");
    assert.equal(numbers.at(-1), said - 1, `not captured again at ${port ?? "the same place"}`);
    const stat = JSON.parse(await guest.expect("towpath journal stat /var/lib/towpath --json"));
    assert.ok(stat.consoles.switch1.gaps > 0, JSON.stringify(stat));
  }
  await guest.adapters.unplug(2);
  await guest.adapters.plug(2);
  await untilConsole(site, "switch1", up);
}

async function twins(site: Site): Promise<void> {
  const { guest } = site;
  await untilConsole(site, "router1", up);
  const heard = guest.adapters.console(1).heardText();
  await guest.adapters.plug(3, { serial: "CONSOLE1" });
  await untilConsole(site, "router1", ({ code }) => code === "console.quarantined");
  assert.match(await guest.expect(`towpath ports --config ${SITE}`), /hub/);
  await guest.adapters.unplug(3);
  await untilConsole(site, "router1", up);
  assert.equal(guest.adapters.console(1).heardText(), heard, "something was written to a console in doubt");
}

const BREAK_SCRIPT = `
const { createTtyPort } = await import("/usr/lib/towpath/src/console/tty-port.js");
const { createSweeper } = await import("/usr/lib/towpath/src/console/sweeper.js");
const path = "/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_CONSOLE2-if00-port0";
const framing = { dataBits: 8, parity: "none", stopBits: 1 };
const port = createTtyPort({ locate: () => path, baudRate: 9600, framing, flow: "none" }, createSweeper());
await new Promise((up, down) => port.start({ up, down: (code, why) => down(new Error(why)), data() {} }));
console.log(await port.sendBreak(300));
await port.stop();
`;

async function breaks(site: Site): Promise<void> {
  const { guest } = site;
  const pid = await ready(guest);
  await guest.expect("systemctl stop towpath", { timeoutMs: 60_000 });
  await guest.write("/tmp/break.mjs", BREAK_SCRIPT);
  assert.equal(await guest.expect("node /tmp/break.mjs"), "true");
  const told = guest.adapters.told(2).flatMap((event) => (event.kind === "break" ? [event] : []));
  const begun = told.findLast(({ on }) => on);
  const ended = told.at(-1);
  assert.ok(begun !== undefined && ended !== undefined && !ended.on, JSON.stringify(told));
  const longMs = ended.atMs - begun.atMs;
  assert.ok(longMs >= 250 && longMs < 2_000, `a BREAK of ${longMs} ms`);
  await guest.expect("systemctl start towpath", { timeoutMs: 120_000 });
  await ready(guest, pid);
}

async function examines({ guest }: Site): Promise<void> {
  const doctor = `towpath doctor --config ${SITE}`;
  const { out } = await guest.run(`${doctor} --json`);
  const findings: { check: string; level: string; what: string }[] = JSON.parse(
    out.trim().split("\n").at(-1) ?? "",
  ).findings;
  const level = (check: string) => findings.filter((one) => one.check === check).map((one) => one.level);
  const told = JSON.stringify(findings);
  assert.deepEqual(level("lines.chip"), ["ok"], told);
  assert.deepEqual(level("lines.held"), ["ok"], told);
  assert.deepEqual(level("lines.release"), ["ok"], told);
  assert.ok(!level("serial.modem-manager").includes("bad"), told);
  const refused = await guest.run(`towpath doctor --relay 1 --yes --config ${SITE}`);
  assert.equal(refused.code, 4, refused.out);
  assert.match(refused.out, /holds the lines/);
}

/** A stray script took a line while the controller was away. */
async function thief({ guest, operator }: Site): Promise<void> {
  const pid = await ready(guest);
  await guest.expect("systemctl stop towpath; systemctl clean --what=fdstore towpath", { timeoutMs: 60_000 });
  const chip = "$(gpiodetect | sed -n 's/ .pinctrl.*//p' | head -1)";
  await guest.expect(`systemd-run -q --unit thief gpioset -c ${chip} 23=1; sleep 1; systemctl start towpath`, {
    timeoutMs: 120_000,
  });
  await ready(guest, pid);
  assert.match((await guest.run(`towpath doctor --config ${SITE}`)).out, /GPIO23.*held by "gpioset/);
  const refused = await operator.power("off", "server1");
  assert.match(JSON.stringify(refused), /held by \\"gpioset/);
  assert.equal((await operator.power("off", "router1"))?.phase, "result");
  await operator.power("on", "router1");
  await guest.expect("systemctl stop thief");
  const free = await operator.power("off", "server1");
  assert.equal(free?.verdict, "commanded", JSON.stringify(free));
}

/** Names of what is tried, in order. */
const TRIED: readonly (readonly [name: string, run: (site: Site) => Promise<void>])[] = [
  ["no byte goes to a device when its port is opened again, though it talks at that moment", silentAtOpen],
  [
    "the first open of a new number may echo for a moment and never later; a CP2102 is a console like any other",
    firstOpen,
  ],
  ["a cable pulled in mid-line and put back, here and elsewhere, is a gap and then the console again", pulled],
  ["a twin serial number closes the console until the twin is gone, and nothing is written to it", twins],
  ["a BREAK reaches the adapter, as long as it was meant to be", breaks],
  ["the doctor sees chip, lines and store, and clicks no relay that a controller holds", examines],
  ["a line that a thief took is named, the site runs without it, and has it when it is free", thief],
];

export function consoleScenarios(site: LaidSite): readonly Scenario[] {
  const operator = site.operator();
  return TRIED.map(([name, run]) => ({ name, on: "vm", run: (guest) => run({ guest, operator }) }));
}
