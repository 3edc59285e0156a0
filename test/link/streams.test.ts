import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { createLocalTransport, type LocalStreams, listenLocal } from "../../src/link/local.ts";
import { LocalStream } from "../../src/link/local-stream.ts";
import { createStreams, type Opened, type Service, type Streams } from "../../src/link/streams.ts";
import { siteRoot, topicText } from "../../src/protocol/topics.ts";

/** Streams over the local socket: real sockets, a service of the test's at the site's end. */

const ROOT = siteRoot("acme", "one");
const ID = "00112233445566778899aabbccddeeff";
const UP = topicText(ROOT, { name: "up/stream/{id}", id: ID });
const DOWN = topicText(ROOT, { name: "dn/stream/{id}", id: ID });
const OPENED: Opened = {
  ...{ id: ID, via: "local", service: "console", console: "router1", mode: "type", rights: [], keys: [] },
  who: { name: "local", key: null, local: true },
};

async function world(service: Service) {
  const folder = mkdtempSync(join(tmpdir(), "towpath-streams-"));
  const events: Event[] = [];
  let streams: Streams | null = null;
  const side: LocalStreams = {
    begun: (id) => streams?.begun(id),
    bytes: (id, payload, resume) => streams?.bytes(id, payload, resume) ?? true,
    gone: (id) => streams?.gone(id),
  };
  const server = await listenLocal(join(folder, "s"), () => undefined, side);
  const made = createStreams({
    services: { console: service },
    send: (_, id, payload, done) => server.send(id, UP, payload, done),
    emit: (event) => events.push(event),
    monoMs: () => performance.now(),
  });
  streams = made;
  onTestFinished(async () => {
    made.stop();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const client = () => openClient(join(folder, "s"));
  return { streams: made, events, client };
}

async function openClient(path: string): Promise<{ stream: LocalStream; leave(): Promise<void> }> {
  const transport = createLocalTransport(path, ["towpath/1/#"]);
  const stream = new LocalStream(
    {
      send: (payload, settled) => transport.publish(DOWN, payload, false, { settled }),
      hold: (held) => transport.hold?.(held),
    },
    true,
  );
  await new Promise<void>((resolve) =>
    transport.start({
      up: () => transport.subscribe(UP, resolve),
      down: () => stream.lost(),
      message: ({ topic, payload }) => void (topic === UP && stream.arrived(payload)),
    }),
  );
  onTestFinished(() => transport.stop());
  return { stream, leave: () => transport.stop() };
}

const closed = (stream: Duplex) => new Promise<void>((resolve) => stream.once("close", () => resolve()));

async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; !check(); tries++) {
    if (tries > 2_000) throw new Error(`not within 20 s: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("a stream over the local socket", () => {
  it("brings megabytes both ways whole, and ends when both have said so", async () => {
    const { streams, events, client } = await world((stream) => {
      stream.pipe(stream);
      return { ok: true };
    });
    streams.perform({ type: "open-stream", token: 1, ...OPENED });
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({ type: "stream-opened", token: 1, ok: true });
    const { stream } = await client();
    const sent = randomBytes(3_000_000);
    stream.end(sent);
    expect((await buffer(stream)).equals(sent)).toBe(true);
    await until(() => events.length === 2);
    const bytes = { bytesIn: sent.length, bytesOut: sent.length };
    expect(events[1]).toEqual({ type: "stream-closed", id: ID, how: "ended", ...bytes });
  });

  it("what the site says before anybody listens is not lost", async () => {
    const { streams, client } = await world((stream) => {
      stream.end("hello");
      return { ok: true };
    });
    streams.perform({ type: "open-stream", token: 1, ...OPENED });
    const { stream } = await client();
    expect((await buffer(stream)).toString()).toBe("hello");
  });

  it("a client that reads nothing stops the service's writing, and costs no memory", async () => {
    let written = 0;
    const { streams, client } = await world((stream) => {
      const more = (): void =>
        void stream.write(Buffer.alloc(16_384), (error) => {
          if (error) return;
          written += 16_384;
          more();
        });
      more();
      return { ok: true };
    });
    streams.perform({ type: "open-stream", token: 1, ...OPENED });
    await client();
    let before = -1;
    await until(() => {
      const same = written === before && written > 0;
      before = written;
      return same;
    });
    expect(written).toBeLessThan(8_000_000);
  });

  it("ends when the client's socket does", async () => {
    const ends: Promise<void>[] = [];
    const { streams, events, client } = await world((stream) => {
      ends.push(closed(stream));
      return { ok: true };
    });
    streams.perform({ type: "open-stream", token: 1, ...OPENED });
    const { leave } = await client();
    await leave();
    await Promise.all(ends);
    expect(ends).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "stream-closed", id: ID });
  });

  it("is closed at once when the site says so, and the client sees its end", async () => {
    const { streams, events, client } = await world(() => ({ ok: true }));
    streams.perform({ type: "open-stream", token: 1, ...OPENED });
    const { stream } = await client();
    streams.perform({ type: "close-stream", id: ID, code: "operator.revoked" });
    expect(await buffer(stream)).toHaveLength(0);
    await until(() => events.length === 2);
    expect(events[1]).toMatchObject({ type: "stream-closed", how: "operator.revoked" });
  });

  it("is refused where the service cannot be had, and leaves nothing", async () => {
    const { streams, events } = await world(() => ({ ok: false, code: "console.missing", detail: "unplugged" }));
    streams.perform({ type: "open-stream", token: 4, ...OPENED });
    streams.perform({ type: "open-stream", token: 5, ...OPENED, service: "shell" });
    await until(() => events.length === 2);
    expect(events).toMatchObject([
      { token: 4, ok: false, code: "console.missing", detail: "unplugged" },
      { token: 5, ok: false, code: "stream.unsupported" },
    ]);
  });
});
