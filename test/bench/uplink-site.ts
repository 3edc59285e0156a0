import type { Socket } from "node:net";
import { createMqttTransport } from "../../src/link/mqtt.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import { sleep } from "../../src/operator/client.ts";
import { siteRoot } from "../../src/protocol/topics.ts";

/** The site's end of `bench -- uplink`: one connection that does one thing after the other, with a mark between. */

/** So long nothing is on its way any more, not even a delayed acknowledgement. */
const QUIET_MS = 1_500;
const TIMES = 10;

const [broker = "", ca = "", cert = "", key = ""] = process.argv.slice(2);
const root = siteRoot("acme", "one");
const sockets: Socket[] = [];
const plain = plainPath();
let ups = 0;

const transport = createMqttTransport({
  path: {
    uplink: "lte",
    async connect(host, port, signal) {
      const socket = await plain.connect(host, port, signal);
      sockets.push(socket);
      return socket;
    },
  },
  brokers: [broker],
  tls: { ca, cert, key },
  clientId: "acme/one/lte",
  filters: [`${root}/dn/#`],
  persistent: true,
  presence: {
    topic: `${root}/up/link/lte`,
    say: (state, n) => Buffer.from(JSON.stringify({ state, boot: 123, start: 4, n })),
  },
  random: () => 0,
});

async function mark(name: string): Promise<void> {
  await sleep(QUIET_MS);
  process.stdout.write(`mark ${name}\n`);
  await sleep(QUIET_MS);
}

async function upTimes(count: number): Promise<void> {
  while (ups < count) await sleep(20);
}

const measures = {
  ...{ v: 1, boot: 123, start: 4, mono: 123_456, temperatureC: 48.3, load: 0.12, rssBytes: 61_000_000 },
  machine: { disk: "ok", time: "ok", power: "ok", memory: "ok", relays: "ok" },
};

async function main(): Promise<void> {
  await mark("begin");
  transport.start({ up: () => ups++, down: () => undefined, message: () => undefined });
  await upTimes(1);
  await mark("full");
  sockets.at(-1)?.destroy();
  await upTimes(2);
  await mark("resumed");
  transport.publish(`${root}/up/telemetry`, Buffer.from(JSON.stringify(measures)), false);
  await mark("alias");
  for (let count = 0; count < TIMES; count++) {
    transport.publish(`${root}/up/telemetry`, Buffer.from(JSON.stringify(measures)), false);
    await sleep(300);
  }
  await mark("telemetry");
  for (let count = 0; count < TIMES; count++) {
    transport.prove();
    await sleep(300);
  }
  await mark("ping");
  await transport.stop();
  process.exit(0);
}

void main();
