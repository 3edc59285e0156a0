import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { signEd25519 } from "../../src/access/sshsig.ts";
import { PERSON_RHYTHM } from "../../src/link/backoff.ts";
import { createMqttTransport } from "../../src/link/mqtt.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import { sleep } from "../../src/operator/client.ts";
import { newId } from "../../src/operator/switching.ts";
import { decodeEnvelope, encodeEnvelope, NAMESPACES, parseJson } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import type { Certificates } from "../certificates.ts";
import { newKey, trustText } from "../trust.ts";
import { end, type Scratch, startController, until } from "./scratch.ts";
import { since, type Wire, type WireCount } from "./wire-net.ts";

/** A power cycle from select to result, over a real controller: what it costs the site's side of the wire. */

type Answer = Readonly<Record<string, unknown>>;

/** What is said of the start is over by then. */
const START_MS = 12_000;
const QUIET_MS = 3_000;

export async function cycleCost(
  scratch: Scratch,
  wire: Wire,
  broker: string,
  { ca, site, operator }: Certificates,
): Promise<WireCount> {
  const [root, key] = [newKey(), newKey()];
  const folder = join(scratch.folder, "command");
  mkdirSync(folder);
  const operators = { alice: { key, role: "operator" } };
  writeFileSync(join(folder, "trust.json"), trustText({ fleet: "acme", epoch: 1, root, operators }));
  const config = join(folder, "site.yaml");
  writeFileSync(
    config,
    `site: one\nfleet: acme\ndata: data\nboard: sim\ntrust: trust.json\ncontroller: { poweredBy: none }\n` +
      `journal: { capture: 8MB, ledger: 2MB }\noutlets: { a1: { relay: 1, contact: nc, offTime: 1s } }\n` +
      `devices: { router1: { outlets: [a1] } }\n` +
      `link: { brokers: [ "${broker}" ], tls: { ca: ${ca}, cert: ${site.cert}, key: ${site.key} } }\n`,
  );
  const controller = await startController(scratch, config, wire.atSite);
  const answers: Answer[] = [];
  const topics = siteRoot("acme", "one");
  const transport = createMqttTransport({
    ...{ path: plainPath(), rhythm: PERSON_RHYTHM, brokers: [broker], tls: { ca, ...operator }, clientId: "alice" },
    ...{ filters: [`${topics}/up/reply`], persistent: false, presence: null, random: Math.random },
  });
  let there = false;
  transport.start({
    up: () => {
      there = true;
    },
    down: () => undefined,
    message: ({ payload }) => {
      const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
      if (envelope !== null) answers.push(parseJson(envelope.body) as Answer);
    },
  });
  const send = (body: Answer): void => {
    const head = { v: 1, id: newId(), site: "acme/one", by: "alice", epoch: 1 };
    const bytes = Buffer.from(JSON.stringify({ ...head, ...body }));
    const sigs = [signEd25519(key, bytes, NAMESPACES.command)];
    transport.publish(`${topics}/dn/command`, Buffer.from(encodeEnvelope({ body: bytes, sigs })), false);
  };
  try {
    await until("the operator's connection", () => there, controller);
    await sleep(START_MS);
    const before = wire.count();
    send({ kind: "select", verb: "cycle", target: "router1", args: { reason: "no answer" } });
    await until("a selection", () => answers.some(({ phase }) => phase === "selected"), controller);
    const nonce = answers.find(({ phase }) => phase === "selected")?.nonce;
    send({ kind: "operate", verb: "cycle", target: "router1", args: {}, nonce });
    await until("a result", () => answers.some(({ phase }) => phase === "result"), controller);
    await sleep(QUIET_MS);
    return since(before, wire.count());
  } finally {
    await transport.stop();
    await end(controller);
  }
}
