import { connect, type Socket } from "node:net";
import { type BusMessage, decodeMessage, encodeMessage } from "./dbus-message.ts";

/** A connection to a D-Bus: calls with signatures that the caller knows, and signals. */
export interface Bus {
  /** The values of the answer. Rejects with a `BusError` when the other side refuses, with an `Error` when nobody answers. */
  call(call: BusCall): Promise<readonly unknown[]>;
  close(): void;
}

export interface BusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly timeoutMs?: number;
}

/** An answer that is a refusal: `org.freedesktop.DBus.Error.ServiceUnknown` and the like. */
export class BusError extends Error {
  readonly code: string;

  constructor(code: string, text: string) {
    super(text === "" ? code : `${text} (${code})`);
    this.code = code;
  }
}

export interface BusOptions {
  /** `unix:path=/run/dbus/system_bus_socket`. */
  readonly address: string;
  readonly signal: (message: BusMessage) => void;
  /** Once, and only after the connection had been made. */
  readonly closed: (why: string) => void;
}

const CALL_TIMEOUT_MS = 25_000;
const CONNECT_TIMEOUT_MS = 10_000;
export const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
} as const;

/** Where the machine's bus listens. */
export function systemBusAddress(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return env.DBUS_SYSTEM_BUS_ADDRESS ?? "unix:path=/run/dbus/system_bus_socket";
}

/** Connects, authenticates as this process's user and says hello. */
export async function connectBus(options: BusOptions): Promise<Bus> {
  const socket = await opened(socketPath(options.address));
  const connection = new Connection(socket, options);
  try {
    await connection.authenticate();
    await connection.call({ ...BUS, member: "Hello" });
  } catch (error) {
    connection.abandon();
    throw error;
  }
  connection.established = true;
  return connection;
}

function socketPath(address: string): string {
  for (const one of address.split(";")) {
    const path = /^unix:(?:.*,)?path=([^,]+)/.exec(one)?.[1];
    if (path !== undefined) return decodeURIComponent(path);
  }
  throw new Error(`${address}: only unix:path= addresses of a bus are understood`);
}

function opened(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

interface Waiting {
  readonly done: (message: BusMessage) => void;
  readonly failed: (error: Error) => void;
}

class Connection implements Bus {
  established = false;
  private readonly socket: Socket;
  private readonly options: BusOptions;
  private readonly waiting = new Map<number, Waiting>();
  private received: Buffer = Buffer.alloc(0);
  private authenticated: { done: () => void; failed: (error: Error) => void } | null = null;
  private serial = 0;
  private ended = false;

  constructor(socket: Socket, options: BusOptions) {
    this.socket = socket;
    this.options = options;
    socket.on("data", (bytes) => this.receive(bytes));
    socket.on("error", (error) => this.end(error.message));
    socket.on("close", () => this.end("the bus closed the connection"));
  }

  authenticate(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.end("the bus does not answer"), CONNECT_TIMEOUT_MS);
      const settled = (then: () => void) => () => {
        clearTimeout(timer);
        this.authenticated = null;
        then();
      };
      this.authenticated = { done: settled(resolve), failed: (error) => settled(() => reject(error))() };
      const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString("hex");
      this.socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    });
  }

  call({ signature = "", body = [], timeoutMs = CALL_TIMEOUT_MS, ...to }: BusCall): Promise<readonly unknown[]> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(new Error("the bus is gone"));
      const serial = ++this.serial;
      const bytes = encodeMessage({ kind: "call", serial, ...to, signature, body });
      const timer = setTimeout(() => {
        this.waiting.delete(serial);
        reject(new Error(`${to.member}: no answer in ${timeoutMs / 1000} s`));
      }, timeoutMs);
      this.waiting.set(serial, {
        done: (answer) => {
          clearTimeout(timer);
          if (answer.kind === "error") reject(new BusError(answer.errorName ?? "error", String(answer.body[0] ?? "")));
          else resolve(answer.body);
        },
        failed: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
      this.socket.write(bytes);
    });
  }

  close(): void {
    this.established = false;
    this.abandon();
  }

  abandon(): void {
    this.end("closed");
    this.socket.destroy();
  }

  private end(why: string): void {
    if (this.ended) return;
    this.ended = true;
    this.authenticated?.failed(new Error(why));
    for (const one of this.waiting.values()) one.failed(new Error(why));
    this.waiting.clear();
    this.socket.destroy();
    if (this.established) this.options.closed(why);
  }

  private receive(bytes: Buffer): void {
    this.received = Buffer.concat([this.received, bytes]);
    if (this.authenticated !== null && !this.readAuthentication()) return;
    try {
      for (let next = decodeMessage(this.received); next !== null; next = decodeMessage(this.received)) {
        this.received = this.received.subarray(next.length);
        this.take(next.message);
      }
    } catch (error) {
      this.end((error as Error).message);
    }
  }

  /** One line: `OK` and the bus's id. True once messages follow. */
  private readAuthentication(): boolean {
    const end = this.received.indexOf("\r\n");
    if (end < 0) return false;
    const line = this.received.subarray(0, end).toString("latin1");
    this.received = this.received.subarray(end + 2);
    if (!line.startsWith("OK ")) {
      this.end(`the bus refuses this user: ${line}`);
      return false;
    }
    this.socket.write("BEGIN\r\n");
    this.authenticated?.done();
    return true;
  }

  private take(message: BusMessage): void {
    if (message.kind === "signal") return this.options.signal(message);
    if (message.kind === "call") return this.answer(message);
    const serial = message.replySerial ?? 0;
    const one = this.waiting.get(serial);
    this.waiting.delete(serial);
    one?.done(message);
  }

  /** Whoever calls gets an answer, as the specification wants it: nothing is offered here. */
  private answer(message: BusMessage): void {
    const head = { serial: ++this.serial, replySerial: message.serial, destination: message.sender };
    const errorName = "org.freedesktop.DBus.Error.UnknownMethod";
    this.socket.write(
      encodeMessage({ kind: "error", ...head, errorName, signature: "s", body: ["nothing is offered here"] }),
    );
  }
}
