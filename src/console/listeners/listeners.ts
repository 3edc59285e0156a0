import { createServer, type Server, type Socket } from "node:net";
import type { Sessions } from "../sessions.ts";
import { ListenerClient, type ListenerKind } from "./client.ts";

/** Network ports of consoles, for other programs: each stands at one address that the config names, and never on LTE. */

export interface Listeners {
  stop(): Promise<void>;
}

export interface ListenerAt {
  readonly console: string;
  readonly kind: ListenerKind;
  /** `address:port`, IPv6 in brackets. */
  readonly at: string;
  readonly mode: "watch" | "type";
  /** A changed speed stays when its client leaves. */
  readonly keepLine: boolean;
}

export interface ListenersOptions {
  readonly listeners: readonly ListenerAt[];
  readonly sessions: Sessions;
  /** Addresses of the LTE side now. */
  readonly forbidden: () => readonly string[];
  /** It cannot stand there, told once a cause; null: it stands. */
  readonly told: (at: string, why: string | null) => void;
}

/** An address may come later than the program does. */
const RETRY_MS = 5_000;
const CLIENTS = 8;
const KEEP_ALIVE_MS = 10_000;

export function startListeners({ listeners, sessions, forbidden, told }: ListenersOptions): Listeners {
  const all = listeners.map((one) => startOne(one, sessions, forbidden, (why) => told(one.at, why)));
  return { stop: async () => void (await Promise.all(all.map((one) => one.stop()))) };
}

function startOne(
  options: ListenerAt,
  sessions: Sessions,
  forbidden: () => readonly string[],
  told: (why: string | null) => void,
): Listeners {
  const { host, port } = placeOf(options.at);
  const clients = new Set<Socket>();
  let server: Server | null = null;
  let timer: NodeJS.Timeout | null = null;
  let last: string | null = "";

  const tell = (why: string | null): void => {
    if (why !== last) told(why);
    last = why;
  };

  const accept = (socket: Socket): void => {
    // The address of an interface can become another's while we stand on it.
    const here = (socket.localAddress ?? "").replace(/^::ffff:/, "");
    if (clients.size >= CLIENTS || forbidden().includes(here)) return void socket.destroy();
    clients.add(socket);
    socket.once("close", () => clients.delete(socket));
    serve(options, sessions, socket);
  };

  const listen = (): void => {
    timer = null;
    const again = (why: string): void => {
      tell(why);
      timer = setTimeout(listen, RETRY_MS);
    };
    if (forbidden().includes(host)) return again("it is an address of the LTE side");
    const how = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS, allowHalfOpen: true };
    const made = createServer(how, accept);
    made.once("error", (error: NodeJS.ErrnoException) => again(error.code ?? error.message));
    made.listen(port, host, () => {
      server = made;
      tell(null);
    });
  };

  listen();
  return {
    async stop() {
      if (timer !== null) clearTimeout(timer);
      for (const socket of clients) socket.destroy();
      const standing = server;
      if (standing !== null) await new Promise<void>((resolve) => standing.close(() => resolve()));
    },
  };
}

function serve({ console, kind, at, mode, keepLine }: ListenerAt, sessions: Sessions, socket: Socket): void {
  const client = new ListenerClient(socket, kind, console, mode === "type");
  const who = { name: `${kind} ${at}`, key: null, local: false };
  const from = `${socket.remoteAddress ?? "?"}:${socket.remotePort ?? 0}`;
  const session = sessions.open({ console, who, rights: mode, mode: "watch", from, keepLine }, client);
  if (session === null) return void socket.destroy();
  client.begin(session);
}

function placeOf(at: string): { host: string; port: number } {
  const colon = at.lastIndexOf(":");
  return { host: at.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(at.slice(colon + 1)) };
}
