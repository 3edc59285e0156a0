import { createSocket } from "node:dgram";
import { describe, expect, it, onTestFinished } from "vitest";
import { keepTime } from "../../firmware/site-time.ts";
import { askTime } from "../../src/link/sntp.ts";

/** A time server on loopback, which answers as the test says. */

const NOW = 1_800_000_000_000;
const FLOOR = NOW - 365 * 86_400_000;
const TO_UNIX_S = 2_208_988_800;

function put(packet: Buffer, at: number, ms: number): void {
  const seconds = Math.floor(ms / 1_000);
  packet.writeUInt32BE((seconds + TO_UNIX_S) % 2 ** 32, at);
  packet.writeUInt32BE(Math.floor(((ms / 1_000) % 1) * 2 ** 32), at + 4);
}

function answerTo(question: Buffer, wallMs: number, first = 0x24, stratum = 2): Buffer {
  const packet = Buffer.alloc(48);
  packet[0] = first;
  packet[1] = stratum;
  question.copy(packet, 24, 40, 48);
  put(packet, 32, wallMs);
  put(packet, 40, wallMs + 1);
  return packet;
}

async function server(answers: (question: Buffer) => Buffer[]): Promise<{ port: number; asked: Buffer[] }> {
  const socket = createSocket("udp4");
  const asked: Buffer[] = [];
  socket.on("message", (question, from) => {
    asked.push(question);
    for (const answer of answers(question)) socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  onTestFinished(() => void socket.close());
  return { port: socket.address().port, asked };
}

const ask = (port: number, timeoutMs = 5_000, floorMs = FLOOR) =>
  askTime({ from: "127.0.0.1", server: "127.0.0.1", port, floorMs, timeoutMs });

describe("the time over LTE", () => {
  it("is what the server says, and the question tells nobody what we believe", async () => {
    const { port, asked } = await server((question) => [answerTo(question, NOW)]);
    const answer = await ask(port, 20_000);
    expect(answer?.wallMs).toBeGreaterThanOrEqual(NOW);
    expect(answer?.wallMs).toBeLessThan(NOW + 5_000);
    expect(asked[0]?.length).toBe(48);
    expect(asked[0]?.subarray(0, 40)).toEqual(Buffer.concat([Buffer.from([0x23]), Buffer.alloc(39)]));
    await ask(port, 20_000);
    expect(asked[1]?.subarray(40).equals(asked[0]?.subarray(40) ?? Buffer.alloc(0))).toBe(false);
  });

  it("is told right after the year 2036, when the counter of the protocol begins anew", async () => {
    const late = Date.UTC(2040, 1, 1);
    const { port } = await server((question) => [answerTo(question, late)]);
    expect(Math.abs(((await ask(port, 20_000))?.wallMs ?? 0) - late)).toBeLessThan(5_000);
  });

  it("is not taken from a stranger, from a server without time, or from before what is known", async () => {
    const wrong: Record<string, (question: Buffer) => Buffer> = {
      "not our number": () => answerTo(Buffer.alloc(48, 7), NOW),
      "not synchronised": (question) => answerTo(question, NOW, 0xe4),
      "a kiss of death": (question) => answerTo(question, NOW, 0x24, 0),
      "no server": (question) => answerTo(question, NOW, 0x23),
      "no time": (question) => answerTo(question, NOW).fill(0, 32),
      short: (question) => answerTo(question, NOW).subarray(0, 40),
    };
    for (const [name, make] of Object.entries(wrong)) {
      const { port, asked } = await server((question) => [make(question)]);
      expect([name, await ask(port, 300)]).toEqual([name, null]);
      expect(asked.length).toBe(1);
    }
    const { port } = await server((question) => [answerTo(Buffer.alloc(48), NOW), answerTo(question, NOW)]);
    expect(await ask(port, 20_000)).not.toBeNull();
  });

  it("is not asked while the machine's own service has it, or while LTE is down", async () => {
    const told: number[] = [];
    let from: string | null = null;
    let trust: "none" | "ntp" = "ntp";
    let asked = 0;
    const { port } = await server((question) => {
      asked++;
      return [answerTo(question, NOW)];
    });
    const time = keepTime({
      ...{ servers: ["127.0.0.1", "::1"], from: () => from, clock: () => ({ wallMs: 0, trust }) },
      ...{ floorMs: () => FLOOR, emit: ({ wallMs }) => told.push(wallMs), lookMs: 20 },
      ask: (options) => askTime({ ...options, port }),
    });
    onTestFinished(() => time.stop());
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    trust = "none";
    await pause(100);
    trust = "ntp";
    from = "127.0.0.1";
    await pause(100);
    expect(asked).toBe(0);
    trust = "none";
    for (let tries = 0; told.length === 0 && tries < 1_000; tries++) await pause(20);
    expect([asked, told.length]).toEqual([1, 1]);
  });
});
