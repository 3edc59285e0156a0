import { chmodSync, existsSync, lstatSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { encodeFrame, type Frame, FrameReader } from "../protocol/frame.ts";
import { filterMatches, parseTopic } from "../protocol/topics.ts";
import type { Message, StreamTransport, TransportEvents } from "./transport.ts";

/** The local socket: the same topics and payloads as over a broker, for who is on site or came in by ssh. */

export interface LocalServer {
  publish(topic: string, payload: Uint8Array, retained: boolean): void;
  /** To the one client that listens to this stream; `done` once its socket has taken it. False: nobody does. */
  send(id: string, topic: string, payload: Uint8Array, done: () => void): boolean;
  stop(): Promise<void>;
}

/** Streams of the clients; `id` as in their topics. */
export interface LocalStreams {
  /** A client listens to it. */
  begun(id: string): void;
  /** False: no more until `resume` is called. */
  bytes(id: string, payload: Uint8Array, resume: () => void): boolean;
  /** The client is gone. */
  gone(id: string): void;
}

/** A client that does not read is cut off before its backlog costs memory. */
const BACKLOG_BYTES = 4 * 1024 * 1024;

/** Rejects when another controller answers there, or the path cannot be used. */
export async function listenLocal(
  path: string,
  take: (message: Message) => void,
  streams: LocalStreams | null = null,
): Promise<LocalServer> {
  await assertAlone(path);
  if (existsSync(path)) {
    if (!lstatSync(path).isSocket()) throw new Error(`${path} is there and is no socket`);
    rmSync(path);
  }
  const retained = new Map<string, Uint8Array>();
  const clients = new Map<Socket, string[]>();
  const owners = new Map<string, Socket>();
  const server = createServer((socket) => {
    const filters: string[] = [];
    clients.set(socket, filters);
    const reader = new FrameReader();
    socket.on("data", (bytes) => {
      for (const frame of reader.push(bytes)) {
        const id = streams && streamOf(frame);
        if (id !== null) toStreams(socket, frame, id, owners, streams);
        else if (!frame.subscribe) take({ ...frame, oversized: false });
        else {
          filters.push(frame.topic);
          sendRetained(socket, frame.topic, retained);
        }
      }
      if (reader.broken !== null) socket.destroy();
    });
    socket.on("close", () => {
      clients.delete(socket);
      for (const [id, owner] of owners) {
        if (owner !== socket) continue;
        owners.delete(id);
        streams?.gone(id);
      }
    });
    // A client that goes away in the middle is its own business.
    socket.on("error", () => socket.destroy());
  });
  await listen(server, path);
  return {
    publish(topic, payload, keep) {
      if (keep) retained.set(topic, payload);
      const frame = encodeFrame({ topic, payload, retained: false, subscribe: false });
      for (const [socket, filters] of clients) {
        if (filters.some((filter) => filterMatches(filter, topic))) send(socket, frame);
      }
    },
    send(id, topic, payload, done) {
      const frame = encodeFrame({ topic, payload, retained: false, subscribe: false });
      // Not at an error: the end of the socket is told, and who writes on meanwhile would keep it from being heard.
      return owners.get(id)?.write(frame, (error) => error ?? done()) !== undefined;
    },
    stop: () =>
      new Promise((resolve) => {
        for (const socket of clients.keys()) socket.end();
        server.close(() => resolve());
        setTimeout(() => {
          for (const socket of clients.keys()) socket.destroy();
        }, 200);
      }),
  };
}

/** Which stream a frame is of: it carries bytes of one, or asks for those of one. */
function streamOf(frame: Frame): string | null {
  const topic = parseTopic(frame.topic)?.topic;
  if (topic?.name === "up/stream/{id}") return frame.subscribe ? topic.id : null;
  return topic?.name === "dn/stream/{id}" && !frame.subscribe ? topic.id : null;
}

/** A stream is of the first client that listens to it. */
function toStreams(
  socket: Socket,
  frame: Frame,
  id: string,
  owners: Map<string, Socket>,
  streams: LocalStreams | null,
): void {
  if (frame.subscribe) {
    if (owners.has(id)) return;
    owners.set(id, socket);
    return streams?.begun(id);
  }
  if (owners.get(id) !== socket) return;
  if (streams?.bytes(id, frame.payload, () => socket.resume()) === false) socket.pause();
}

/** One controller to a data folder: the socket of a living one answers. */
export async function assertAlone(path: string, who = "another controller"): Promise<void> {
  if (await answers(path)) throw new Error(`${who} already answers on ${path}`);
}

function sendRetained(socket: Socket, filter: string, retained: ReadonlyMap<string, Uint8Array>): void {
  for (const [topic, payload] of retained) {
    if (filterMatches(filter, topic)) send(socket, encodeFrame({ topic, payload, retained: true, subscribe: false }));
  }
}

function send(socket: Socket, frame: Uint8Array): void {
  socket.write(frame);
  if (socket.writableLength > BACKLOG_BYTES) socket.destroy();
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      chmodSync(path, 0o660);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    const end = (found: boolean) => {
      probe.destroy();
      resolve(found);
    };
    probe.once("connect", () => end(true));
    probe.once("error", () => end(false));
  });
}

/** The client's end. It does not come back by itself: who types a command wants to know. */
export function createLocalTransport(path: string, filters: readonly string[]): StreamTransport {
  let socket: Socket | null = null;
  const write = (frame: Frame, done: () => void = () => undefined): void =>
    void socket?.write(encodeFrame(frame), (error) => (error ? setImmediate(done) : done()));
  return {
    start(events: TransportEvents) {
      const reader = new FrameReader();
      const made = connect(path);
      made.once("connect", () => {
        socket = made;
        for (const filter of filters)
          write({ topic: filter, payload: new Uint8Array(), retained: false, subscribe: true });
        events.up(path);
      });
      made.on("data", (bytes) => {
        for (const frame of reader.push(bytes)) {
          if (!frame.subscribe) events.message({ ...frame, oversized: false });
        }
        if (reader.broken !== null) made.destroy(new Error(reader.broken));
      });
      made.on("error", (error) => events.down(error.message));
      made.on("close", () => {
        if (socket !== null) events.down("the controller closed the connection");
        socket = null;
      });
    },
    publish(topic, payload, retained, how = {}) {
      if (socket === null) return false;
      write({ topic, payload, retained, subscribe: false }, how.settled);
      return true;
    },
    subscribe(filter, done) {
      write({ topic: filter, payload: new Uint8Array(), retained: false, subscribe: true }, done);
    },
    hold(held) {
      if (held) socket?.pause();
      else socket?.resume();
    },
    stop: () =>
      new Promise((resolve) => {
        const was = socket;
        socket = null;
        if (was === null) return resolve();
        was.once("close", () => resolve());
        // Whoever does not close its end must not keep us.
        was.destroySoon();
      }),
  };
}
