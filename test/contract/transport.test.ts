import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startBroker } from "../../src/link/broker.ts";
import { createLocalTransport, listenLocal } from "../../src/link/local.ts";
import { createMqttTransport } from "../../src/link/mqtt.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import type { Message, Transport } from "../../src/link/transport.ts";

/** What every way for topics and payloads does: the broker and the local socket. */
interface Subject {
  /** A client with these filters. */
  client(filters: readonly string[]): Transport;
  /** The other side says something. */
  say(topic: string, payload: string, retained: boolean): void;
  /** What the other side heard. */
  readonly heard: Message[];
}

const mqtt = (port: number, id: string, filters: readonly string[]): Transport =>
  createMqttTransport({
    path: plainPath(),
    brokers: [`mqtt://127.0.0.1:${port}`],
    tls: {},
    clientId: id,
    filters,
    persistent: false,
    presence: null,
    random: Math.random,
  });

const SUBJECTS: Record<string, () => Promise<Subject>> = {
  "a broker": async () => {
    const broker = await startBroker(0);
    const heard: Message[] = [];
    const site = mqtt(broker.port, "site", ["t/dn/#"]);
    await new Promise<void>((resolve) =>
      site.start({ up: () => resolve(), down: () => undefined, message: (message) => heard.push(message) }),
    );
    onTestFinished(async () => {
      await site.stop();
      await broker.stop();
    });
    let clients = 0;
    return {
      client: (filters) => mqtt(broker.port, `client-${clients++}`, filters),
      say: (topic, payload, retained) => void site.publish(topic, Buffer.from(payload), retained),
      heard,
    };
  },
  "the local socket": async () => {
    const folder = mkdtempSync(join(tmpdir(), "towpath-socket-"));
    const path = join(folder, "s");
    const heard: Message[] = [];
    const server = await listenLocal(path, (message) => heard.push(message));
    onTestFinished(async () => {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    });
    return {
      client: (filters) => createLocalTransport(path, filters),
      say: (topic, payload, retained) => server.publish(topic, Buffer.from(payload), retained),
      heard,
    };
  },
};

async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 400) throw new Error(`not within 4 s: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function listen(transport: Transport): { got: Message[]; up: Promise<void>; downs: string[] } {
  const got: Message[] = [];
  const downs: string[] = [];
  const up = new Promise<void>((resolve) =>
    transport.start({ up: () => resolve(), down: (why) => downs.push(why), message: (message) => got.push(message) }),
  );
  onTestFinished(() => transport.stop());
  return { got, up, downs };
}

for (const [name, make] of Object.entries(SUBJECTS)) {
  describe(`a transport: ${name}`, () => {
    it("carries what matches the filters, in order, and nothing else", async () => {
      const subject = await make();
      const { got, up } = listen(subject.client(["t/up/+"]));
      await up;
      await new Promise((resolve) => setTimeout(resolve, 50));
      for (let count = 0; count < 200; count++) subject.say("t/up/a", String(count), false);
      subject.say("t/other", "x", false);
      await until(() => got.length === 200);
      expect(got.map(({ payload }) => Number(Buffer.from(payload).toString()))).toEqual([...Array(200).keys()]);
    });

    it("gives a late subscriber what was retained, marked as such", async () => {
      const subject = await make();
      subject.say("t/up/state", "old", true);
      subject.say("t/up/state", "new", true);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const { got } = listen(subject.client(["t/up/#"]));
      await until(() => got.length > 0);
      expect(got.map(({ payload, retained }) => [Buffer.from(payload).toString(), retained])).toEqual([["new", true]]);
    });

    it("brings commands to the site, with the retain flag if they have it", async () => {
      const subject = await make();
      const transport = subject.client([]);
      const { up } = listen(transport);
      await up;
      expect(transport.publish("t/dn/command", Buffer.from([0, 255, 10]), false)).toBe(true);
      await until(() => subject.heard.length === 1);
      expect([...(subject.heard[0]?.payload ?? [])]).toEqual([0, 255, 10]);
    });

    it("takes nothing while it is down", async () => {
      const subject = await make();
      const transport = subject.client([]);
      expect(transport.publish("t/dn/command", Buffer.from("x"), false)).toBe(false);
      const { up } = listen(transport);
      await up;
      await transport.stop();
      expect(transport.publish("t/dn/command", Buffer.from("x"), false)).toBe(false);
    });
  });
}

describe("the local socket", () => {
  it("belongs to one controller at a time, and a dead one's is taken over", async () => {
    const folder = mkdtempSync(join(tmpdir(), "towpath-socket-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "s");
    const first = await listenLocal(path, () => undefined);
    await expect(listenLocal(path, () => undefined)).rejects.toThrow("another controller");
    await first.stop();
    const second = await listenLocal(path, () => undefined);
    await second.stop();
  });
});

describe("what is told twice in one turn", () => {
  it("goes out once where only the newest counts, and an answer goes before it", async () => {
    const broker = await startBroker(0);
    onTestFinished(() => broker.stop());
    const { got, up } = listen(mqtt(broker.port, "who-listens", ["t/up/#"]));
    await up;
    const site = mqtt(broker.port, "site", []);
    const { up: siteUp } = listen(site);
    await siteUp;
    for (const text of ["first", "second", "third"]) site.publish("t/up/state", Buffer.from(text), true);
    site.publish("t/up/reply", Buffer.from("done"), false);
    await until(() => got.length >= 2);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(got.map(({ payload }) => Buffer.from(payload).toString())).toEqual(["done", "third"]);
  });
});

describe("a broker that comes and goes", () => {
  it("is normal: the site connects when it is there, and again when it is back", async () => {
    const first = await startBroker(0);
    const { port } = first;
    await first.stop();
    let ups = 0;
    const transport = mqtt(port, "site", ["t/dn/#"]);
    const downs: string[] = [];
    transport.start({ up: () => ups++, down: (why) => downs.push(why), message: () => undefined });
    onTestFinished(() => transport.stop());
    await until(() => downs.length > 0);
    const second = await startBroker(port);
    await until(() => ups === 1);
    await second.stop();
    await until(() => downs.length === 2);
    const third = await startBroker(port);
    onTestFinished(() => third.stop());
    await until(() => ups === 2);
  });
});
