import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type EchoDevice, echoDevice, program, pythonWithSerial } from "./echo-device.ts";
import { onTerminal } from "./terminal.ts";
import { freePort, makeSite, type Ran, run, start, startController, temporaryFolder, until } from "./world.ts";

interface Served {
  readonly device: EchoDevice;
  readonly ports: Readonly<Record<"raw" | "telnet" | "rfc2217" | "watch", number>>;
  /** Records of sessions. */
  told(): Record<string, unknown>[];
}

/** A site whose console is a terminal that echoes, with a listener of each kind. */
async function serve(): Promise<Served> {
  const device = echoDevice();
  const [raw, telnet, rfc2217, watch] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const site = await makeSite(temporaryFolder(), {
    yaml: `consoles:
  router1: { port: { path: ${device.path} }, baudRate: 9600 }
access:
  listeners:
    - { console: router1, raw: "127.0.0.1:${raw}", telnet: "127.0.0.1:${telnet}", rfc2217: "127.0.0.1:${rfc2217}", mode: type }
    - { console: router1, raw: "127.0.0.1:${watch}" }
`,
  });
  const controller = await startController(site.config);
  await until(
    () =>
      (controller.log().match(/listener\.ready/g) ?? []).length === 4 &&
      /"state":"up".*"ledger.console"/.test(controller.log()),
    20_000,
    controller.log,
  );
  return {
    device,
    ports: { raw, telnet, rfc2217, watch },
    told: () =>
      controller
        .log()
        .split("\n")
        .filter((line) => line.includes('"ledger.session"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

const PYSERIAL = `
import sys, serial
port = serial.serial_for_url("rfc2217://127.0.0.1:%s" % sys.argv[1], baudrate=115200, timeout=10)
port.write(b"from pyserial\\r")
got = port.read_until(b"\\r")
port.reset_input_buffer(); port.reset_output_buffer()
port.dtr = False; port.rts = False
port.send_break(0.1)
port.baudrate = 19200
cts = port.cts
print(repr(got), port.baudrate, cts)
sys.stdin.readline()
port.close()
`;

describe("programs of the field at a listener", () => {
  it("pyserial sets speed and lines, purges, breaks and types by RFC 2217; the line is as before when it leaves", async () => {
    const python = pythonWithSerial();
    if (python === null) return;
    const { device, ports, told } = await serve();
    const child = start(python, ["-c", PYSERIAL, String(ports.rfc2217)]);
    await until(() => device.speed() === "19200" || child.child.exitCode !== null, 30_000, child.log);
    await until(() => child.log().includes("19200"), 30_000, child.log);
    expect(child.log()).toContain(String.raw`b'from pyserial\r' 19200 True`);
    expect(device.heard()).toBe("from pyserial\r");
    child.child.kill("SIGKILL");
    await until(() => device.speed() === "9600", 20_000, child.log);
    await until(() => told().some(({ undone }) => undone === true));
    const records = told().map(({ what, line, undone, name }) => [what, line ?? name, undone]);
    expect(records).toContainEqual(["line", "115200 8n1", false]);
    expect(records).toContainEqual(["line", "19200 8n1", false]);
    expect(records).toContainEqual(["line", "9600 8n1", true]);
    expect(records).toContainEqual(["sent", "break", undefined]);
  });

  it("socat types over raw TCP and sees the echo; a watcher sees the same and types nothing", async () => {
    const socat = program("socat");
    if (socat === null) return;
    const { device, ports } = await serve();
    const watching = connect(ports.watch, "127.0.0.1");
    let seen = "";
    watching.on("data", (bytes: Buffer) => (seen += bytes.toString("latin1")));
    await new Promise((resolve) => watching.once("connect", resolve));
    watching.write("not this");
    const ran: Ran = await run(socat, ["-t", "2", "-", `TCP:127.0.0.1:${ports.raw}`], { input: "show version\r" });
    expect(ran.out).toBe("show version\r");
    await until(() => seen === "show version\r");
    expect(device.heard()).toBe("show version\r");
    watching.destroy();
  });

  it("two programs that both may type: the first to type has the right, the other one is hung up when it types", async () => {
    const { device, ports } = await serve();
    const [one, other] = [connect(ports.raw, "127.0.0.1"), connect(ports.raw, "127.0.0.1")];
    let closed = false;
    other.on("close", () => {
      closed = true;
    });
    one.on("data", () => undefined);
    other.on("data", () => undefined);
    one.write("first");
    await until(() => device.heard() === "first");
    other.write("second");
    await until(() => closed);
    one.destroy();
    expect(device.heard()).toBe("first");
  });

  it("the telnet program types, and its BREAK reaches the port and the ledger", async () => {
    const telnet = program("telnet");
    if (telnet === null) return;
    const { device, ports, told } = await serve();
    const terminal = onTerminal(telnet, ["127.0.0.1", String(ports.telnet)]);
    await until(() => terminal.screen().includes("Escape character"), 10_000, terminal.screen);
    device.say("login: ");
    await until(() => terminal.screen().includes("login: "), 10_000, terminal.screen);
    terminal.type("admin\r");
    await until(
      () => device.heard() === "admin\r",
      10_000,
      () => JSON.stringify(device.heard()),
    );
    terminal.type("\u001d");
    await until(() => terminal.screen().includes("telnet>"), 10_000, terminal.screen);
    terminal.type("send brk\r");
    await until(() => told().some(({ what, name }) => what === "sent" && name === "break"), 20_000);
    terminal.child.kill("SIGKILL");
  });

  it("gensio reaches it over telnet with RFC 2217 and sets its speed", async () => {
    const gensiot = program("gensiot");
    if (gensiot === null) return;
    const { device, ports } = await serve();
    const gensio = `telnet(rfc2217=true),tcp,127.0.0.1,${ports.rfc2217}`;
    const terminal = onTerminal(gensiot, ["-i", "stdio(self)", gensio]);
    device.say("login: ");
    await until(() => terminal.screen().includes("login: "), 15_000, terminal.screen);
    terminal.type("abc\r");
    await until(() => device.heard().startsWith("abc"), 15_000, terminal.screen);
    terminal.child.kill("SIGKILL");
  });

  it("conserver and conman serve it on to their own clients, at the same time", async () => {
    const [conserver, conman] = [program("conserver"), program("conmand")];
    if (conserver === null || conman === null || program("console") === null) return;
    const { device, ports } = await serve();
    const folder = temporaryFolder();
    const [port, conmanPort] = [await freePort(), await freePort()];
    const file = join(folder, "conserver.cf");
    writeFileSync(
      file,
      `config * { sslrequired no; }
default full { rw *; }
default * { logfile "${folder}/&.log"; include full; }
console router1 { master localhost; type host; host 127.0.0.1; port ${ports.raw}; protocol raw; }
access * { trusted 127.0.0.1; }
`,
    );
    start(conserver, ["-C", file, "-p", String(port), "-M", "127.0.0.1", "-P", join(folder, "none"), "-L", folder]);
    writeFileSync(
      join(folder, "conman.conf"),
      `SERVER loopback=on
SERVER port=${conmanPort}
SERVER pidfile="${folder}/conmand.pid"
CONSOLE name="router1" dev="127.0.0.1:${ports.telnet}"
`,
    );
    start(conman, ["-F", "-c", join(folder, "conman.conf")]);
    await Promise.all([port, conmanPort].map((one) => until(() => listens(one), 20_000)));
    const left = onTerminal("console", ["-M", "127.0.0.1", "-p", String(port), "-e", "^Ec", "router1"]);
    const right = onTerminal("conman", ["-d", `127.0.0.1:${conmanPort}`, "-m", "router1"]);
    await until(() => /\[Enter/.test(left.screen()), 20_000, left.screen);
    await until(() => /Connection to console/.test(right.screen()), 20_000, right.screen);
    await until(
      () => {
        device.say("login: ");
        return left.screen().includes("login: ") && right.screen().includes("login: ");
      },
      20_000,
      () => `${left.screen()}\n${right.screen()}`,
    );
    left.type("from conserver\r");
    await until(() => device.heard().includes("from conserver"), 15_000, left.screen);
    await until(() => right.screen().includes("from conserver"), 15_000, right.screen);
  });
});

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false));
    probe.unref();
    setTimeout(() => probe.destroy(), 500);
  });
}
