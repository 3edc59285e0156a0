import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { Keepalive } from "../../src/link/keepalive.ts";
import { createMqttTransport, type MqttTransport } from "../../src/link/mqtt.ts";
import type { MqttOptions } from "../../src/link/mqtt-options.ts";
import type { Path } from "../../src/link/path.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import type { Message } from "../../src/link/transport.ts";
import { type Script, ScriptedBroker, until } from "./scripted-broker.ts";

/** What the library under us does by itself, measured once and held here: each has cost somebody a site. */

const QUICK = { firstMs: 20, capMs: 60, outageMs: 60 };

interface Client {
  readonly transport: MqttTransport;
  readonly ups: string[];
  readonly downs: string[];
  readonly got: Message[];
}

function client(ports: readonly number[], more: Partial<MqttOptions> = {}): Client {
  const [ups, downs, got]: [string[], string[], Message[]] = [[], [], []];
  const transport = createMqttTransport({
    ...{ path: plainPath(), brokers: ports.map((port) => `mqtt://127.0.0.1:${port}`), tls: {} },
    ...{ clientId: "acme/one/lte", filters: ["t/dn/#"], persistent: true, presence: null, random: Math.random },
    rhythm: QUICK,
    ...more,
  });
  transport.start({
    up: (detail) => ups.push(detail),
    down: (detail) => downs.push(detail),
    message: (message) => got.push(message),
  });
  onTestFinished(() => transport.stop());
  return { transport, ups, downs, got };
}

async function scene(script: Script = {}, more: Partial<MqttOptions> = {}) {
  const broker = new ScriptedBroker(script);
  const port = await broker.start();
  return { broker, port, ...client([port], more) };
}

const text = (words: string) => Buffer.from(words);

describe("a connection to a broker", () => {
  it("gives each message a number that none under way has, over more messages than there are numbers", async () => {
    // The first is never acknowledged, so its number stays taken while the others go once around.
    const { broker, transport, ups } = await scene({ acknowledges: ({ payload }) => String(payload) !== "stuck" });
    await until(() => ups.length === 1);
    transport.publish("t/up/reply", text("stuck"), false);
    let sent = 0;
    let settled = 0;
    for (; sent < 66_000; sent++) {
      transport.publish("t/up/reply", text("x"), false, { settled: () => settled++ });
      if (sent % 1_000 === 0) await until(() => settled > sent - 2_000);
    }
    await until(() => settled === sent);
    const all = broker
      .of("publish")
      .map(({ messageId, payload }) => ({ messageId, stuck: String(payload) === "stuck" }));
    expect(all.length).toBe(66_001);
    const taken = all.find(({ stuck }) => stuck)?.messageId;
    expect(all.filter(({ messageId }) => messageId === taken).length).toBe(1);
  }, 120_000);

  it("that a path cannot make is told with the path's own words", async () => {
    const path: Path = { uplink: "lte", connect: () => Promise.reject(new Error("lte: no address from the carrier")) };
    const { downs } = client([1], { path });
    await until(() => downs.length === 1);
    expect(downs[0]).toBe("mqtt://127.0.0.1:1: lte: no address from the carrier");
  });

  it("hears what was asked for before it was there, and asks for it once", async () => {
    const { transport, broker, ups } = await scene();
    let heard = 0;
    transport.subscribe("t/up/stream/1", () => heard++);
    await until(() => ups.length === 1 && heard === 1);
    const topics = broker.of("subscribe").flatMap(({ subscriptions }) => subscriptions.map(({ topic }) => topic));
    expect(topics).toEqual(["t/dn/#", "t/up/stream/1"]);
  });

  it("takes nothing while it is down, so that nothing waits inside the library", async () => {
    const { transport, broker, ups } = await scene({ connack: (_, life) => (life < 3 ? "hang up" : {}) });
    for (let count = 0; count < 1_000; count++)
      expect(transport.publish("t/up/reply", text("lost"), false)).toBe(false);
    await until(() => ups.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(broker.of("publish")).toEqual([]);
  });

  it("is up at once after an outage, and what was under way is not sent again behind its back", async () => {
    const { broker, transport, ups } = await scene({ acknowledges: (_, life) => life > 1 });
    await until(() => ups.length === 1);
    const given: number[] = [];
    for (let count = 0; count < 20; count++)
      transport.publish("t/up/reply", text(`${count}`), false, { settled: () => given.push(count) });
    await until(() => broker.of("publish", 1).length === 20);
    broker.cut();
    await until(() => ups.length === 2);
    // The site knows that they were given up; the second life began with nothing but the subscription.
    expect(given.length).toBe(20);
    expect(broker.packets.filter(({ life }) => life === 2).map(({ packet }) => packet.cmd)).toEqual([
      "connect",
      "subscribe",
    ]);
  });

  it("comes again for ever where a broker refuses it, also for a reason that sounds final", async () => {
    const refusals = [0x97, 0x89, 0x87, 0x86, 0x88, 0x9f];
    const { broker, ups, downs } = await scene({
      connack: (_, life) => (life <= refusals.length ? { reasonCode: refusals[life - 1] ?? 0 } : {}),
    });
    await until(() => ups.length === 1);
    expect(broker.lives).toBe(refusals.length + 1);
    expect(downs[0]).toMatch(/^mqtt:.*refused/i);
  });

  it("keeps no more under way than the broker asked for", async () => {
    const held: number[] = [];
    let most = 0;
    let open = 0;
    const { broker, transport, ups } = await scene({
      connack: () => ({ properties: { receiveMaximum: 3 } }),
      acknowledges: ({ messageId }) => {
        held.push(messageId ?? 0);
        most = Math.max(most, ++open);
        setTimeout(() => {
          open--;
          broker.sockets[0]?.write(Buffer.from([0x40, 2, (messageId ?? 0) >> 8, (messageId ?? 0) & 255]));
        }, 20);
        return false;
      },
    });
    await until(() => ups.length === 1);
    for (let count = 0; count < 30; count++) transport.publish("t/up/reply", text("x"), false);
    await until(() => held.length === 30);
    expect(most).toBe(3);
  });

  it("is destroyed when what was sent is not acknowledged in time, long before the keepalive would say so", async () => {
    const { broker, transport, ups, downs } = await scene();
    await until(() => ups.length === 1);
    broker.frozenUpTo = 1;
    transport.publish("t/up/reply", text("into nothing"), false);
    // Something is going on: 10 s instead of 20 s.
    transport.prove();
    const begun = performance.now();
    await until(() => downs.length === 1, 40_000);
    expect(performance.now() - begun).toBeGreaterThan(9_000);
    expect(downs[0]).toContain("no answer to what was sent");
    await until(() => ups.length === 2);
  }, 60_000);

  it("proves that it lives when it is asked to, with a ping and nothing else", async () => {
    const { broker, transport, ups, downs } = await scene();
    await until(() => ups.length === 1);
    transport.prove();
    transport.prove();
    await until(() => broker.of("pingreq").length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect([broker.of("pingreq").length, downs.length]).toEqual([1, 0]);
  });

  it("does not ping while acknowledged messages go more often than the keepalive", async () => {
    const machine = new Keepalive({ startS: 4, floorS: 1, capS: 10 }, null);
    const { broker, transport, ups } = await scene({}, { keepalive: { machine, changed: () => undefined } });
    await until(() => ups.length === 1);
    const timer = setInterval(() => transport.publish("t/up/telemetry", text("x"), false), 100);
    await until(() => broker.of("publish").length >= 50);
    clearInterval(timer);
    expect(broker.of("pingreq").length).toBe(0);
    await until(() => broker.of("pingreq").length > 0);
  });

  it("goes out by the socket of its path, and by no other", async () => {
    const broker = new ScriptedBroker();
    const port = await broker.start();
    const asked: string[] = [];
    const { ups } = client([], {
      brokers: [`mqtt://broker.invalid:${port}`],
      path: {
        uplink: "lte",
        connect: async (host) => {
          asked.push(host);
          const socket = connect({ host: "127.0.0.1", port, localAddress: "127.0.0.9" });
          await new Promise((resolve) => socket.once("connect", resolve));
          return socket;
        },
      },
    });
    await until(() => ups.length === 1);
    expect(asked).toEqual(["broker.invalid"]);
    expect(broker.sockets[0]?.remoteAddress).toBe("127.0.0.9");
  });

  it("says a topic in full once, and again after a reconnect", async () => {
    const { broker, transport, ups } = await scene({ connack: () => ({ properties: { topicAliasMaximum: 5 } }) });
    const twice = async (life: number) => {
      await until(() => ups.length === life);
      transport.publish("t/up/telemetry", text("1"), false);
      await until(() => broker.of("publish", life).length === 1);
      transport.publish("t/up/telemetry", text("2"), false);
      await until(() => broker.of("publish", life).length === 2);
    };
    await twice(1);
    broker.cut();
    await twice(2);
    for (const life of [1, 2])
      expect(broker.of("publish", life).map(({ topic }) => topic)).toEqual(["t/up/telemetry", ""]);
  });

  it("asks for a session that outlives it, with the time that makes it one", async () => {
    const { broker, ups } = await scene();
    await until(() => ups.length === 1);
    const [packet] = broker.of("connect");
    expect(packet).toMatchObject({ clean: false, keepalive: 60, properties: { sessionExpiryInterval: 604_800 } });
  });

  it("speaks the older version where a broker hangs up on the newer or refuses it, and stays with it", async () => {
    for (const answer of ["hang up", { returnCode: 1, reasonCode: 1 }] as const) {
      const { broker, ups } = await scene({ connack: ({ protocolVersion }) => (protocolVersion === 5 ? answer : {}) });
      await until(() => ups.length === 1);
      expect(ups[0]).toContain("MQTT 3.1.1");
      const tries = broker.lives;
      broker.cut();
      await until(() => ups.length === 2);
      expect(broker.lives).toBe(tries + 1);
    }
  });

  it("asks several brokers in their order, and begins with the first again after a loss", async () => {
    const [first, second] = [
      new ScriptedBroker({ connack: (_, life) => (life === 1 ? "hang up" : {}) }),
      new ScriptedBroker(),
    ];
    const ports = [await first.start(), await second.start()];
    const { ups } = client(ports, { version: 5 });
    await until(() => ups.length === 1);
    expect(ups[0]).toContain(`:${ports[1]},`);
    second.cut();
    await until(() => ups.length === 2);
    expect(ups[1]).toContain(`:${ports[0]},`);
  });

  it("counts every byte of its sockets over all of its lives, and what the messages were", async () => {
    const { broker, transport, ups } = await scene();
    await until(() => ups.length === 1);
    transport.publish("t/up/reply", Buffer.alloc(5_000), false);
    await until(() => broker.of("publish").length === 1);
    const before = transport.usage();
    broker.cut();
    await until(() => ups.length === 2);
    transport.publish("t/up/event", Buffer.alloc(3_000), false);
    await until(() => broker.of("publish").length === 2);
    const after = transport.usage();
    expect(before).toMatchObject({ connects: 1, published: { reply: 5_010, alarm: 0 } });
    expect(after).toMatchObject({ connects: 2, published: { reply: 5_010, alarm: 3_010 } });
    expect(before.sent).toBeGreaterThan(5_010);
    expect(after.sent - before.sent).toBeGreaterThan(3_010);
    expect(after.sent - before.sent).toBeLessThan(3_300);
    expect(before.received).toBeGreaterThan(5);
  });
});
