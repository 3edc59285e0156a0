import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type Dates, isDateError, outOfTimeBut } from "./tls-dates.ts";

/** TLS over a socket that a path made: sessions are resumed, and a site whose clock is unset still gets in. */

export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface TlsOptions {
  readonly host: string;
  /** Read at each connect, so that a renewed certificate is taken without a restart. */
  readonly files: TlsFiles;
  readonly sessions: TlsSessions;
  /** Whether a certificate's dates may hold although the machine's clock says no; null: they may not. */
  readonly datesHold: ((dates: Dates) => boolean) | null;
}

/** What brokers gave us to come back with, which saves their certificates and ours on the wire. In memory only. */
export class TlsSessions {
  private readonly byBroker = new Map<string, Buffer>();
  /** Brokers whose certificates the machine's clock refuses. */
  readonly outOfTime = new Set<string>();

  for(broker: string): Buffer | undefined {
    return this.byBroker.get(broker);
  }

  keep(broker: string, session: Buffer): void {
    this.byBroker.set(broker, session);
  }

  forget(broker: string): void {
    this.byBroker.delete(broker);
  }
}

/** Settles once the other side is known for who it should be. The socket ends with it. */
export function connectTls(raw: Socket, options: TlsOptions): Promise<TLSSocket> {
  const { host, sessions, datesHold } = options;
  const lenient = datesHold !== null && sessions.outOfTime.has(host);
  const session = lenient ? undefined : sessions.for(host);
  const ours = settingsOf(options, raw);
  return new Promise((resolve, reject) => {
    const socket = connect({ ...ours, ...(session && { session }), rejectUnauthorized: !lenient });
    const fail = (error: Error & { code?: string }): void => {
      sessions.forget(host);
      if (isDateError(error.code)) sessions.outOfTime.add(host);
      socket.destroy();
      raw.destroy();
      reject(error);
    };
    const closed = (): void => fail(new Error("closed in the TLS handshake"));
    socket.once("error", fail);
    socket.once("close", closed);
    // Before the handshake is over: the first ticket comes with its end.
    if (!lenient) socket.on("session", (ticket: Buffer) => sessions.keep(host, ticket));
    socket.once("secureConnect", () => {
      const wrong = socket.authorized || !lenient ? null : outOfTimeBut(socket, host, ours.ca, datesHold);
      if (wrong !== null) return fail(new Error(`certificate of ${host}: ${wrong}`));
      if (socket.authorized) sessions.outOfTime.delete(host);
      socket.removeListener("error", fail);
      socket.removeListener("close", closed);
      resolve(socket);
    });
  });
}

function settingsOf({ host, files }: TlsOptions, socket: Socket): ConnectionOptions & { ca: Buffer | undefined } {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
  const servername = /[a-z]/i.test(host) && !host.includes(":") ? host : "";
  return { socket, host, servername, ca: read(files.ca), cert: read(files.cert), key: read(files.key) };
}
