import type { Duplex } from "node:stream";
import { FramedStream } from "../link/framed-stream.ts";
import { LocalStream } from "../link/local-stream.ts";
import { siteRoot, topicText } from "../protocol/topics.ts";
import type { Client, SiteReply } from "./client.ts";
import { Unreachable } from "./errors.ts";
import type { Who } from "./who.ts";

/** An operator's end of a stream into a site: over a broker or the local socket, the same `Duplex`. */

export interface StreamRequest {
  readonly service: "console" | "ssh" | "shell";
  readonly console?: string;
  readonly mode?: "watch" | "type" | "join" | "steal";
  readonly ticket?: string;
}

/** The site said no: its answer. */
export class StreamRefused extends Error {
  readonly reply: SiteReply;

  constructor(reply: SiteReply) {
    super(`refused: ${reply.code ?? "no reason"}`);
    this.reply = reply;
  }
}

const ANSWER_MS = 10_000;

/** @throws `StreamRefused` with the site's answer; `Unreachable` where nobody answers. */
export async function openStream(client: Client, who: Who | null, args: StreamRequest): Promise<Duplex> {
  const ask = async (life: string | null): Promise<SiteReply> => {
    const body = { kind: "stream.open", args: { ...args, ...(life !== null && { life }) } };
    const reply = await client.send(body, { who, timeoutMs: ANSWER_MS });
    if (reply === null) throw new Unreachable("no answer to the request for a stream");
    return reply;
  };
  const known = who === null ? null : lifeOf(client.state()?.body);
  let reply = await ask(who === null ? null : (known ?? (await freshLife(client, who))));
  // What is retained may be of before its last restart.
  if (reply.code === "stream.stale" && who !== null) reply = await ask(await freshLife(client, who));
  const { stream: id } = reply;
  if (reply.phase !== "result" || typeof id !== "string") throw new StreamRefused(reply);
  return client.local ? openLocal(client, id) : await openFar(client, id);
}

/** Which life of the site is meant: a request that is recorded and played again later opens nothing. */
function lifeOf(said: Readonly<Record<string, unknown>> | undefined): string | null {
  return said?.boot === undefined ? null : `${said.boot}/${said.start}`;
}

async function freshLife(client: Client, who: Who): Promise<string | null> {
  const reply = await client.send({ kind: "status" }, { who, timeoutMs: ANSWER_MS });
  if (reply === null) throw new Unreachable("the site does not answer");
  if (reply.phase !== "result") throw new StreamRefused(reply);
  return lifeOf(reply);
}

function openLocal(client: Client, id: string): Duplex {
  const { up, down } = topicsOf(client, id);
  const stream = new LocalStream(
    {
      send: (payload, settled) => client.transport.publish(down, payload, false, { settled }),
      hold: (held) => client.transport.hold?.(held),
    },
    true,
  );
  const deaf = client.onMessage((message) => {
    if (message.topic === up) stream.arrived(message.payload);
  });
  const calm = client.onLost(() => stream.lost());
  stream.once("close", () => {
    deaf();
    calm();
  });
  client.transport.subscribe(up, () => undefined);
  return stream;
}

async function openFar(client: Client, id: string): Promise<Duplex> {
  const { up, down } = topicsOf(client, id);
  const { transport } = client;
  await new Promise<void>((resolve) => transport.subscribe(up, resolve));
  const send = (frame: Uint8Array) => void transport.publish(down, frame, false);
  const stream = new FramedStream(true, send, () => performance.now());
  const presence = `${siteRoot(client.fleet, client.site)}/up/link/`;
  const ends = [
    client.onMessage((message) => {
      if (message.topic === up) stream.arrived(message.payload);
      // It restarted, or came back: ask at once instead of in a minute.
      else if (message.topic.startsWith(presence)) stream.probe();
    }),
    client.onBack(() => stream.reconnected()),
  ];
  stream.once("close", () => {
    for (const end of ends) end();
  });
  return stream;
}

function topicsOf(client: Client, id: string): { up: string; down: string } {
  const root = siteRoot(client.fleet, client.site);
  return {
    up: topicText(root, { name: "up/stream/{id}", id }),
    down: topicText(root, { name: "dn/stream/{id}", id }),
  };
}
