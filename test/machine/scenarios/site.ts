import assert from "node:assert/strict";
import { talkLinesIn } from "../far-end.ts";
import type { GpioEvent } from "../gpio-trace.ts";
import type { Guest, Scenario } from "../guest.ts";
import { FIRST, type LaidSite, logLines, NEXT, NEXT_VERSION, ready, SOCKET, sleep } from "../site.ts";

/** An installed site on a machine with real drivers: what its relays and consoles do, whatever its program does. */

/** Relay 1 of the board. The module pulls in at low. */
const LINE = 17;

const levels = (trace: readonly GpioEvent[]) =>
  trace.filter(({ line, kind }) => line === LINE && kind === "value").map(({ value }) => value);

async function pinOf(guest: Guest): Promise<string> {
  const pin = (await guest.pins()).find(({ line }) => line === LINE);
  return `${pin?.mode} ${pin?.level === 1 ? "high" : "low"}`;
}

const RELEASED = "output high";
const ENERGISED = "output low";

/** Nothing set, turned around or let go. The inputs that the program gives back and takes again are no relays. */
async function assertStill(guest: Guest, what: string): Promise<void> {
  const moved = (await guest.gpioTrace()).filter(({ line }) => RELAY_LINES.includes(line));
  const settled = moved.filter(({ kind, value, line }) => !(kind === "value" && value === lastLevel.get(line)));
  assert.deepEqual(settled, [], what);
}

const RELAY_LINES = [17, 27];
/** The same level driven again is no edge. */
const lastLevel = new Map<number, number>();

async function remember(guest: Guest): Promise<void> {
  for (const { line, level } of await guest.pins()) if (RELAY_LINES.includes(line)) lastLevel.set(line, level);
  await guest.gpioTrace();
}

/** @param between what is tried on the site before it is removed. */
export function siteScenarios(site: LaidSite, between: readonly Scenario[] = []): readonly Scenario[] {
  const operator = site.operator();

  const installs = async (guest: Guest): Promise<void> => {
    await site.join(guest);
    await guest.gpioTrace();
    await guest.expect(`dpkg -i ${FIRST}`, { timeoutMs: 180_000 });
    await ready(guest);
    assert.equal(await pinOf(guest), RELEASED);
    const taken = await logLines(guest, "relay.taken-over");
    assert.deepEqual(
      taken.map(({ line, source, high }) => [line, source, high]),
      ["GPIO17", "GPIO27", "GPIO22", "GPIO23"].map((line) => [line, "cold", true]),
    );
    assert.match(await guest.expect("gpioinfo 2>/dev/null | grep towpath"), /GPIO17.*towpath:a1/);
    await guest.expect("dpkg --verify towpath && systemctl is-enabled towpath");
  };

  const cycles = async (guest: Guest): Promise<void> => {
    await remember(guest);
    const seen: string[] = [];
    const result = await operator.power("cycle", "router1", (reply) => {
      if (reply.phase === "progress") void pinOf(guest).then((pin) => seen.push(pin));
    });
    assert.equal(result?.phase, "result", JSON.stringify(result));
    await sleep(300);
    assert.ok(seen.includes(ENERGISED), `never seen from outside: ${seen.join(", ")}`);
    assert.equal(await pinOf(guest), RELEASED);
    assert.deepEqual(levels(await guest.gpioTrace()), [0, 1]);
  };

  const records = async (guest: Guest): Promise<void> => {
    await guest.eventually(`towpath status --local ${SOCKET} --json | grep -q '"router1":{"rev":[0-9]*,"state":"up"'`);
    const talk = guest.adapters.console(1).talk(50);
    await sleep(2_000);
    const said = talk.stop();
    assert.ok(said > 20, `the far end said only ${said} lines`);
    const read = async () =>
      talkLinesIn((await guest.run(`towpath log one/router1 --all --raw --local ${SOCKET}`)).out).slice(-said);
    let heard = await read();
    for (let tries = 0; heard.length < said && tries < 5; tries++) heard = await read();
    assert.deepEqual(
      heard,
      Array.from({ length: said }, (_, n) => n),
    );
  };

  const killed = async (guest: Guest): Promise<void> => {
    const off = await operator.power("off", "router1");
    assert.equal(off?.phase, "result", JSON.stringify(off));
    await remember(guest);
    assert.equal(await pinOf(guest), ENERGISED);
    for (const how of [
      "kill -9 $pid",
      "systemctl restart towpath",
      "systemctl stop towpath; sleep 1; systemctl start towpath",
    ]) {
      const pid = await ready(guest);
      await guest.expect(`pid=${pid}; ${how}`, { timeoutMs: 120_000 });
      await ready(guest, pid);
      assert.equal(await pinOf(guest), ENERGISED, how);
      await assertStill(guest, how);
    }
    const sources = (await logLines(guest, "relay.taken-over")).slice(-4).map(({ source }) => source);
    assert.deepEqual(sources, ["stored", "stored", "stored", "stored"]);
    assert.equal(
      await guest.expect("systemctl show -p NFileDescriptorStore --value towpath"),
      "6",
      "lines and terminals",
    );
  };

  const hangs = async (guest: Guest): Promise<void> => {
    await guest.write("/etc/systemd/system/towpath.service.d/quick.conf", "[Service]\nWatchdogSec=9\n");
    const before = await ready(guest);
    await guest.expect("systemctl daemon-reload && systemctl restart towpath", { timeoutMs: 120_000 });
    const pid = await ready(guest, before);
    await sleep(12_000);
    assert.equal(await ready(guest), pid, "a controller that is well was restarted");
    await remember(guest);
    await guest.expect(`kill -STOP ${pid}`);
    await ready(guest, pid);
    assert.match(await guest.expect("journalctl -u towpath --no-pager | tail -50"), /[Ww]atchdog/);
    await assertStill(guest, "a watchdog's restart");
    await guest.expect("rm /etc/systemd/system/towpath.service.d/quick.conf; systemctl daemon-reload");
  };

  const upgrades = async (guest: Guest): Promise<void> => {
    const pid = await ready(guest);
    await remember(guest);
    await guest.expect(`dpkg -i ${NEXT}`, { timeoutMs: 180_000 });
    await ready(guest, pid);
    assert.equal(await pinOf(guest), ENERGISED);
    await assertStill(guest, "an upgrade");
    const state = await operator.status();
    assert.equal(state.version, NEXT_VERSION);
    const on = await operator.power("on", "router1");
    assert.equal(on?.phase, "result", JSON.stringify(on));
    assert.equal(await pinOf(guest), RELEASED);
  };

  /** Not a promise but a measure: what this kernel does when nobody keeps the lines. */
  const without = async (guest: Guest): Promise<void> => {
    const unit = "/etc/systemd/system/towpath.service.d/without.conf";
    await guest.write(unit, "[Service]\nFileDescriptorStoreMax=0\nFileDescriptorStorePreserve=no\n");
    await guest.expect(
      "systemctl daemon-reload; systemctl stop towpath; systemctl clean --what=fdstore towpath || true",
      {
        timeoutMs: 120_000,
      },
    );
    await guest.expect("systemctl start towpath", { timeoutMs: 120_000 });
    const pid = await ready(guest);
    await operator.power("off", "router1");
    assert.equal(await pinOf(guest), ENERGISED);
    await guest.gpioTrace();
    await guest.expect(`kill -9 ${pid}; sleep 0.5`);
    const gone = await pinOf(guest);
    const freed = (await guest.gpioTrace()).some(({ line, kind }) => line === LINE && kind === "freed");
    assert.ok(freed, "the line was kept though nobody keeps it");
    await ready(guest, pid);
    const again = await pinOf(guest);
    process.stdout.write(
      `        without the store, on this kernel: held ${ENERGISED}, killed: ${gone}, back: ${again}\n`,
    );
    const told = await guest.expect(`towpath events one --local ${SOCKET} --json | tail -20`);
    if (again !== ENERGISED) assert.match(told, /outlet\.drift/);
    await guest.expect(`rm ${unit}; systemctl daemon-reload; systemctl restart towpath`, { timeoutMs: 120_000 });
    await ready(guest, pid);
    await operator.power("on", "router1");
  };

  const removed = async (guest: Guest): Promise<void> => {
    await guest.expect("dpkg -r towpath", { timeoutMs: 180_000 });
    assert.notEqual((await guest.run("systemctl is-active towpath")).code, 0);
    assert.notEqual((await guest.run("gpioinfo 2>/dev/null | grep -q towpath")).code, 0, "a line is still held");
    await guest.expect("test -e /etc/towpath/site.yaml && test -e /var/lib/towpath/site.key");
  };

  return [
    { name: "the package installs, and the controller runs with each relay as it was", run: installs },
    { name: "a signed cycle from outside moves the line of its relay, off and on, and nothing else", run: cycles },
    { name: "what the router says is in the journal, byte for byte", run: records },
    {
      name: "killed, restarted, stopped and started with a relay held: no edge, and the line never let go",
      run: killed,
    },
    { name: "a controller whose loop stands still is started again by the watchdog, relays unmoved", run: hangs },
    { name: "an upgrade moves no relay, and the new version answers", run: upgrades },
    {
      name: "without the file-descriptor store the kernel decides what a held relay does: measured, and drift is told",
      run: without,
    },
    ...between,
    { name: "after removal nothing runs, no line is held, config and key are there", run: removed },
  ];
}
