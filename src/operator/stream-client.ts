import type { Duplex } from "node:stream";
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

/** Opens a stream. Throws `StreamRefused`, or `Unreachable` where nobody answers. It ends as any stream does. */
export async function openStream(client: Client, who: Who | null, args: StreamRequest): Promise<Duplex> {
  const life = who === null ? undefined : await lifeOf(client, who);
  const options = { who, timeoutMs: ANSWER_MS };
  const reply = await client.send({ kind: "stream.open", args: { ...args, ...(life && { life }) } }, options);
  if (reply === null) throw new Unreachable("no answer to the request for a stream");
  const { stream: id } = reply;
  if (reply.phase !== "result" || typeof id !== "string") throw new StreamRefused(reply);
  return openLocal(client, id);
}

/** Which life of the site is meant: a request that is recorded and played again later opens nothing. */
async function lifeOf(client: Client, who: Who): Promise<string> {
  const reply = await client.send({ kind: "status" }, { who, timeoutMs: ANSWER_MS });
  if (reply === null) throw new Unreachable("the site does not answer");
  if (reply.phase !== "result") throw new StreamRefused(reply);
  return `${reply.boot}/${reply.start}`;
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

function topicsOf(client: Client, id: string): { up: string; down: string } {
  const root = siteRoot(client.fleet, client.site);
  return {
    up: topicText(root, { name: "up/stream/{id}", id }),
    down: topicText(root, { name: "dn/stream/{id}", id }),
  };
}
