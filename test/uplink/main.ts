import { type ChildProcess, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { makeCertificates } from "../certificates.ts";
import { newKey, trustText } from "../trust.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { buildLab, serveHelper, setUp, startIn, tearDown, whyNot, wireController } from "./lab.ts";

/**
 * `npm run test:uplink`: whatever happens to the primary, commands go on over LTE, and the site says what is wrong.
 * `--short`: each fault once and the worst with the other filters. `--only NAME`, `--rp N`: some of it.
 */

const ROOT = join(import.meta.dirname, "../..");
const { values } = parseArgs({
  options: { short: { type: "boolean" }, only: { type: "string" }, rp: { type: "string" } },
});
const POISON = `--import=${new URL("./no-getaddrinfo.mjs", import.meta.url).href}`;
const SILENCE_GOAL_MS = 250;
const VERDICT_GOAL_MS = 9_000;
const VERDICT_LIMIT_MS = 90_000;
const PERIOD_MS = 100;

interface Answer {
  readonly sent?: number;
  readonly answered?: number;
  readonly lost?: boolean;
  readonly atMs: number;
  readonly rttMs?: number;
  readonly verdict?: string | null;
  readonly detail?: string | null;
  readonly lte?: string | null;
  readonly primary?: string | null;
}

interface Cell {
  readonly fault: Fault | null;
  readonly rp: number;
  readonly carrier: "v4" | "v6";
}

interface Outcome {
  readonly commands: number;
  readonly lost: number;
  readonly silenceMs: number;
  readonly verdictMs: number | null;
  readonly trouble: string | null;
}

const children = new Set<ChildProcess>();

function begin(...args: Parameters<typeof startIn>): ChildProcess {
  const child = startIn(...args);
  children.add(child);
  child.on("close", () => children.delete(child));
  return child;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await gone;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(check: () => boolean, ms: number): Promise<boolean> {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) if (check()) return true;
  return check();
}

function siteYaml(folder: string): string {
  return `site: one
fleet: acme
data: ${folder}/data
board: sim
trust: ${folder}/trust.json
journal: { capture: 8MB, ledger: 2MB }
controller: { poweredBy: none }
link: { brokers: [ "mqtts://broker.test:8883" ], tls: { ca: ${folder}/ca.pem } }
outlets: { a1: { relay: 1, contact: nc } }
devices: { router1: { outlets: [a1] } }
uplinks:
  primary:
    interface: eth0
    resolvers: [10.10.0.1]
    probe: { anchors: ["203.0.113.21:443", "203.0.113.22:443"], resolver: 203.0.113.53, page: "http://203.0.113.21/generate_204" }
  lte: { interface: wwan0, modem: none, resolvers: [203.0.113.53, "2001:db8:1::53"] }
`;
}

async function startInternet(folder: string): Promise<void> {
  const { server } = makeCertificates(folder, "203.0.113.10,DNS:broker.test");
  const conf = `user root\nlistener 8883\nallow_anonymous true\nset_tcp_nodelay true\ncertfile ${server.cert}\nkeyfile ${server.key}\n`;
  writeFileSync(join(folder, "mosquitto.conf"), conf);
  begin("I", ["mosquitto", "-c", join(folder, "mosquitto.conf")]);
  const services = ["node", "test/run.mjs", "./uplink/services.ts"];
  const anchors = ["listen,203.0.113.21,443", "listen,203.0.113.22,443", "page,203.0.113.21,80,204 No Content"];
  const inside = begin("I", [...services, "dns,203.0.113.53", "dns,2001:db8:1::53", ...anchors]);
  const router = begin("P", [...services, "dns,10.10.0.1", "page,10.10.0.1,8080,302 Found"]);
  await Promise.all([inside, router].map((one) => new Promise((resolve) => one.stdout?.once("data", resolve))));
}

/** A controller and an operator of its own for each cell: nothing of one is left in the next. */
async function runCell(cell: Cell, folder: string, env: Record<string, string>): Promise<Outcome> {
  wireController(cell.rp, cell.carrier);
  rmSync(join(folder, "data"), { recursive: true, force: true });
  const controller = begin("C", ["node", "dist/src/towpath.mjs", "controller", "--config", `${folder}/site.yaml`], env);
  let log = "";
  for (const stream of [controller.stdout, controller.stderr]) stream?.on("data", (bytes) => (log += bytes));
  const answers: Answer[] = [];
  const words = [
    "test/run.mjs",
    "./uplink/traffic.ts",
    "mqtts://203.0.113.10:8883",
    `${folder}/ca.pem`,
    `${folder}/alice.pem`,
  ];
  const failed = (trouble: string): Outcome => ({
    commands: 0,
    lost: 0,
    silenceMs: 0,
    verdictMs: null,
    trouble: `${trouble}\n${log.slice(-3_000)}`,
  });
  if (!(await until(() => /"connection":"lte","state":"up"/.test(log), 40_000))) return failed("LTE did not come up");
  const operator = begin("I", ["node", ...words]);
  operator.stderr?.pipe(process.stderr);
  if (operator.stdout) createInterface(operator.stdout).on("line", (line) => answers.push(JSON.parse(line)));
  try {
    const well = () =>
      answers.at(-1)?.lte === "up" && answers.at(-1)?.primary === "up" && answers.at(-1)?.verdict === "ok";
    if (!(await until(well, 30_000))) return failed(`not well before the fault: ${JSON.stringify(answers.at(-1))}`);
    const fromMs = Date.now();
    await cell.fault?.begin();
    const says = cell.fault?.says ?? "ok";
    const right = () => answers.find((one) => one.atMs >= fromMs && one.verdict === says);
    await until(() => right() !== undefined, VERDICT_LIMIT_MS);
    const verdictMs = (right()?.atMs ?? Number.NaN) - fromMs;
    // It must not only have been said for a moment.
    await sleep(2_500);
    const asked = /GETADDRINFO .*/.exec(log);
    if (asked !== null) return failed(`the machine's resolver was asked: ${asked[0]}`);
    const said = answers.findLast((one) => one.answered !== undefined);
    return judge(
      answers,
      fromMs,
      verdictMs,
      said?.verdict === says ? null : `it says ${said?.verdict}: ${said?.detail}`,
    );
  } finally {
    cell.fault?.end();
    await Promise.all([ended(operator), ended(controller)]);
  }
}

/** Of commands that were sent after the fault began and had their time. */
function judge(answers: readonly Answer[], fromMs: number, verdictMs: number, trouble: string | null): Outcome {
  const endMs = Date.now() - 1_500;
  const sent = answers.filter((one) => one.sent !== undefined && one.atMs >= fromMs && one.atMs < endMs);
  const got = new Map(
    answers.filter((one) => one.answered !== undefined && !one.lost).map((one) => [one.answered, one]),
  );
  const times = sent.flatMap(({ sent: n }) => got.get(n)?.atMs ?? []).sort((a, b) => a - b);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time) - PERIOD_MS);
  const lost = sent.filter(({ sent: n }) => !got.has(n)).length;
  const wrong = Number.isNaN(verdictMs) ? `never said; ${trouble}` : trouble;
  return {
    commands: sent.length,
    lost,
    silenceMs: Math.max(0, ...gaps),
    verdictMs: Number.isNaN(verdictMs) ? null : verdictMs,
    trouble: wrong,
  };
}

function cellsToRun(): Cell[] {
  const faults = FAULTS.filter(({ name }) => values.only === undefined || name === values.only);
  const rps = values.rp === undefined ? [2, 1, 0] : [Number(values.rp)];
  const all = rps.flatMap((rp): Cell[] => faults.map((fault) => ({ fault, rp, carrier: "v4" })));
  const v6 = rps.flatMap((rp): Cell[] => faults.slice(0, 1).map((fault) => ({ fault, rp, carrier: "v6" })));
  if (values.short !== true) return [...all, ...v6];
  const short = ["blackhole", "arp-dead", "dns-dead", "dhcp-lost", "overlap", "link-down"];
  const wanted = ({ fault, rp }: Cell) =>
    rp === 2 ? short.includes(fault?.name ?? "") : rp === 1 && fault?.name === "dhcp-lost";
  return [...all.filter(wanted), ...v6.slice(0, 1)];
}

async function main(): Promise<number> {
  const missing = process.getuid?.() === 0 ? whyNot() : "it takes root";
  if (missing !== null) {
    process.stdout.write(`SKIPPED test:uplink: no namespaces or nftables here: ${missing}\n`);
    process.stdout.write(`${JSON.stringify({ ok: true, skipped: missing, cells: 0, commands: 0, lost: 0 })}\n`);
    return 0;
  }
  execFileSync("node", [".ci/build.mjs"], { cwd: ROOT, stdio: ["ignore", 2, 2] });
  const folder = mkdtempSync(join(tmpdir(), "towpath-uplink-"));
  const alice = newKey();
  writeFileSync(join(folder, "alice.pem"), alice.export({ type: "pkcs8", format: "pem" }));
  const operators = { alice: { key: alice, role: "admin" } };
  writeFileSync(join(folder, "trust.json"), trustText({ fleet: "acme", epoch: 1, root: newKey(), operators }));
  writeFileSync(join(folder, "site.yaml"), siteYaml(folder));
  const socket = join(folder, "net.sock");
  const outcomes: { cell: Cell; outcome: Outcome }[] = [];
  try {
    buildLab();
    const helper = await serveHelper(socket, join(folder, "site.yaml"), join(folder, "state"));
    await startInternet(folder);
    setUp(join(folder, "site.yaml"), join(folder, "state"));
    for (const cell of cellsToRun()) {
      const outcome = await runCell(cell, folder, { TOWPATH_NET_SOCKET: socket, NODE_OPTIONS: POISON });
      outcomes.push({ cell, outcome });
      tell(cell, outcome);
    }
    helper.close();
  } finally {
    await Promise.all([...children].map(ended));
    tearDown();
    rmSync(folder, { recursive: true, force: true });
  }
  return sum(outcomes);
}

function tell({ fault, rp, carrier }: Cell, { commands, lost, silenceMs, verdictMs, trouble }: Outcome): void {
  const verdict = verdictMs === null ? "no verdict" : `${fault?.says} after ${(verdictMs / 1_000).toFixed(1)} s`;
  const name = `${fault?.name}${carrier === "v6" ? ", carrier IPv6 only" : ""}`.padEnd(36);
  process.stdout.write(
    `${name} rp_filter ${rp}  ${commands} commands, ${lost} lost, silence ${silenceMs} ms, ${verdict}${trouble ? `  FAILED: ${trouble}` : ""}\n`,
  );
}

function sum(outcomes: readonly { cell: Cell; outcome: Outcome }[]): number {
  const all = outcomes.map(({ outcome }) => outcome);
  const lost = all.reduce((total, one) => total + one.lost, 0);
  const longestSilenceMs = Math.max(0, ...all.map(({ silenceMs }) => silenceMs));
  const slowestVerdictMs = Math.max(0, ...all.map(({ verdictMs }) => verdictMs ?? VERDICT_LIMIT_MS));
  const ok = all.length > 0 && lost === 0 && all.every(({ trouble, commands }) => trouble === null && commands > 0);
  if (longestSilenceMs > SILENCE_GOAL_MS)
    process.stdout.write(`goal missed: silence ${longestSilenceMs} ms, wanted ${SILENCE_GOAL_MS}\n`);
  if (slowestVerdictMs > VERDICT_GOAL_MS)
    process.stdout.write(`goal missed: verdict ${slowestVerdictMs} ms, wanted ${VERDICT_GOAL_MS}\n`);
  const commands = all.reduce((total, one) => total + one.commands, 0);
  process.stdout.write(
    `${JSON.stringify({ ok, cells: all.length, commands, lost, longestSilenceMs, slowestVerdictMs })}\n`,
  );
  return ok ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    for (const child of children) child.kill("SIGKILL");
    tearDown();
    process.exit(130);
  });
process.exit(await main());
