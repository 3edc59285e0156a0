import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { createMqttTransport } from "../../src/link/mqtt.ts";
import { plainPath } from "../../src/link/plain-path.ts";
import type { Message, Transport } from "../../src/link/transport.ts";
import { filterMatches } from "../../src/protocol/topics.ts";
import { seeded } from "../sim/random.ts";
import { type BrokeredSite, startBrokeredSite, startController, towpath, until } from "./world.ts";

/** Everything that ever went over a real broker, played again in every way that one can think of. */

const FAKETIME = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/faketime/libfaketime.so.1`;
const SETTLE_MS = 4_000;

async function listenTo(port: number): Promise<{ transport: Transport; tape: Message[] }> {
  const tape: Message[] = [];
  const transport = createMqttTransport({
    path: plainPath(),
    brokers: [`mqtt://127.0.0.1:${port}`],
    tls: {},
    clientId: "tape",
    filters: ["towpath/1/#"],
    persistent: false,
    presence: null,
    random: Math.random,
  });
  onTestFinished(() => transport.stop());
  await new Promise<void>((resolve, reject) =>
    transport.start({ up: () => resolve(), down: reject, message: (message) => tape.push(message) }),
  );
  return { transport, tape };
}

/** Each twice, in an order of chance. */
function shuffled(tape: readonly Message[], seed: number): Message[] {
  const random = seeded(seed);
  const all = [...tape, ...tape].map((message) => ({ message, at: random.next() }));
  return all.sort((a, b) => a.at - b.at).map(({ message }) => message);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Player {
  private readonly site: BrokeredSite;
  private readonly transport: Transport;
  private readonly tape: readonly Message[];
  private seed = 1;

  constructor(site: BrokeredSite, transport: Transport, tape: readonly Message[]) {
    this.site = site;
    this.transport = transport;
    this.tape = [...tape];
  }

  /** Plays it, waits until the site has worked it off, and says how many edges that made. */
  async play(retained = false): Promise<number> {
    const before = this.site.edges().length;
    for (const message of shuffled(this.tape, this.seed++)) {
      while (!this.transport.publish(message.topic, message.payload, retained && isCommand(message))) await pause(20);
    }
    await pause(SETTLE_MS);
    return this.site.edges().length - before;
  }

  /** A retained message is gone when an empty one takes its place. */
  forgetRetained(): void {
    for (const { topic } of this.tape.filter(isCommand)) this.transport.publish(topic, new Uint8Array(), true);
  }
}

function isCommand({ topic }: Message): boolean {
  return filterMatches("towpath/1/+/+/+/dn/command", topic);
}

describe("a tape of everything that was ever published", () => {
  it("moves no relay when it is played again: doubled, shuffled, retained, after restarts, at another time, after a loss of memory", async () => {
    const site = await startBrokeredSite();
    const { transport, tape } = await listenTo(site.port);
    const power = (...args: string[]) => towpath(["power", ...args, "--yes", ...site.flags]);
    expect((await power("cycle", "one/router1")).code).toBe(0);
    expect((await power("on", "one/nas1")).code).toBe(0);
    expect((await power("off", "one/nas1")).code).toBe(0);
    expect((await power("lock", "one/nas1")).code).toBe(0);
    expect((await power("on", "one/nas1")).code).toBe(3);
    expect((await power("unlock", "one/nas1")).code).toBe(0);
    expect(tape.filter(isCommand).length).toBeGreaterThan(10);
    expect(site.edges().length).toBe(6);
    const player = new Player(site, transport, tape);
    expect(await player.play()).toBe(0);

    let { controller } = site;
    const restart = async (signal: NodeJS.Signals, env: Record<string, string> = {}): Promise<void> => {
      controller.child.kill(signal);
      await controller.ended;
      controller = await startController(site.config, [], env);
      await until(() => /"connection":"primary","state":"up"/.test(controller.log()), 20_000, controller.log);
    };
    await restart("SIGTERM");
    expect(await player.play()).toBe(0);
    await restart("SIGKILL");
    expect(await player.play()).toBe(0);

    // What the broker keeps for a site that is away, and what it keeps for whoever comes.
    controller.child.kill("SIGTERM");
    await controller.ended;
    expect(await player.play(true)).toBe(0);
    controller = await startController(site.config);
    await pause(SETTLE_MS);
    expect(site.edges().length).toBe(6);
    await until(() => controller.log().includes("message.retained"), 10_000, controller.log);
    player.forgetRetained();

    if (existsSync(FAKETIME)) {
      for (const shift of ["-400d", "+400d"]) {
        await restart("SIGTERM", { LD_PRELOAD: FAKETIME, FAKETIME: shift, DONT_FAKE_MONOTONIC: "1" });
        expect(await player.play(), shift).toBe(0);
      }
    } else process.stderr.write(`NOT TRIED: no ${FAKETIME}; the tape was not played at another time\n`);

    controller.child.kill("SIGTERM");
    await controller.ended;
    rmSync(join(site.data), { recursive: true });
    controller = await startController(site.config);
    await until(() => /"connection":"primary","state":"up"/.test(controller.log()), 20_000, controller.log);
    expect(await player.play()).toBe(0);
    expect(site.edges()).toEqual([]);
  });
});
