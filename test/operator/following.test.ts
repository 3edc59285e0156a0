import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createLocalTransport } from "../../src/link/local.ts";
import type { Message } from "../../src/link/transport.ts";
import type { Client, SiteReply } from "../../src/operator/client.ts";
import { follow } from "../../src/operator/following.ts";
import type { Item } from "../../src/operator/pieces.ts";
import { readRange } from "../../src/operator/reading.ts";
import { type SiteConsole, siteSource } from "../../src/operator/site-source.ts";
import { type Chunk, encodeChunk } from "../../src/protocol/chunk.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { chunk } from "./chunks.ts";

const ROOT = siteRoot("acme", "one");
const CURRENT = 9;

interface Told {
  boot: number;
  text: string;
  gaps: { cause: string; length: number | null; offset: number; monoMs: number }[];
}

/** A site that answers as the real one does: chunks first, then the signed word, which names the boot it was made in. */
function fakeSite(boots: Told[]) {
  const listeners = new Set<(message: Message) => void>();
  const publish = (topic: string, payload: Uint8Array): void => {
    for (const listener of [...listeners])
      listener({ topic: `${ROOT}/${topic}`, payload, retained: false, oversized: false });
  };
  const say = (one: Chunk): void => publish("up/capture/router1/rx", encodeChunk(one));
  const asked: Record<string, unknown>[] = [];
  const site = { forge: false, boot: CURRENT };
  const read = (args: Record<string, unknown>): Record<string, unknown> => {
    const told = args.boot === undefined ? boots.at(-1) : boots.find(({ boot }) => boot === args.boot);
    if (told === undefined) return { phase: "rejected", code: "read.range" };
    const next = told.text.length;
    const from = Math.min(Number(args.from ?? 0), next);
    const to = Math.max(from, Math.min(Number(args.to ?? next), next, from + 16));
    const data = Buffer.from(told.text).subarray(from, to);
    // Somebody else reads the same text in other pieces.
    if (data.length > 3) say({ ...chunk(from, data.subarray(0, 2), from, told.boot) });
    if (data.length > 3) say({ ...chunk(from + 1, data.subarray(1, 3), from, told.boot) });
    if (data.length > 0) say({ ...chunk(from, data, from, told.boot) });
    return {
      phase: "result",
      ...{ from, to, first: 0, next, bytes: data.length, more: to < next },
      sha256: createHash("sha256")
        .update(site.forge ? "else" : data)
        .digest("hex"),
      gaps: told.gaps.filter(({ offset }) => offset >= from && offset <= to),
      boots: boots.map(({ boot, text }) => ({ boot, first: 0, next: text.length })),
      clocks: [],
    };
  };
  const client: Client = {
    fleet: "acme",
    site: "one",
    local: false,
    epoch: 1,
    transport: createLocalTransport("/nonexistent", []),
    async send(body): Promise<SiteReply> {
      const { kind, args } = body as { kind: string; args: Record<string, unknown> };
      asked.push({ kind, ...args });
      const reply = kind === "watch" ? { phase: "result" } : read(args);
      return { id: "x", ...reply, boot: site.boot, start: 1 } as SiteReply;
    },
    state: () => ({ body: { boot: site.boot, start: 1 }, verified: true }),
    presence: () => null,
    onMessage(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    onLost: () => () => undefined,
    onBack: () => () => undefined,
    sawForged: () => false,
    verified: () => true,
    stop: async () => undefined,
  };
  const record = (fields: Record<string, unknown>) =>
    publish("up/event", Buffer.from(JSON.stringify({ records: [{ kind: "gap", ...fields }] })));
  return { client, publish, say, record, asked, site };
}

function consoleOf(client: Client, signal: AbortSignal): SiteConsole {
  return { client, who: null, console: "router1", track: "rx", signal, note: () => undefined };
}

const told = (items: readonly Item[]) =>
  items
    .map(({ chunk: one, gap }) =>
      gap === undefined ? Buffer.from(one?.data ?? []).toString() : `<${gap.cause}@${gap.offset}>`,
    )
    .join("");

const settle = () => new Promise((resolve) => setTimeout(resolve, 150));

describe("ranges of older boots", () => {
  it("are read although the site signs with the boot that goes on now", async () => {
    const { client } = fakeSite([
      { boot: 4, text: "what it said before it died", gaps: [] },
      { boot: CURRENT, text: "now", gaps: [] },
    ]);
    const source = siteSource(consoleOf(client, new AbortController().signal));
    expect((await source.extent()).boots.map(({ boot }) => boot)).toEqual([4, CURRENT]);
    let text = "";
    for await (const step of source.read({ boot: 4, from: 5, to: 27 }))
      text += Buffer.concat(step.chunks.map(({ data }) => data));
    expect(text).toBe("it said before it died");
  });

  it("that are not what the site signed for are not shown", async () => {
    const { client, site } = fakeSite([{ boot: CURRENT, text: "now", gaps: [] }]);
    site.forge = true;
    const outcome = await readRange(client, null, "router1", { boot: CURRENT, from: 0 });
    expect(outcome).toMatchObject({ ok: false, why: expect.stringContaining("reply.unverified") });
  });

  it("of a console that has never spoken are empty, not wrong", async () => {
    const { client } = fakeSite([]);
    expect(await readRange(client, null, "router1", { boot: CURRENT })).toMatchObject({
      ok: false,
      reply: { code: "read.range" },
    });
  });
});

describe("following", () => {
  async function followed(boots: Told[], live: (site: ReturnType<typeof fakeSite>) => Promise<void>): Promise<string> {
    const site = fakeSite(boots);
    const stop = new AbortController();
    const items: Item[] = [];
    const running = follow(
      consoleOf(site.client, stop.signal),
      { boot: CURRENT, next: 0 },
      (item) => void items.push(item),
    );
    await settle();
    await live(site);
    await settle();
    stop.abort();
    await running;
    return told(items);
  }

  it("shows a gap of unknown length where it was, whether the ledger tells it before the bytes, after them, or a read does", async () => {
    const past = { boot: CURRENT, text: "abc", gaps: [{ cause: "start", length: null, offset: 1, monoMs: 5 }] };
    const shown = await followed([past], async ({ say, record }) => {
      record({ console: "router1", track: "rx", boot: CURRENT, offset: 5, cause: "replug", length: null, count: 1 });
      record({ console: "router1", track: "rx", boot: CURRENT, offset: 1, cause: "start", length: null, count: 1 });
      record({ console: "spare", track: "rx", boot: CURRENT, offset: 4, cause: "replug", length: null, count: 1 });
      say(chunk(3, "defg", 9, CURRENT));
      record({ console: "router1", track: "rx", boot: CURRENT, offset: 7, cause: "overrun", length: 2, count: 1 });
    });
    expect(shown).toBe("a<start@1>bcde<replug@5>fg<overrun@7>");
  });

  it("shows a gap once when somebody else reads the ledger and its record comes again", async () => {
    const gap = { console: "router1", track: "rx", boot: CURRENT, offset: 3, cause: "replug", length: null, count: 1 };
    const shown = await followed([{ boot: CURRENT, text: "abc", gaps: [] }], async ({ say, record }) => {
      record({ seq: 40, ...gap });
      record({ seq: 40, ...gap });
      record({ seq: 41, ...gap, offset: 5 });
      record({ seq: 41, ...gap, offset: 5 });
      say(chunk(3, "defg", 9, CURRENT));
      record({ seq: 42, ...gap, offset: 7 });
    });
    expect(shown).toBe("abc<replug@3>de<replug@5>fg<replug@7>");
  });

  it("shows each byte once when pieces come twice, out of order, or of another boot", async () => {
    const site = { boot: CURRENT, text: "abcdefghij", gaps: [] };
    const shown = await followed([{ ...site, text: "abc" }], async ({ say }) => {
      say(chunk(0, "abc", 0, CURRENT));
      say(chunk(3, "de", 0, CURRENT));
      say(chunk(3, "def", 0, CURRENT));
      say(chunk(0, "other", 0, 4));
    });
    expect(shown).toBe("abcdef");
  });

  it("a piece for a receiver, which needs bytes that we do not have, is not asked for again when ours comes too", async () => {
    const past = { boot: CURRENT, text: "", gaps: [] };
    let reads = 0;
    const shown = await followed([past], async ({ publish, say, asked }) => {
      await settle();
      const before = asked.length;
      const text = "the same words, the same words";
      publish("up/capture/router1/rx", encodeChunk(chunk(0, text, 0, CURRENT), Buffer.from("the same words")));
      say(chunk(0, text, 0, CURRENT));
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      reads = asked.length - before;
    });
    expect(shown).toBe("the same words, the same words");
    expect(reads).toBe(0);
  });

  it("reads again what it missed", async () => {
    const past = { boot: CURRENT, text: "abc", gaps: [] };
    const shown = await followed([past], async ({ say }) => {
      past.text = "abcdefghijklmnopqrstuvwxyz";
      say(chunk(20, "uvwxyz", 0, CURRENT));
      await new Promise((resolve) => setTimeout(resolve, 1_200));
    });
    expect(shown).toBe("abcdefghijklmnopqrstuvwxyz");
  });

  it("goes over to the next boot when the site's machine restarts, with the last words of the one before", async () => {
    const boots: Told[] = [{ boot: CURRENT, text: "abc", gaps: [] }];
    const shown = await followed(boots, async ({ site }) => {
      boots[0] = { boot: CURRENT, text: "abc, dying", gaps: [] };
      boots.push({ boot: 10, text: "up", gaps: [] });
      site.boot = 10;
      await settle();
      await settle();
    });
    expect(shown).toBe("abc, dyingup");
  });
});
