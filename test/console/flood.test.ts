import { readdirSync, readlinkSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Port } from "../../src/console/port.ts";
import { createSweeper, type Sweeper } from "../../src/console/sweeper.ts";
import { createTtyPort } from "../../src/console/tty-port.ts";
import { openPty, openSocket } from "../pty.ts";

const settings = {
  baudRate: 115_200,
  framing: { dataBits: 8 as const, parity: "none" as const, stopBits: 1 as const },
  flow: "none" as const,
};

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function within(ms: number, check: () => boolean): Promise<number> {
  const begun = performance.now();
  while (!check()) {
    if (performance.now() - begun > ms) throw new Error(`not within ${ms} ms`);
    await wait(2);
  }
  return performance.now() - begun;
}

interface Listening {
  readonly port: Port;
  bytes: number;
  lost: number;
  up: number;
  readonly heardAtMs: number[];
}

async function listen(path: string, sweeper: Sweeper): Promise<Listening> {
  const port = createTtyPort({ locate: () => path, ...settings }, sweeper);
  const heard: Listening = { port, bytes: 0, lost: 0, up: 0, heardAtMs: [] };
  port.start({
    up: () => heard.up++,
    down: () => undefined,
    lost: () => heard.lost++,
    data: (bytes) => {
      heard.bytes += bytes.length;
      heard.heardAtMs.push(performance.now());
    },
  });
  onTestFinished(() => port.stop());
  await within(3_000, () => heard.up > 0);
  return heard;
}

describe("a flood on one port", () => {
  it("does not keep another from being read in time", async () => {
    const sweeper = createSweeper();
    const [loud, quiet] = [openPty(), openPty()];
    const flood = await listen(loud.path, sweeper);
    const other = await listen(quiet.path, sweeper);
    const chunk = Buffer.alloc(4_096, "x");
    let poured = 0;
    const pour = setInterval(() => {
      for (let n = 0; n < 16; n++) poured += loud.say(chunk);
    }, 1);
    onTestFinished(() => clearInterval(pour));
    const latencies: number[] = [];
    for (let round = 0; round < 20; round++) {
      const before = other.bytes;
      quiet.say("one line of a quiet device\r\n");
      latencies.push(await within(2_000, () => other.bytes > before));
    }
    clearInterval(pour);
    await within(5_000, () => flood.bytes === poured);
    expect(poured).toBeGreaterThan(100_000);
    // A tick is 20 ms; the rest is for a busy machine.
    expect(latencies.sort((a, b) => a - b)[10]).toBeLessThan(100);
    loud.close();
    quiet.close();
  });
});

describe("the kernel's buffer", () => {
  it("found full is told as a possible loss, and one byte less is not", async () => {
    const sweeper = createSweeper();
    const pty = openPty();
    const heard = await listen(pty.path, sweeper);
    const freeze = async (bytes: number) => {
      const before = heard.bytes;
      pty.say(Buffer.alloc(bytes, "y"));
      // The loop stands still, as a process that was stopped does.
      const until = performance.now() + 60;
      while (performance.now() < until);
      await within(2_000, () => heard.bytes - before >= bytes);
    };
    await freeze(4_094);
    expect(heard.lost).toBe(0);
    await freeze(4_095);
    expect(heard.lost).toBe(1);
    pty.close();
  });

  it("at 921600 baud is not nearly full when the tick comes", async () => {
    // A machine that stands still for longer than a tick says nothing about the tick: such a try does not count.
    let tried = await atFullSpeed();
    for (let tries = 1; tried.stoodStillMs > 25 && tries < 20; tries++) tried = await atFullSpeed();
    expect(tried.bytes).toBeGreaterThan(25_000);
    expect(tried.lost, `the machine stood still for ${tried.stoodStillMs} ms`).toBe(0);
  });

  async function atFullSpeed(): Promise<{ bytes: number; lost: number; stoodStillMs: number }> {
    const sweeper = createSweeper();
    const pty = openPty();
    const heard = await listen(pty.path, sweeper);
    const begun = performance.now();
    let said = 0;
    let stoodStillMs = 0;
    let last = begun;
    for (let now = begun; now < begun + 400; now = performance.now()) {
      stoodStillMs = Math.max(stoodStillMs, now - last);
      last = now;
      const due = Math.floor((now - begun) * 92.16) - said;
      said += pty.say(Buffer.alloc(Math.min(due, 2_000), "z"));
      await wait(1);
    }
    await within(2_000, () => heard.bytes === said);
    pty.close();
    return { ...heard, stoodStillMs };
  }
});

const timersNow = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

/** Descriptors of ours whose terminal is gone. */
function deadTerminals(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => /^\/dev\/pts\/.*\(deleted\)$/.test(link)).length;
}

describe("a cable that is pulled and put back", () => {
  it("is heard again at once, many times, and leaves no descriptor and no timer behind", async () => {
    const sweeper = createSweeper();
    const socket = openSocket();
    const heard = await listen(socket.path, sweeper);
    const times: number[] = [];
    const rounds = process.env.TOWPATH_LONG === undefined ? 20 : 3_000;
    let timers = 0;
    for (let round = 0; round < rounds; round++) {
      socket.unplug();
      await wait(30);
      const { up, bytes } = heard;
      socket.plug();
      await within(2_000, () => heard.up > up);
      socket.pty().say("back");
      times.push(await within(2_000, () => heard.bytes > bytes));
      expect(socket.pty().heard()).toBe("");
      if (round === 4) timers = timersNow();
    }
    // Other tests of this process have their own: a leak would be two timers and a dead terminal each round.
    expect(deadTerminals()).toBeLessThan(5);
    expect(timersNow()).toBeLessThan(timers + rounds);
    expect(heard.up).toBe(rounds + 1);
    await heard.port.stop();
    socket.end();
  }, 600_000);
});
