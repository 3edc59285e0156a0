import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { sleep } from "../../src/operator/client.ts";
import { openDevices } from "./devices.ts";
import { type Keyboard, overProgram, overTcp, RFC2217_HELLO } from "./keys.ts";
import { captureSite } from "./peers.ts";
import { type Outcome, rounded, type Spread, spreadOf, sum } from "./report.ts";
import { freePort, installed, journalStat, type Scratch, startController, until, withScratch } from "./scratch.ts";
import { usageOf } from "./usage.ts";

/** From a key to its echo, beside the peers in the same run; and what many viewers cost the capture. */

const ROUNDS = 10;
const KEYS_PER_ROUND = 60;
const WATCHED = 48;
const VIEWERS = 4;
const WATCHED_MS = 10_000;
const TAIL_MS = 10_000;

interface Way {
  readonly name: string;
  /** Null: it is not installed here. */
  open(scratch: Scratch, path: string): Promise<Keyboard | null>;
}

const tcp: Way = { name: "tcp", open: (scratch, path) => listener(scratch, path, "raw") };
const rfc2217: Way = { name: "rfc2217", open: (scratch, path) => listener(scratch, path, "rfc2217") };

async function listener(scratch: Scratch, path: string, kind: "raw" | "rfc2217"): Promise<Keyboard> {
  const port = await freePort();
  const config = join(scratch.folder, `${kind}.yaml`);
  const site = captureSite([`  c1: { port: { path: ${path} }, baudRate: 115200 }`], "8MB");
  const access = `access: { listeners: [ { console: c1, ${kind}: "127.0.0.1:${port}", mode: type } ] }\n`;
  writeFileSync(config, `${site.replace("data: data", `data: ${kind}`)}${access}`);
  await startController(scratch, config);
  // The port opens a moment after the listener does.
  await sleep(500);
  return overTcp(port, kind === "raw" ? [] : RFC2217_HELLO);
}

const ser2net: Way = {
  name: "ser2net",
  async open(scratch, path) {
    const found = installed("ser2net");
    if (found === null) return null;
    const port = await freePort();
    const file = join(scratch.folder, "ser2net.yaml");
    writeFileSync(
      file,
      `%YAML 1.1
---
connection: &c1
  accepter: tcp(nodelay),127.0.0.1,${port}
  connector: serialdev,${path},115200n81,local
  options: { chardelay: false }
`,
    );
    const program = scratch.start(found, ["-n", "-u", "-c", file, "-P", join(scratch.folder, "ser2net.pid")]);
    await until("ser2net's port", () => answers(port), program);
    return overTcp(port);
  },
};

const conserver: Way = {
  name: "conserver",
  async open(scratch, path) {
    const [found, client] = [installed("conserver"), installed("console")];
    if (found === null || client === null) return null;
    const port = String(await freePort());
    const file = join(scratch.folder, "conserver.cf");
    const passwd = join(scratch.folder, "passwd");
    writeFileSync(passwd, "");
    writeFileSync(
      file,
      `config * { sslrequired no; }
default * { master localhost; type device; baud 115200; parity none; rw *; }
console c1 { device ${path}; }
access * { trusted 127.0.0.1; }
`,
    );
    const program = scratch.start(found, ["-C", file, "-P", passwd, "-M", "127.0.0.1", "-p", port]);
    await until("conserver's port", () => answers(Number(port)), program);
    return overProgram(client, ["-M", "127.0.0.1", "-p", port, "c1"], /\[Enter/);
  },
};

const conman: Way = {
  name: "conman",
  async open(scratch, path) {
    const [found, client] = [installed("conmand"), installed("conman")];
    if (found === null || client === null) return null;
    const port = await freePort();
    const file = join(scratch.folder, "conman.conf");
    writeFileSync(
      file,
      `SERVER loopback=on
SERVER port=${port}
SERVER pidfile="${scratch.folder}/conmand.pid"
CONSOLE name="c1" dev="${path}" seropts="115200,8n1"
`,
    );
    const program = scratch.start(found, ["-F", "-c", file]);
    await until("conman's port", () => answers(port), program);
    return overProgram(client, ["-d", `127.0.0.1:${port}`, "c1"], /Connection to console/);
  },
};

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, "127.0.0.1", () => {
      probe.destroy();
      resolve(true);
    });
    probe.on("error", () => resolve(false));
  });
}

async function keystrokes(scratch: Scratch): Promise<{ spreads: Record<string, Spread>; missing: string[] }> {
  const ways = [tcp, rfc2217, conserver, conman, ser2net];
  const echo = scratch.fork("./bench/echo.ts");
  const paths = await new Promise<string[]>((resolve) => {
    echo.once("message", (message) => resolve(message as string[]));
    echo.send(ways.length);
  });
  const open: { name: string; keys: Keyboard; times: number[] }[] = [];
  const missing: string[] = [];
  for (const [index, way] of ways.entries()) {
    const keys = await way.open(scratch, paths[index] ?? "");
    if (keys === null) missing.push(`${way.name}: not installed, skipped`);
    else open.push({ name: way.name, keys, times: [] });
  }
  // In turns: what the machine does meanwhile is everybody's.
  for (let round = 0; round < ROUNDS; round++) {
    for (const { keys, times } of open) {
      for (let key = 0; key < KEYS_PER_ROUND; key++) {
        const ms = await keys.press();
        if (round > 0) times.push(ms);
      }
    }
  }
  for (const { keys } of open) keys.close();
  return { spreads: Object.fromEntries(open.map(({ name, times }) => [name, spreadOf(times)])), missing };
}

interface Watched {
  readonly cpuPercent: number;
  readonly sentBytes: number;
  readonly lostBytes: number;
  readonly viewersShort: number;
}

async function watched(scratch: Scratch): Promise<Watched> {
  const devices = await openDevices(scratch, { ports: WATCHED, hold: false });
  const ports: number[] = [];
  for (const _ of devices.paths) ports.push(await freePort());
  const consoles = devices.paths.map((path, index) => `  c${index}: { port: { path: ${path} }, baudRate: 115200 }`);
  const listeners = ports.map((port, index) => `    - { console: c${index}, raw: "127.0.0.1:${port}" }`);
  const config = join(scratch.folder, "watched.yaml");
  const site = captureSite(consoles).replace("data: data", "data: watched");
  writeFileSync(config, `${site}access:\n  listeners:\n${listeners.join("\n")}\n`);
  const program = await startController(scratch, config);
  await devices.opened();
  const seen = ports.flatMap((port, index) =>
    Array.from({ length: VIEWERS }, () => {
      const viewer = { index, bytes: 0 };
      connect(port, "127.0.0.1")
        .on("data", (bytes: Buffer) => {
          viewer.bytes += bytes.length;
        })
        .on("error", () => undefined)
        .unref();
      return viewer;
    }),
  );
  await sleep(1_000);
  await devices.talk();
  const [begun, first] = [performance.now(), usageOf(program.group).cpuSeconds];
  await sleep(WATCHED_MS);
  const cpuPercent = ((usageOf(program.group).cpuSeconds - first) / (performance.now() - begun)) * 100_000;
  const { sent } = await devices.hush();
  const deadline = Date.now() + TAIL_MS;
  const short = () => seen.filter(({ index, bytes }) => bytes !== sent[index]).length;
  const captured = () => sum(Object.values(journalStat(join(scratch.folder, "watched"))).map(({ bytes }) => bytes));
  while ((short() > 0 || captured() !== sum(sent)) && Date.now() < deadline) await sleep(500);
  return {
    cpuPercent: rounded(cpuPercent, 1),
    sentBytes: sum(sent),
    lostBytes: sum(sent) - captured(),
    viewersShort: short(),
  };
}

export function benchAccess(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const { spreads, missing } = await keystrokes(scratch);
    const many = await watched(scratch);
    const p50 = (name: string): number => spreads[name]?.p50 ?? Number.NaN;
    const against = Object.hasOwn(spreads, conserver.name)
      ? [
          {
            what: `raw TCP p50 not above conserver's: ${p50("tcp")} ms against ${p50("conserver")} ms`,
            met: p50("tcp") <= p50("conserver"),
          },
        ]
      : [];
    return {
      // A key without an echo is no figure: then something is broken.
      ok: many.lostBytes === 0 && many.viewersShort === 0 && !Number.isNaN(p50("tcp")) && !Number.isNaN(p50("rfc2217")),
      table: {
        head: ["key to echo", "p50 ms", "p99 ms"],
        rows: Object.entries(spreads).map(([name, { p50: half, p99 }]) => [name, half.toFixed(3), p99.toFixed(3)]),
      },
      notes: [
        ...missing,
        `${(ROUNDS - 1) * KEYS_PER_ROUND} keys each, in turns; one pty each whose far end echoes at once.`,
        "tcp, rfc2217: Towpath's listeners; ser2net: raw TCP, its chardelay off; conserver, conman: their own clients.",
        `${WATCHED} consoles at 115200 baud, ${VIEWERS} raw viewers each: CPU ${many.cpuPercent} % of one core, ${many.sentBytes} bytes said, ${many.lostBytes} lost, ${many.viewersShort} of ${WATCHED * VIEWERS} viewers short.`,
      ],
      goals: against,
      figures: {
        p50Ms: Object.fromEntries(Object.keys(spreads).map((name) => [name, p50(name)])),
        p99Ms: Object.fromEntries(Object.entries(spreads).map(([name, { p99 }]) => [name, p99])),
        watched: { consoles: WATCHED, viewers: VIEWERS, ...many },
      },
    };
  });
}
