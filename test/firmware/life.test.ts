import { createServer, type Server } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { answers, watchLife } from "../../firmware/life.ts";
import type { Event } from "../../src/core/events.ts";
import { PLAN } from "../core/bench.ts";

const asked = (address: string) => new Promise<boolean>((resolve) => answers(address, resolve));

async function listening(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return { server, port: typeof address === "object" ? (address?.port ?? 0) : 0 };
}

describe("a device's address", () => {
  it("answers by a connection, and by a refusal", async () => {
    const { server, port } = await listening();
    expect(await asked(`127.0.0.1:${port}`)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    expect(await asked(`127.0.0.1:${port}`)).toBe(true);
  });

  it("does not answer where no machine is", async () => {
    expect(await asked("256.0.0.1:1")).toBe(false);
  });
});

describe("signs of life", () => {
  it("of a console are told at most once a second", () => {
    const events: Event[] = [];
    let now = 0;
    const life = watchLife(
      PLAN,
      () => now,
      (event) => events.push(event),
    );
    const said = { boot: 1, offset: 0, monoMs: 0, content: { data: new Uint8Array(3) } };
    for (now = 0; now < 2_000; now += 100)
      life.spoke([
        { ...said, track: "router1/rx" },
        { ...said, track: "router1/tx" },
      ]);
    life.stop();
    expect(events).toEqual(Array(2).fill({ type: "life-sensed", source: "console router1" }));
  });
});
