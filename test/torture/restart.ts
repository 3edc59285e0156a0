import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Client, openClient, sleep } from "../../src/operator/client.ts";
import type { Settings } from "../../src/operator/settings.ts";
import { newId, operate, select } from "../../src/operator/switching.ts";
import { tortureOnMachine } from "../machine/torture.ts";
import { type Random, seeded } from "../sim/random.ts";
import { inProcessSigner, newKey, trustText } from "../trust.ts";

/**
 * The real program, killed at random moments of real cycles, and restarted with nothing to do. The simulated board
 * tells what moved: each command takes each outlet off at most once, and every outlet is on again in the end.
 */

const { values } = parseArgs({
  options: {
    n: { type: "string", default: "100" },
    idle: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    built: { type: "boolean" },
    /** sim: the simulated board, here; vm, pi: the installed package on a machine with a real driver. */
    on: { type: "string", default: "sim" },
  },
});
if (values.on === "vm" || values.on === "pi") {
  const verdict = await tortureOnMachine(values.on, Number(values.n), Number(values.seed));
  process.stdout.write(`${JSON.stringify(verdict)}\n`);
  process.exit(verdict.ok === true ? 0 : 1);
}
if (values.on !== "sim") throw new Error("--on sim, vm or pi");
const kills = Number(values.n);
const idle = Number(values.idle);
const random: Random = seeded(Number(values.seed));
const ROOT = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "towpath-torture-"));
const data = join(folder, "data");
const alice = newKey();
const who = { by: "alice", signer: inProcessSigner(alice) };
const problems: string[] = [];
let alive: ChildProcess | null = null;

writeFileSync(
  join(folder, "trust.json"),
  trustText({ fleet: "acme", epoch: 1, root: newKey(), operators: { alice: { key: alice, role: "operator" } } }),
);
writeFileSync(
  join(folder, "site.yaml"),
  `site: one
fleet: acme
data: data
board: sim
trust: trust.json
journal: { capture: 2MB, ledger: 2MB }
controller: { poweredBy: none }
outlets:
  a1: { relay: 1, contact: nc, offTime: 300ms, minOff: 0s, minOn: 0s, rate: 100000/h }
  a2: { relay: 2, contact: no, offTime: 200ms, minOff: 0s, minOn: 0s, rate: 100000/h }
devices:
  router1: { outlets: [a1, a2] }
`,
);

const settings: Settings = {
  brokers: [],
  local: join(data, "towpath.sock"),
  fleet: null,
  site: null,
  identity: null,
  as: null,
  trust: null,
  sites: null,
  tls: {},
  source: "torture",
};

interface Edge {
  readonly relay: number;
  readonly energised: boolean;
}

function edges(): Edge[] {
  const file = join(data, "sim-board.jsonl");
  return existsSync(file)
    ? readFileSync(file, "utf8")
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [];
}

async function startSite(): Promise<ChildProcess> {
  const child = spawn(
    "node",
    [join(ROOT, "dist/src/towpath.mjs"), "controller", "--config", join(folder, "site.yaml")],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  alive = child;
  let log = "";
  const ready = new Promise<void>((resolve, reject) => {
    child.stderr.on("data", (bytes: Buffer) => {
      log += bytes.toString("utf8");
      if (/^ready$/m.test(log)) resolve();
    });
    child.once("close", () => reject(new Error(`the controller ended: ${log}`)));
  });
  await ready;
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const closed = new Promise((resolve) => child.once("close", resolve));
  child.kill(signal);
  await closed;
}

const open = (): Promise<Client> => openClient(settings, null, { keyOf: () => null, doubt: null }, 1);

/** Until nothing is owed or running: what was interrupted has been paid. */
async function settled(client: Client): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const reply = await client.send({ kind: "status" }, { who: null, timeoutMs: 5_000 });
    const state = reply?.state as { pending?: unknown[] } | undefined;
    if (state?.pending?.length === 0) return;
    await sleep(30);
  }
  problems.push("a command never ended");
}

function check(before: number, what: string): void {
  const fresh = edges().slice(before);
  for (const [relay, on] of [
    [1, false],
    [2, true],
  ] as const) {
    const mine = fresh.filter((edge) => edge.relay === relay);
    const off = mine.filter((edge) => edge.energised !== on).length;
    if (off > 1) problems.push(`${what}: relay ${relay} went off ${off} times by one command`);
    if (mine.length !== 2 * off) problems.push(`${what}: relay ${relay} was left off`);
  }
}

async function killedCycles(): Promise<void> {
  // Relay 2 stands on an NO contact: it begins off, and one command brings it on.
  let child = await startSite();
  let client = await open();
  const first = await select(client, who, null, { verb: "on", target: "router1", args: {} });
  if (first.ok) await operate(client, who, { verb: "on", target: "router1", args: {} }, first.selected, following());
  for (let round = 0; round < kills; round++) {
    await settled(client);
    const before = edges().length;
    const order = { verb: "cycle" as const, target: "router1", args: {} };
    const selected = await select(client, who, null, order);
    if (!selected.ok) problems.push(`round ${round}: not selected: ${selected.reply?.code ?? "no answer"}`);
    else void operate(client, who, order, selected.selected, following());
    await sleep(random.between(0, 1_300));
    await end(child, "SIGKILL");
    await client.stop();
    child = await startSite();
    client = await open();
    await settled(client);
    check(before, `kill ${round}`);
  }
  await client.stop();
  await end(child, "SIGTERM");
}

function following() {
  return { id: newId(), onSent: () => undefined, onReply: () => undefined, signal: AbortSignal.timeout(5_000) };
}

async function idleRestarts(): Promise<number> {
  const before = edges().length;
  for (let round = 0; round < idle; round++) {
    const child = await startSite();
    await sleep(random.between(0, 50));
    await end(child, random.chance(0.5) ? "SIGKILL" : "SIGTERM");
  }
  return edges().length - before;
}

if (values.built !== true) execFileSync("node", [join(ROOT, ".ci/build.mjs")], { cwd: ROOT, stdio: "inherit" });
try {
  await killedCycles();
  const moved = edges().length;
  const idleEdges = await idleRestarts();
  if (idleEdges !== 0) problems.push(`${idleEdges} edges in idle restarts`);
  for (const problem of problems) process.stderr.write(`${problem}\n`);
  process.stdout.write(
    `${JSON.stringify({ ok: problems.length === 0, restarts: kills + idle, kills, edges: moved, idleEdges })}\n`,
  );
} finally {
  (alive as ChildProcess | null)?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}
process.exit(problems.length === 0 ? 0 : 1);
