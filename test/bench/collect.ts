import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { createMqttTransport } from "../../src/link/mqtt.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import type { Message, Transport } from "../../src/link/transport.ts";
import { sleep } from "../../src/operator/client.ts";
import { decodeAck } from "../../src/protocol/ack.ts";
import { encodeChunk } from "../../src/protocol/chunk.ts";
import { decodeEnvelope, encodeEnvelope, parseJson } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { type Outcome, rounded } from "./report.ts";
import { installed, type Program, ROOT, type Scratch, startBroker, until, withScratch } from "./scratch.ts";
import { usageOf } from "./usage.ts";

/** What a collector of a large fleet costs: generated sites over a real broker, each console a chunk a minute. */

const SITES = Number(process.env.TOWPATH_BENCH_SITES ?? 1_000);
const CONSOLES = 8;
const CHUNK_BYTES = 1_024;
const BOOT = 7;
const LOAD_S = 60;
const MEMORY_GOAL = 512 * 1024 * 1024;

class Fleet {
  readonly sent = new Map<string, number>();
  readonly acked = new Map<string, number>();
  acks = 0;
  reads = 0;
  private readonly transport: Transport;

  constructor(broker: string) {
    this.transport = createMqttTransport({
      path: plainPath(),
      brokers: [broker],
      tls: {},
      clientId: "fleet",
      filters: ["towpath/1/+/acme/+/dn/#"],
      persistent: false,
      presence: null,
      random: Math.random,
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.transport.start({
        up: () => resolve(),
        down: (why) => reject(new Error(why)),
        message: (message) => this.hear(message),
      }),
    );
    for (let site = 0; site < SITES; site++) {
      this.say(site, "up/link/primary", Buffer.from(JSON.stringify({ state: "online", boot: BOOT, start: 1, n: 1 })));
      const consoles = Array.from({ length: CONSOLES }, (_, index) => `port${index}`);
      this.state(site, "up/birth", { consoles, boots: [BOOT], tracks: {} }, true);
      if (site % 50 === 0) await sleep(5);
    }
  }

  stop(): Promise<void> {
    return this.transport.stop();
  }

  /** The next chunk of one console, as it would be shipped. */
  ship(site: number, console: number): void {
    const key = `site${site}/port${console}`;
    const offset = this.sent.get(key) ?? 0;
    const line = `${new Date().toISOString()} %LINK-3-UPDOWN: Interface Gi0/${console}, changed state to up\r\n`;
    const data = Buffer.from(line.repeat(Math.ceil(CHUNK_BYTES / line.length))).subarray(0, CHUNK_BYTES);
    const chunk = encodeChunk({ boot: BOOT, offset, monoMs: offset, marks: [], data });
    if (this.transport.publish(`${rootOf(site)}/up/capture/port${console}/rx`, chunk, false))
      this.sent.set(key, offset + data.length);
  }

  private say(site: number, tail: string, payload: Uint8Array): void {
    this.transport.publish(`${rootOf(site)}/${tail}`, payload, true);
  }

  private state(site: number, tail: string, said: object, retained: boolean): void {
    const topic = `${rootOf(site)}/${tail}`;
    const body = Buffer.from(JSON.stringify({ ...said, topic, boot: BOOT, start: 1, n: 1 }));
    this.transport.publish(topic, Buffer.from(encodeEnvelope({ body, sigs: [] })), retained);
  }

  private hear({ topic, payload }: Message): void {
    const [, , , , site = ""] = topic.split("/");
    const body = decodeEnvelope(Buffer.from(payload).toString())?.body ?? new Uint8Array();
    if (topic.endsWith("/dn/ack")) {
      this.acks++;
      for (const { track, ranges } of decodeAck(body)?.tracks ?? [])
        this.acked.set(`${site}/${track.split("/")[0]}`, ranges[0]?.[1] ?? 0);
      return;
    }
    this.reads++;
    const { id, args } = parseJson(body) as { id: string; args: { console: string } };
    const next = this.sent.get(`${site}/${args.console}`) ?? 0;
    const range = { from: next, to: next, first: 0, next, more: false, bytes: 0, gaps: [], clocks: [] };
    const boots = [{ boot: BOOT, first: 0, next }];
    this.state(Number(site.slice(4)), "up/reply", { id, phase: "result", ...range, boots }, false);
  }
}

function rootOf(site: number): string {
  return siteRoot("acme", `site${site}`);
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".log"))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function startCollector(scratch: Scratch, broker: string, dir: string): Promise<Program> {
  const key = join(scratch.folder, "vault");
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
  const flags = ["--dir", dir, "--receiver", "vault", "--fleet", "acme", "--broker", broker, "--identity", key];
  const program = scratch.start("node", [join(ROOT, "dist/src/towpath.mjs"), "collect", ...flags]);
  await until("a ready collector", () => /^ready$/m.test(program.log()), program);
  return program;
}

/** Each console once a minute, evenly, then until everything is acknowledged. */
async function load(fleet: Fleet): Promise<number> {
  const all = SITES * CONSOLES;
  const begun = Date.now();
  for (let next = 0; next < all; ) {
    const due = Math.min(all, Math.floor(((Date.now() - begun) / 1000 / LOAD_S) * all));
    for (; next < due; next++) fleet.ship(next % SITES, Math.floor(next / SITES));
    await sleep(10);
  }
  const ended = Date.now();
  const everything = () => [...fleet.sent].every(([key, to]) => fleet.acked.get(key) === to);
  await until("every acknowledgement", everything, null, 100, 120_000);
  return (Date.now() - ended) / 1000;
}

export async function benchCollect(): Promise<Outcome> {
  const mosquitto = installed("mosquitto");
  if (mosquitto === null) return nothing("mosquitto is not installed: nothing was measured");
  return withScratch(async (scratch) => {
    const broker = await startBroker(scratch, mosquitto);
    const dir = join(scratch.folder, "collected");
    const collector = await startCollector(scratch, broker, dir);
    const fleet = new Fleet(broker);
    await fleet.start();
    await sleep(5_000);
    const before = usageOf(collector.group).cpuSeconds;
    const lastAckS = await load(fleet);
    const { cpuSeconds, peakBytes, residentBytes } = usageOf(collector.group);
    await fleet.stop();
    const sent = [...fleet.sent.values()].reduce((sum, bytes) => sum + bytes, 0);
    const stored = folderBytes(dir);
    const cpuPercent = rounded(((cpuSeconds - before) / (LOAD_S + lastAckS)) * 100);
    const peakMiB = Math.round(peakBytes / 1024 / 1024);
    const figures = { sites: SITES, consoles: CONSOLES, sent, stored, cpuPercent, peakMiB, lastAckS, acks: fleet.acks };
    const residentMiB = Math.round(residentBytes / 1024 / 1024);
    const cells = [SITES, SITES * CONSOLES, cpuPercent, peakMiB, residentMiB, fleet.acks, rounded(lastAckS)];
    return {
      ok: stored === sent,
      table: {
        head: ["collector", "sites", "consoles", "CPU %", "peak MiB", "now MiB", "acks", "last ack s"],
        rows: [["a chunk of 1 KiB a minute each", ...cells.map(String)]],
      },
      notes: [`stored ${stored} of ${sent} bytes, synced; ${fleet.reads} reads answered`],
      goals: [{ what: `${SITES} sites in at most 512 MiB`, met: peakBytes <= MEMORY_GOAL }],
      figures,
    };
  });
}

function nothing(note: string): Outcome {
  return { ok: true, table: { head: ["collector"], rows: [] }, notes: [note], goals: [], figures: {} };
}
