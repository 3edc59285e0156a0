import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { plugCp2102 } from "../cp2102.ts";
import { talkLinesIn } from "../far-end.ts";
import type { Guest, Scenario } from "../guest.ts";

/** What must hold of a machine before anything that is tried on it means something. */

/** No relay of a site is on it: what is left there is nobody's running level. */
const LINE = 26;

async function pin(guest: Guest, line: number) {
  const found = (await guest.pins()).find((one) => one.line === line);
  assert.ok(found, `line ${line} is not on the chip`);
  return found;
}

const chipOf = (guest: Guest) =>
  `$(gpiodetect | sed -n 's/^\\(gpiochip[0-9]*\\) \\[pinctrl-bcm${guest.kind === "vm" ? "2711" : "2835"}\\].*/\\1/p')`;

const device = (n: number) => `/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_CONSOLE${n}-if00-port0`;

async function waitFor(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < end, `not true in 30 s: ${condition}`);
    await sleep(50);
  }
}

async function listening(answer: (bytes: Buffer) => Buffer): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on("data", (bytes) => socket.write(answer(bytes)));
    // The guest's end goes when its program does.
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return { server, port: address.port };
}

async function drives(guest: Guest): Promise<void> {
  await guest.gpioTrace();
  const hold = (level: 0 | 1) =>
    guest.expect(
      `chip=${chipOf(guest)}; systemd-run -q --unit hold-${level} gpioset -c "$chip" ${LINE}=${level}; sleep 1`,
    );
  await hold(1);
  assert.deepEqual(await pin(guest, LINE), { line: LINE, level: 1, mode: "output" });
  await guest.expect("systemctl stop hold-1");
  await hold(0);
  assert.deepEqual(await pin(guest, LINE), { line: LINE, level: 0, mode: "output" });
  await guest.expect("systemctl stop hold-0");
  const trace = await guest.gpioTrace();
  const values = trace.filter(({ kind, line }) => kind === "value" && line === LINE).map(({ value }) => value);
  assert.deepEqual(values, [1, 0], JSON.stringify(trace));
  assert.equal(trace.filter(({ kind, line }) => kind === "freed" && line === LINE).length, 2, JSON.stringify(trace));
  assert.ok(
    trace.every(({ task }) => task.startsWith("gpioset-")),
    JSON.stringify(trace),
  );
  assert.deepEqual(await guest.gpioTrace(), []);
}

async function carries(guest: Guest): Promise<void> {
  const far = guest.adapters.console(1);
  await guest.eventually(`test -e ${device(1)}`);
  const reading = guest.expect(
    `stty -F ${device(1)} 9600 cs7 parenb raw -echo; timeout 8 cat ${device(1)} | tee /tmp/said | wc -c`,
  );
  await sleep(2500);
  const talk = far.talk(50);
  await sleep(2000);
  const said = talk.stop();
  await reading;
  const heard = talkLinesIn((await guest.get("/tmp/said")).toString("latin1"));
  assert.deepEqual(
    heard,
    Array.from({ length: said }, (_, n) => n),
  );
  const framing = guest.adapters
    .told(1)
    .filter(({ kind }) => kind === "framing")
    .at(-1);
  assert.ok(
    framing?.kind === "framing" && framing.dataBits === 7 && framing.parity === "even",
    JSON.stringify(framing),
  );
  const rate = guest.adapters
    .told(1)
    .filter(({ kind }) => kind === "baud")
    .at(-1);
  assert.ok(rate?.kind === "baud" && rate.rate === 9600, JSON.stringify(rate));
}

async function types(guest: Guest): Promise<void> {
  await guest.eventually(`test -e ${device(2)}`);
  await guest.expect(`stty -F ${device(2)} raw -echo; echo hello router >${device(2)}; sleep 1`);
  assert.equal(guest.adapters.console(2).heardText(), "hello router\n");
  const out = guest.adapters.told(2).flatMap((event) => (event.kind === "out" ? [event.bytes] : []));
  assert.equal(Buffer.concat(out).toString("latin1"), "hello router\n");
}

async function replugs(guest: Guest): Promise<void> {
  await guest.adapters.unplug(2);
  await guest.eventually(`! test -e ${device(2)}`);
  await guest.adapters.plug(2, { serial: "TWIN", port: 4 });
  await guest.eventually("test -e /dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_TWIN-if00-port0");
  await guest.adapters.unplug(2);
  await guest.adapters.plug(2);
  await guest.eventually(`test -e ${device(2)}`);
}

/** One line over the guest's own TCP, with nothing that has to be installed. */
const ask = (address: string) => {
  const [host, port] = address.split(":");
  return `timeout 5 bash -c 'exec 3<>/dev/tcp/${host}/${port}; echo hello >&3; read -r line <&3 && echo "got $line"'`;
};

async function reaches(guest: Guest): Promise<void> {
  const { server, port } = await listening((bytes) => bytes);
  try {
    for (const uplink of [guest.uplinks.primary, guest.uplinks.lte]) {
      uplink.reach(port);
      assert.equal(await guest.eventually(ask(uplink.address)), "got hello");
      assert.ok(uplink.count.up >= 6 && uplink.count.down >= 6, JSON.stringify(uplink.count));
      uplink.pass("silent");
      assert.notEqual((await guest.run(ask(uplink.address))).code, 0, `${uplink.interface} passes though it is silent`);
      uplink.pass("open");
      await uplink.cable("out");
      assert.notEqual((await guest.run(ask(uplink.address))).code, 0, `${uplink.interface} passes without its cable`);
      await uplink.cable("in");
      assert.equal(await guest.eventually(ask(uplink.address)), "got hello");
    }
  } finally {
    server.close();
  }
}

/** What `vm.ts` and `pi.ts` lay onto the disk before power comes, to see that it can be done. */
export const LAID = { "/opt/laid/by/package.json": join(import.meta.dirname, "../../../package.json") };

async function laid(guest: Guest): Promise<void> {
  for (const [path, file] of Object.entries(LAID)) assert.deepEqual(await guest.get(path), readFileSync(file));
}

async function copies(guest: Guest): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-copy-"));
  try {
    const bytes = randomBytes(guest.kind === "vm" ? 4_000_000 : 300_000);
    writeFileSync(join(folder, "file"), bytes, { mode: 0o640 });
    await guest.put(join(folder, "file"), "/var/tmp/copy/file");
    assert.equal(await guest.expect("stat -c %a /var/tmp/copy/file"), "640");
    assert.ok(bytes.equals(await guest.get("/var/tmp/copy/file")), "what came back is not what was sent");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function restarts(guest: Guest): Promise<void> {
  await guest.expect("echo kept >/var/tmp/kept; echo kept >/var/tmp/synced; sync");
  await guest.reboot();
  assert.equal(await guest.expect("cat /var/tmp/kept"), "kept");
  await guest.expect("echo lost >/var/tmp/unsynced");
  await guest.cutPower();
  assert.equal(await guest.expect("cat /var/tmp/synced"), "kept");
  assert.notEqual((await guest.run("grep -q lost /var/tmp/unsynced")).code, 0, "a power cut lost nothing");
  await guest.eventually(`test -e ${device(1)}`);
}

async function isDebian(guest: Guest): Promise<void> {
  await guest.eventually("systemctl is-system-running --wait | grep -qx running || { systemctl --failed; false; }", {
    timeoutMs: 180_000,
  });
  const text = await guest.expect(
    "ps -o comm= -p 1; node --version; dpkg --audit; dpkg-query -W systemd nodejs; date +%s",
  );
  assert.match(text, /^systemd\nv\d+\.\d+/);
  const offMs = Math.abs(Number(text.split("\n").at(-1)) * 1000 - Date.now());
  assert.ok(offMs < 300_000, `the guest's clock is ${offMs} ms off`);
}

async function cp2102(guest: Guest): Promise<void> {
  const chip = await plugCp2102(guest, { serial: "SILABS7" });
  const tty = "/dev/serial/by-id/usb-Silicon_Labs_CP2102_USB_to_UART_Bridge_Controller_SILABS7-if00-port0";
  await guest.eventually(`test -e ${tty}`);
  const reading = guest.expect(
    `stty -F ${tty} 19200 cs7 parodd parenb raw -echo; exec 3<>${tty}; echo login >&3; timeout 5 head -n 1 <&3`,
  );
  await waitFor(() => chip.told().some(({ kind }) => kind === "out"));
  chip.say("switch7 says hello\n");
  assert.equal(await reading, "switch7 says hello");
  const told = chip.told();
  const out = told.flatMap((event) => (event.kind === "out" ? [event.bytes] : []));
  assert.equal(Buffer.concat(out).toString("latin1"), "login\n");
  assert.ok(
    told.some((event) => event.kind === "baud" && event.rate === 19200),
    JSON.stringify(told),
  );
  assert.ok(told.some((event) => event.kind === "framing" && event.dataBits === 7 && event.parity === "odd"));
  chip.unplug();
  await guest.eventually(`! test -e ${tty}`);
}

/** A machine that works, from outside and from inside: with `--smoke` all of it, else what the rest stands on. */
export const smoke: readonly Scenario[] = [
  { name: "Debian runs under systemd, with nothing failed and the right time", run: isDebian },
  { name: "a line that gpioset drives is seen from outside, and each call once in the trace", run: drives },
  {
    name: "what a device says through its adapter arrives whole, and the adapter knows rate and framing",
    run: carries,
  },
  { name: "what is typed reaches the device, and nothing else does", run: types },
  { name: "an adapter that is pulled is gone, and comes back under the name it has then", run: replugs },
  { name: "a CP2102 that is plugged in over the network is a serial port like any other", run: cp2102 },
  { name: "each uplink reaches this machine, goes silent, loses its cable and recovers", run: reaches },
  { name: "a file that was laid onto the disk before power came is there", run: laid },
  { name: "a large file comes back as it went", run: copies },
  { name: "a reboot keeps the disk, a power cut keeps what was synced", run: restarts },
];
