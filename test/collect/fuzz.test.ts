import { expect, it } from "vitest";
import { publicKeyLine, signEd25519 } from "../../src/access/sshsig.ts";
import { Collector } from "../../src/collect/collector.ts";
import { decodeHeld } from "../../src/collect/held.ts";
import { decodeIndexLine } from "../../src/collect/index-line.ts";
import { readStatusFile } from "../../src/collect/status.ts";
import type { TransportEvents } from "../../src/link/transport.ts";
import { encodeChunk } from "../../src/protocol/chunk.ts";
import { encodeEnvelope, NAMESPACES } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { fingerprintOf, keyBlob } from "../../src/protocol/trust-document.ts";
import { type Random, seeded } from "../sim/random.ts";
import { newKey } from "../trust.ts";
import { createFaultFolder } from "./fault-folder.ts";

const COUNT = process.env.TOWPATH_LONG ? 1_000_000 : 100_000;
const KEY = newKey();
const TAILS = [
  "up/link/primary",
  "up/link/..",
  "up/birth",
  "up/state",
  "up/telemetry",
  "up/event",
  "up/reply",
  "up/capture/router1/rx",
  "up/capture/router1/tx",
  "up/capture/../rx",
  "up/capture/router1/..%2f/rx",
  "up/stream/1",
  "dn/ack",
];

/** JSON that is nearly what a site says: right keys, wrong values. */
function value(random: Random, depth = 0): unknown {
  const kinds = [
    () => random.between(-5, 5_000_000_000),
    () => random.pick([0, 1, 7, 101, -1, 1e300, 2 ** 53, 0.5]),
    () =>
      random.pick([
        "online",
        "offline",
        "result",
        "rejected",
        "ok",
        "rx",
        "../../etc",
        "router1",
        "gap",
        "clock",
        "\u0000",
        "",
      ]),
    () => random.pick([null, true, false]),
    () => (depth > 2 ? [] : Array.from({ length: random.between(0, 4) }, () => value(random, depth + 1))),
    () => (depth > 2 ? {} : object(random, depth + 1)),
  ];
  return random.pick(kinds)();
}

const KEYS =
  "state boot start n consoles boots tracks ledger seq trust epoch mono wall site storage clock id phase code bytes sha256 gaps first next from to more cause length offset records kind console track count __proto__".split(
    " ",
  );

function object(random: Random, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Array.from({ length: random.between(0, 8) }, () => [random.pick(KEYS), value(random, depth)]),
  );
}

function bytes(random: Random): Uint8Array {
  return Buffer.from(random.hex(random.between(0, 60)), "hex");
}

/** A good statement, so that what lies behind the signature is reached too. */
function signed(topic: string, body: object): Uint8Array {
  const text = Buffer.from(JSON.stringify({ boot: 101, start: 1, n: 1e9, ...body, topic }));
  return Buffer.from(encodeEnvelope({ body: text, sigs: [signEd25519(KEY, text, NAMESPACES.site)] }));
}

/** Signing costs more than all the rest: a few are made and used again. */
const made = new Map<string, Uint8Array[]>();

function signedOnes(topic: string): Uint8Array[] {
  const random = seeded(topic.length);
  const found = made.get(topic) ?? Array.from({ length: 100 }, () => signed(topic, object(random)));
  made.set(topic, found);
  return found;
}

function chunk(random: Random): Uint8Array {
  const data = bytes(random);
  const offset = random.pick([0, 1, 30, random.between(0, 5_000), 2 ** 40]);
  const made = Buffer.from(
    encodeChunk(
      { boot: random.pick([101, 7, 0]), offset, monoMs: random.between(0, 1e6), marks: [], data },
      bytes(random),
    ),
  );
  if (random.chance(0.5) && made.length > 0) made[random.between(0, made.length)] = random.between(0, 256);
  return made;
}

function payload(random: Random, topic: string): Uint8Array {
  const roll = random.next();
  if (roll < 0.15) return bytes(random);
  if (topic.includes("/capture/")) return chunk(random);
  if (roll < 0.2) return random.pick(signedOnes(topic));
  const text = JSON.stringify(topic.endsWith("/event") ? { records: [object(random), value(random)] } : object(random));
  return Buffer.from(random.chance(0.2) ? text.slice(0, random.between(0, text.length + 1)) : text);
}

it(`whatever comes on its topics (${COUNT} messages): nothing breaks, nothing is written elsewhere, memory is bounded`, async () => {
  const random = seeded(4);
  const folder = createFaultFolder();
  let events: TransportEvents | null = null;
  let work: () => void = () => undefined;
  let nowMs = Date.UTC(2026, 10, 23);
  const collector = new Collector({
    fleet: "acme",
    sites: null,
    receiver: "vault",
    folder,
    transport: {
      start: (listener) => {
        events = listener;
      },
      publish: () => true,
      stop: async () => Promise.resolve(),
    },
    keyOf: () => fingerprintOf(keyBlob(publicKeyLine(KEY, "")) ?? new Uint8Array()),
    sign: async () => Promise.resolve(new Uint8Array(8)),
    by: "vault",
    newId: () => "01M857RA7KD2KMY6AQFQK855QZ",
    hooks: { tell: () => undefined, counts: { ran: 0, failed: 0, dropped: 0 }, stop: async () => Promise.resolve() },
    pullMs: 60_000,
    now: () => nowMs,
    random: () => random.next(),
    repeat: (each) => {
      work = each;
      return () => undefined;
    },
    log: () => undefined,
    pid: 1,
  });
  collector.start();
  const listener = events as TransportEvents | null;
  listener?.up("test");
  const roots = ["one", "two"].map((site) => siteRoot("acme", site));
  const odd = ["towpath/1/00/acme/one", "towpath/1/../acme/..", "towpath/2/aa/acme/one", "$SYS/broker", ""];
  const birth = { consoles: ["router1", "switch1"], boots: [101, 7], tracks: {} };
  for (const root of roots) listener?.message(message(`${root}/up/birth`, signed(`${root}/up/birth`, birth)));
  for (let index = 0; index < COUNT; index++) {
    const root = random.chance(0.02) ? random.pick(odd) : random.pick(roots);
    const topic = `${root}/${random.pick(TAILS)}`;
    listener?.message(message(topic, payload(random, topic), random.chance(0.1)));
    if (index % 200 === 0) {
      nowMs += 500;
      work();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await collector.flush();
  expect(collector.sites.map(({ site }) => site).sort()).toEqual(["one", "two"]);
  for (const path of folder.paths)
    expect(path).toMatch(
      /^(status\.json|acme\/(one|two)\/(events\.jsonl|(router1|switch1)\.(rx|tx)\/(held\.json|2026-[\d-]+\.(log|idx))))$/,
    );
  expect(folder.paths.length).toBeGreaterThan(3);
  for (const site of collector.sites) expect(site.waitingBytes).toBeLessThan(2 * 1024 * 1024);
}, 300_000);

function message(topic: string, payload: Uint8Array, retained = false) {
  return { topic, payload, retained, oversized: false };
}

it("an index, a saved state and a status that somebody spoilt are refused, never believed in part", () => {
  const random = seeded(5);
  const line = '{"at":0,"n":5,"boot":7,"offset":0,"mono":1,"wall":null,"heard":2,"marks":[]}';
  let good = 0;
  for (let index = 0; index < 5_000; index++) {
    const spoilt = Buffer.from(line);
    spoilt[random.between(0, spoilt.length)] = random.between(32, 127);
    const decoded = decodeIndexLine(spoilt.toString());
    if (decoded !== null && "n" in decoded) good += Number.isSafeInteger(decoded.at) && decoded.n > 0 ? 1 : 0;
    expect(decodeHeld(JSON.stringify(value(random)))).toBeNull();
    expect(readStatusFile(JSON.stringify(object(random)))).toBeNull();
  }
  expect(good).toBeGreaterThan(0);
});
