import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../../src/operator/client.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { makeCertificates } from "../certificates.ts";
import { openPty, type Pty } from "../pty.ts";
import { Receiver } from "../receiver.ts";
import { newKey, trustText } from "../trust.ts";
import type { Goal, Outcome } from "./report.ts";
import { rounded } from "./report.ts";
import {
  end,
  freePort,
  installed,
  type Program,
  type Scratch,
  startController,
  until,
  withScratch,
} from "./scratch.ts";
import { BROKER_ADDRESS, makeWire, SITE_ADDRESS, since, type Wire, type WireCount } from "./wire-net.ts";

/** Bytes on the wire per byte of console text: watched (250 ms), shipped (16 KiB or 60 s), and over `ssh -C`. */

const BYTES_PER_SECOND = 11_520;
const TICK_MS = 20;
const BATCH_MS = 60_000;
/** A receiver that syncs what it has before it says so. */
const ACKNOWLEDGE_MS = 5_000;
const GOAL_RATIO = 0.35;
const GOAL_OF_XZ = 1.3;
const PAGES = ["ip", "ip-address", "ip-route", "ip-link", "ip-neighbour", "ss", "bridge", "sshd_config", "tc"];

interface Text {
  readonly name: string;
  readonly bytes: Buffer;
  readonly xzBytes: number;
}

/** What is collected for a vendor's support, as on a router: kernel log, addresses, sockets, processes, counters, packages. */
const SUPPORT: readonly (readonly [string, ...string[]])[] = [
  ["dmesg"],
  ["sysctl", "-a"],
  ["ip", "-s", "-d", "addr"],
  ["ip", "route", "show", "table", "all"],
  ["ss", "-anoteimp"],
  ["ps", "auxwwf"],
  ["mount"],
  ["cat", "/proc/cpuinfo", "/proc/interrupts", "/proc/meminfo", "/proc/vmstat", "/proc/zoneinfo"],
  ["cat", "/proc/slabinfo", "/proc/net/snmp", "/proc/net/netstat", "/proc/diskstats"],
  ["dpkg", "-l"],
  ["cat", "/etc/services", "/etc/protocols"],
];

/** Text of this machine, as it is: a support collection, and the manual of its network commands as a terminal shows it. */
function textsOf(scratch: Scratch): Text[] {
  const support = SUPPORT.map(([program, ...words]) => said(program, words));
  const manual = PAGES.map((page) => said("man", ["-P", "cat", page]));
  const texts = [textOf(scratch, "support", Buffer.concat(support)), textOf(scratch, "manual", Buffer.concat(manual))];
  return texts.filter(({ bytes }) => bytes.length > 50_000);
}

/** Nothing where the program is not there: another machine has other text. */
function said(program: string, words: readonly string[]): Buffer {
  const env = { ...process.env, MANWIDTH: "80" };
  return (
    spawnSync(program, words, { env, maxBuffer: 1e8, stdio: ["ignore", "pipe", "ignore"] }).stdout ?? Buffer.alloc(0)
  );
}

function textOf(scratch: Scratch, name: string, raw: Buffer): Text {
  // A console ends its lines so.
  const bytes = Buffer.from(raw.toString("latin1").replaceAll("\n", "\r\n"), "latin1");
  const file = join(scratch.folder, "text");
  writeFileSync(file, bytes);
  return { name, bytes, xzBytes: execFileSync("xz", ["-9e", "-c", file], { maxBuffer: 1e8 }).length };
}

/** As a UART at 115200 brings it. */
async function play(pty: Pty, text: Buffer): Promise<void> {
  const begun = performance.now();
  for (let at = 0; at < text.length; ) {
    const due = Math.floor(((performance.now() - begun) / 1_000) * BYTES_PER_SECOND);
    if (due > at) at += pty.say(text.subarray(at, Math.min(text.length, due)));
    await sleep(TICK_MS);
  }
}

interface Scene {
  readonly scratch: Scratch;
  readonly wire: Wire;
  readonly broker: string;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
}

async function sceneOf(scratch: Scratch, wire: Wire, mosquitto: string): Promise<Scene & { siteTls: string }> {
  const certificates = makeCertificates(scratch.folder, BROKER_ADDRESS);
  const port = await freePort();
  const file = join(scratch.folder, "mosquitto.conf");
  const { server, site, operator, ca } = certificates;
  writeFileSync(
    file,
    `user root\nlistener ${port} ${BROKER_ADDRESS}\nallow_anonymous true\nset_tcp_nodelay true\n` +
      `cafile ${ca}\ncertfile ${server.cert}\nkeyfile ${server.key}\nrequire_certificate true\n`,
  );
  const program = scratch.start(mosquitto, ["-c", file]);
  await until("the broker", () => /running/.test(program.log()), program);
  const siteTls = `tls: { ca: ${ca}, cert: ${site.cert}, key: ${site.key} }`;
  return { scratch, wire, broker: `mqtts://${BROKER_ADDRESS}:${port}`, tls: { ca, ...operator }, siteTls };
}

type Way = "watched" | "shipped";
/** Somebody watches one console; a site ships all that it has, and says the rest once for all of them. */
const CONSOLES: Readonly<Record<Way, number>> = { watched: 1, shipped: 4 };

/** A console's share. */
function shared(all: WireCount, consoles: number): WireCount {
  const share = (value: number) => Math.round(value / consoles);
  return { packets: share(all.packets), frameBytes: share(all.frameBytes), ipBytes: share(all.ipBytes) };
}

/** One text through a controller of its own, until the other side has all of it. */
async function overTowpath(scene: Scene & { siteTls: string }, text: Text, way: Way): Promise<WireCount> {
  const { scratch, wire, broker, tls } = scene;
  const folder = join(scratch.folder, `${way}-${text.xzBytes}`);
  mkdirSync(folder);
  const ptys = Array.from({ length: CONSOLES[way] }, openPty);
  const vault = newKey();
  const operators = { vault: { key: vault, role: "admin" } };
  writeFileSync(join(folder, "trust.json"), trustText({ fleet: "acme", epoch: 1, root: newKey(), operators }));
  const config = join(folder, "site.yaml");
  writeFileSync(
    config,
    `site: one\nfleet: acme\ndata: data\nboard: sim\ntrust: trust.json\ncontroller: { poweredBy: none }\n` +
      `journal: { capture: 8MB, ledger: 2MB }\nlink: { brokers: [ "${broker}" ], ${scene.siteTls} }\n` +
      `consoles:\n${ptys.map(({ path }, at) => `  router${at}: { port: { path: ${path} }, baudRate: 115200 }\n`).join("")}`,
  );
  const controller = await startController(scratch, config, wire.atSite);
  const root = siteRoot("acme", "one");
  const receiver = new Receiver({ root, key: vault, broker, tls, answerAfterMs: ACKNOWLEDGE_MS });
  receiver.answers = way === "shipped";
  try {
    await until("the site", () => controller.log().includes("ready"), controller);
    if (way === "shipped") receiver.acknowledge();
    // What is said of the start is over by then.
    await sleep(12_000);
    const watch = () => receiver.watch("router0", "vault");
    if (way === "watched") watch();
    await sleep(2_000);
    const before = wire.count();
    const renewing = setInterval(() => way === "watched" && watch(), 30_000);
    await Promise.all(ptys.map((pty) => play(pty, text.bytes)));
    const wanted = text.bytes.toString("latin1");
    const whole = () => [...receiver.texts.values()].filter((one) => one.toString("latin1") === wanted).length;
    await until(`${way} text`, () => whole() === ptys.length, controller, 50, BATCH_MS + 20_000);
    clearInterval(renewing);
    await sleep(way === "shipped" ? ACKNOWLEDGE_MS : 500);
    return shared(since(before, wire.count()), ptys.length);
  } finally {
    await receiver.stop();
    await end(controller);
    for (const pty of ptys) pty.close();
  }
}

/** The same text through a terminal and `ssh -C`; null where no sshd runs. */
async function overSsh({ scratch, wire }: Scene, text: Text): Promise<WireCount | null> {
  const sshd = installed("sshd");
  if (sshd === null) return null;
  const file = (name: string) => join(scratch.folder, name);
  for (const name of ["host", "user"].filter((one) => !existsSync(file(one))))
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
  const settings = [
    `Port 2222\nListenAddress ${SITE_ADDRESS}\nHostKey ${file("host")}\nPidFile none\nUsePAM no\nStrictModes no`,
    `AuthorizedKeysFile ${file("user.pub")}\nPermitRootLogin yes\nCompression yes\nPasswordAuthentication no\n`,
  ];
  writeFileSync(file("sshd.conf"), settings.join("\n"));
  mkdirSync("/run/sshd", { recursive: true });
  const [first = "", ...rest] = [...wire.atSite, sshd, "-D", "-e", "-f", file("sshd.conf")];
  const daemon = scratch.start(first, rest);
  const began = () => /listening/.test(daemon.log());
  if (
    !(await until("sshd", began, daemon).then(
      () => true,
      () => false,
    ))
  )
    return null;
  const pty = openPty();
  try {
    return await countSsh(wire, pty, text, file("user"), daemon);
  } finally {
    await end(daemon);
    pty.close();
  }
}

async function countSsh(wire: Wire, pty: Pty, text: Text, identity: string, daemon: Program): Promise<WireCount> {
  const no = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"];
  const remote = `stty raw -echo < ${pty.path}; echo ready; exec cat ${pty.path}`;
  const words = ["-F", "none", "-C", "-p", "2222", "-i", identity, ...no, `root@${SITE_ADDRESS}`, remote];
  const client = spawn("ssh", words, { stdio: ["ignore", "pipe", "ignore"] });
  let heard = 0;
  client.stdout.on("data", (bytes: Buffer) => {
    heard += bytes.length;
  });
  try {
    await until("ssh", () => heard >= 6, daemon);
    await sleep(500);
    const [before, start] = [wire.count(), heard];
    await play(pty, text.bytes);
    await until("ssh's text", () => heard - start >= text.bytes.length, daemon);
    await sleep(500);
    return since(before, wire.count());
  } finally {
    client.kill("SIGKILL");
  }
}

interface Measured {
  readonly text: Text;
  readonly watched: WireCount;
  readonly shipped: WireCount;
  readonly ssh: WireCount | null;
}

export function benchWire(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const mosquitto = installed("mosquitto");
    const wire = mosquitto === null ? null : makeWire();
    if (mosquitto === null || wire === null) return nothing("it takes root, the command ip and mosquitto");
    try {
      const scene = await sceneOf(scratch, wire, mosquitto);
      const measured: Measured[] = [];
      for (const text of textsOf(scratch)) {
        const watched = await overTowpath(scene, text, "watched");
        const shipped = await overTowpath(scene, text, "shipped");
        measured.push({ text, watched, shipped, ssh: await overSsh(scene, text) });
      }
      return outcomeOf(measured);
    } finally {
      wire.end();
    }
  });
}

function nothing(why: string): Outcome {
  const goals = [{ what: `nothing was measured: ${why}`, met: false }];
  return { ok: true, table: { head: [], rows: [] }, notes: [], goals, figures: {} };
}

function outcomeOf(measured: readonly Measured[]): Outcome {
  const rows = measured.flatMap(({ text, watched, shipped, ssh }) => [
    rowOf(text, "towpath, watched, 250 ms", watched),
    rowOf(text, "towpath, shipped, 16 KiB or 60 s", shipped),
    ssh === null ? [text.name, "ssh -C", "no sshd"] : rowOf(text, "ssh -C", ssh),
    [text.name, "xz -9e, whole", (text.xzBytes / text.bytes.length).toFixed(3)],
  ]);
  return {
    ok: measured.length > 0,
    table: { head: ["text", "way", "IP bytes per byte", "with Ethernet", "packets"], rows },
    notes: [
      ...measured.map(({ text }) => `${text.name}: ${text.bytes.length} bytes, paced at 115200 baud.`),
      "TLS through mosquitto, QoS 1, MTU 1400; both directions, with all acknowledgements; the start is not counted.",
      "watched: one console. shipped: a share of four that say this at once, each packed by itself,",
      "with the signed acknowledgements of a receiver each 5 s. ssh: one console, no receiver, no broker, nothing resumes.",
    ],
    goals: measured.flatMap(goalsOf),
    figures: Object.fromEntries(measured.map((one) => [one.text.name, figuresOf(one)])),
  };
}

function rowOf(text: Text, way: string, { ipBytes, frameBytes, packets }: WireCount): string[] {
  const per = (bytes: number) => (bytes / text.bytes.length).toFixed(3);
  return [text.name, way, per(ipBytes), per(frameBytes), String(packets)];
}

function figuresOf({ text, watched, shipped, ssh }: Measured): Record<string, number | null> {
  const per = (bytes: number) => rounded(bytes / text.bytes.length);
  return {
    textBytes: text.bytes.length,
    xz: per(text.xzBytes),
    watched: per(watched.ipBytes),
    shipped: per(shipped.ipBytes),
    sshC: ssh === null ? null : per(ssh.ipBytes),
  };
}

function goalsOf({ text, watched, shipped }: Measured): Goal[] {
  const { length } = text.bytes;
  const ratio = watched.ipBytes / length;
  const ofXz = shipped.ipBytes / text.xzBytes;
  return [
    { what: `${text.name}, watched: up to ${GOAL_RATIO} bytes a byte: ${ratio.toFixed(3)}`, met: ratio <= GOAL_RATIO },
    {
      what: `${text.name}, shipped: up to ${GOAL_OF_XZ} × xz: ${ofXz.toFixed(2)} (${(shipped.ipBytes / length).toFixed(3)} bytes a byte)`,
      met: ofXz <= GOAL_OF_XZ,
    },
  ];
}
