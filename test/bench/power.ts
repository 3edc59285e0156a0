import { execFileSync } from "node:child_process";
import type { KeyObject } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import mqtt from "mqtt";
import { readOpensshKey } from "../../src/access/openssh-key.ts";
import { loadSiteKey } from "../../src/access/site-key.ts";
import { signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import { openDisk } from "../../src/disk/disk.ts";
import { type Client, openClient } from "../../src/operator/client.ts";
import type { Settings } from "../../src/operator/settings.ts";
import { newId, operate, select } from "../../src/operator/switching.ts";
import type { Who } from "../../src/operator/who.ts";
import { NAMESPACES } from "../../src/protocol/envelope.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import { inProcessSigner, newKey, trustText } from "../trust.ts";
import { COMMAND_GOAL_MS, type Commands, timeCommands } from "./command.ts";
import { type Outcome, rounded, type Spread, spreadOf } from "./report.ts";
import { installed, type Scratch, startBroker, startController, withScratch } from "./scratch.ts";

/** A signed power command in an open session, and what its parts cost by themselves. */

const ROUNDS = 200;
const WARM_ROUNDS = 20;
const BARE_GOAL_MS = 0.5;
const RATIO_GOAL = 5;
const RECORD_BYTES = 512;
const PROBE_BYTES = 1024 * 1024;
const ORDER = { verb: "on" as const, target: "router1", args: {} };

async function timed(work: () => unknown): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

/** Times of `ROUNDS` runs, after some that do not count. */
async function repeated(work: (round: number) => unknown): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < WARM_ROUNDS + ROUNDS; round++) times.push(await timed(() => work(round)));
  return times.slice(WARM_ROUNDS);
}

function writeSite(scratch: Scratch, broker: string, alice: KeyObject): string {
  const operators = { alice: { key: alice, role: "operator" } };
  writeFileSync(join(scratch.folder, "trust.json"), trustText({ fleet: "acme", epoch: 1, root: newKey(), operators }));
  const config = join(scratch.folder, "site.yaml");
  writeFileSync(
    config,
    `site: one
fleet: acme
data: data
board: sim
trust: trust.json
journal: { capture: 2MB, ledger: 8MB }
controller: { poweredBy: none }
link: { brokers: ["${broker}"] }
outlets:
  a1: { relay: 1, contact: nc, minOff: 0s, minOn: 0s, rate: 1000000/h }
devices:
  router1: { outlets: [a1] }
`,
  );
  return config;
}

/** An open session whose answers are checked with the site's key, as an enrolled operator's are. */
async function openSession(scratch: Scratch, broker: string): Promise<Client> {
  const blob = keyBlob(loadSiteKey(join(scratch.folder, "data/site.key"), "").publicLine) ?? new Uint8Array();
  const settings: Settings = {
    brokers: [broker],
    local: null,
    fleet: "acme",
    site: "one",
    identity: null,
    as: null,
    trust: null,
    sites: null,
    tls: {},
    source: "bench",
  };
  return openClient(settings, "one", { keyOf: () => fingerprintOf(blob), doubt: null }, 1);
}

interface Rounds {
  readonly select: Spread;
  readonly operate: Spread;
  readonly both: Spread;
  /** What the site says in one round: replies, events, its state. */
  readonly statements: number;
}

async function switching(client: Client, who: Who): Promise<Rounds> {
  const selects: number[] = [];
  const operates: number[] = [];
  let heard = 0;
  const stopListening = client.onMessage(() => heard++);
  const both = await repeated(async (round) => {
    const begun = performance.now();
    const picked = await select(client, who, null, ORDER);
    if (!picked.ok) throw new Error(`not selected: ${picked.reply?.code ?? "no answer"}`);
    const between = performance.now();
    const signal = new AbortController().signal;
    const following = { id: newId(), onSent: () => undefined, onReply: () => undefined, signal };
    const ended = await operate(client, who, ORDER, picked.selected, following);
    if (ended.how !== "answered" || ended.reply.phase !== "result")
      throw new Error(`not switched: ${ended.how === "answered" ? ended.reply.code : ended.why}`);
    if (round < WARM_ROUNDS) return;
    selects.push(between - begun);
    operates.push(performance.now() - between);
  });
  stopListening();
  const statements = rounded(heard / (WARM_ROUNDS + ROUNDS), 1);
  return { select: spreadOf(selects), operate: spreadOf(operates), both: spreadOf(both), statements };
}

/** The same broker and library without anything of ours: a question to another program, and its answer. */
async function bareRounds(scratch: Scratch, broker: string): Promise<Spread> {
  const answerer = scratch.fork("./bench/answerer.ts");
  answerer.send(broker);
  await once(answerer, "message");
  const asker = await mqtt.connectAsync(broker);
  (asker.stream as Socket).setNoDelay(true);
  try {
    await asker.subscribeAsync("bare/answer", { qos: 1 });
    const times = await repeated(
      () =>
        new Promise<void>((resolve) => {
          asker.once("message", () => resolve());
          asker.publish("bare/question", JSON.stringify({ POWER1: "ON" }), { qos: 1 });
        }),
    );
    return spreadOf(times);
  } finally {
    answerer.kill();
    await asker.endAsync(true);
  }
}

async function partsOf(folder: string, alice: KeyObject): Promise<Record<"sign" | "verify" | "sync", Spread>> {
  const message = Buffer.alloc(RECORD_BYTES, "towpath ");
  const blob = signEd25519(alice, message, NAMESPACES.command);
  // Preallocated, as the journal's segments are: a file that grows costs more.
  const disk = openDisk(join(folder, "probe"), "write");
  disk.create("probe", PROBE_BYTES);
  try {
    return {
      sign: spreadOf(await repeated(() => signEd25519(alice, message, NAMESPACES.command))),
      verify: spreadOf(await repeated(() => verifySignature(message, blob, NAMESPACES.command))),
      sync: spreadOf(
        await repeated((round) => {
          disk.write("probe", round * RECORD_BYTES, message);
          disk.sync("probe");
        }),
      ),
    };
  } finally {
    disk.close();
  }
}

export function benchPower(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const mosquitto = installed("mosquitto");
    if (mosquitto === null) return skipped("mosquitto");
    if (installed("ssh-keygen") === null) return skipped("ssh-keygen");
    const identity = join(scratch.folder, "alice");
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", identity]);
    const alice = readOpensshKey(readFileSync(identity, "utf8"));
    if (alice === null) throw new Error("ssh-keygen made a key that is none");
    const broker = await startBroker(scratch, mosquitto);
    await startController(scratch, writeSite(scratch, broker, alice));
    const client = await openSession(scratch, broker);
    try {
      const bare = await bareRounds(scratch, broker);
      const rounds = await switching(client, { by: "alice", signer: inProcessSigner(alice) });
      const parts = await partsOf(scratch.folder, alice);
      const commands = await timeCommands(scratch, broker, identity);
      return outcomeOf({ rounds, bare, parts, commands });
    } finally {
      await client.stop();
    }
  });
}

interface Measured {
  readonly rounds: Rounds;
  readonly bare: Spread;
  readonly parts: Readonly<Record<"sign" | "verify" | "sync", Spread>>;
  readonly commands: Commands;
}

function outcomeOf({ rounds, bare, parts, commands }: Measured): Outcome {
  const row = (name: string, { p50, p99 }: Spread): string[] => [name, p50.toFixed(3), p99.toFixed(3)];
  const ratio = rounded(rounds.both.p50 / bare.p50, 2);
  return {
    ok: true,
    table: {
      head: ["power, ms", "p50", "p99"],
      rows: [
        row("select + operate", rounds.both),
        row("  select", rounds.select),
        row("  operate, to its result", rounds.operate),
        row("bare MQTT.js QoS 1 round trip", bare),
        row("one signature", parts.sign),
        row("one verification", parts.verify),
        row(`one journal record of ${RECORD_BYTES} bytes, synced`, parts.sync),
        row("`towpath power on`, from spawn to verdict, broker", commands.broker),
        row("  the same over the local socket", commands.local),
        ...(commands.powerman ? [row("  `powerman --on`, powermand with vpcd", commands.powerman)] : []),
        row("  `node -e 0`", commands.node),
      ],
    },
    notes: [
      `${ROUNDS} rounds of \`on\` for an outlet that is on, open session, mosquitto on loopback, no TLS;`,
      "replies are verified with the site's key. No relay time is in any row.",
      `select + operate takes ${ratio} times a bare round trip: two signed commands, and ${rounds.statements} statements`,
      "(replies, events, state) that the site signs and the operator verifies, with the ledger synced in between.",
    ],
    goals: [
      { what: `bare round trip p50 up to ${BARE_GOAL_MS} ms: ${bare.p50}`, met: bare.p50 <= BARE_GOAL_MS },
      { what: `select + operate up to ${RATIO_GOAL} times a bare round trip: ${ratio}`, met: ratio <= RATIO_GOAL },
      {
        what: `the command p50 up to ${COMMAND_GOAL_MS} ms: ${commands.broker.p50}`,
        met: commands.broker.p50 <= COMMAND_GOAL_MS,
      },
    ],
    figures: { rounds: ROUNDS, ratio, ...detailOf({ rounds, bare, parts, commands }) },
  };
}

function detailOf({ rounds, bare, parts, commands }: Measured) {
  return {
    selectOperateMs: rounds.both,
    statementsPerRound: rounds.statements,
    selectMs: rounds.select,
    operateMs: rounds.operate,
    bareMs: bare,
    signMs: parts.sign,
    verifyMs: parts.verify,
    journalSyncMs: parts.sync,
    commandMs: commands,
  };
}

function skipped(missing: string): Outcome {
  return {
    ok: true,
    table: { head: ["power"], rows: [[`SKIPPED: ${missing} is not installed, NOTHING was measured`]] },
    notes: [],
    goals: [],
    figures: { skipped: `${missing} is not installed` },
  };
}
