import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { assertAlone } from "../../link/local.ts";
import { type Rack, Talk } from "./talk.ts";

/** Serves powerman's tools. The protocol knows no password: a loopback port or a Unix socket, nothing else. */

export type Place = { readonly path: string } | { readonly host: string; readonly port: number };

const IDLE_MS = 10 * 60_000;
const MOST_CLIENTS = 64;

/** Null for a place that others could reach. */
export function placeOf(text: string): Place | null {
  if (text.startsWith("/")) return { path: text };
  const [, host, port] = /^(127(?:\.\d{1,3}){3}|\[::1\]|localhost):(\d{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return null;
  return { host: host === "localhost" ? "127.0.0.1" : host.replace(/[[\]]/g, ""), port: Number(port) };
}

export interface Serving {
  /** Null on a Unix socket. */
  readonly port: number | null;
  stop(): Promise<void>;
}

/** Resolves once it listens; rejects where the place is taken. */
export async function servePowerman(place: Place, rack: Rack, version: string): Promise<Serving> {
  if ("path" in place) await assertAlone(place.path, "another program");
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    if (clients.size >= MOST_CLIENTS) return void socket.end("204 Too many clients\r\n");
    clients.add(socket);
    serveOne(socket, rack, version);
    socket.once("close", () => clients.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const listening = () => {
      const address = server.address();
      resolve({
        port: typeof address === "object" && address !== null ? address.port : null,
        stop: () => stop(server, clients),
      });
    };
    if ("path" in place) listenAt(server, place.path, listening);
    else server.listen(place.port, place.host, listening);
  });
}

function serveOne(socket: Socket, rack: Rack, version: string): void {
  const talk = new Talk(
    rack,
    (text) => void (socket.writable && socket.write(text, "latin1")),
    () => socket.end(),
  );
  socket.setNoDelay(true);
  socket.setKeepAlive(true, 60_000);
  socket.setTimeout(IDLE_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => talk.hear(bytes));
  socket.on("end", () => talk.heardAll());
  talk.greet(version);
}

/** Whoever may write to the socket may ask for power: its owner and group. */
function listenAt(server: Server, path: string, listening: () => void): void {
  rmSync(path, { force: true });
  const mask = process.umask(0o117);
  server.listen(path, listening);
  process.umask(mask);
}

function stop(server: Server, clients: ReadonlySet<Socket>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    for (const client of clients) client.destroy();
  });
}
