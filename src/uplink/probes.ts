import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Path } from "../link/path.ts";
import { askThrough } from "./bound-dns.ts";
import { reachThrough } from "./reach.ts";

/** The questions of a round, each out of one device, each with an end. None rejects. */

const ANCHOR_MS = 1_000;
const NAME_MS = 1_000;
const PAGE_MS = 1_000;
const BROKER_MS = 2_000;

/** Whether something listens there: `1.1.1.1:443`. A refusal is no sign of life, whoever stands between may send it. */
export async function anchorAnswers(device: string, anchor: string): Promise<boolean> {
  const [, address = "", port = ""] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(anchor) ?? [];
  try {
    (await reachThrough(device, address, Number(port), new AbortController().signal, ANCHOR_MS)).destroy();
    return true;
  } catch {
    return false;
  }
}

export async function resolverAnswers(device: string, server: string, name: string): Promise<boolean> {
  return (await askThrough(device, server, name, 4, NAME_MS).catch(() => null)) !== null;
}

/** What stands at `http://name/path`: nothing but 204 is the page that we asked for. */
export async function pageAnswers(device: string, page: string, address: string) {
  const url = new URL(page);
  let socket: Socket;
  try {
    const port = Number(url.port) || 80;
    socket = await reachThrough(device, address, port, new AbortController().signal, PAGE_MS);
  } catch {
    return "silent" as const;
  }
  return new Promise<"ok" | "captive" | "silent">((resolve) => {
    let text = "";
    const end = (found: "ok" | "captive" | "silent"): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    const timer = setTimeout(() => end("silent"), PAGE_MS);
    socket.on("error", () => end("silent"));
    socket.on("close", () => end("silent"));
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const [, status] = /^HTTP\/1\.\d (\d{3})/.exec(text) ?? [];
      if (status !== undefined) end(status === "204" ? "ok" : "captive");
      else if (text.length > 64) end("captive");
    });
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`);
  });
}

/** Whether our own broker takes a connection, up to the end of the TLS handshake. */
export async function brokerAnswers(path: Path, broker: string): Promise<{ ok: boolean; detail: string }> {
  const secure = broker.startsWith("mqtts:");
  const url = new URL(broker.replace(/^mqtts?/, "http"));
  const limit = AbortSignal.timeout(BROKER_MS);
  try {
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const socket = await path.connect(host, Number(url.port) || (secure ? 8883 : 1883), limit);
    if (secure) await shaken(socket, host, limit);
    socket.destroy();
    return { ok: true, detail: "" };
  } catch (error) {
    return { ok: false, detail: `${broker}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function shaken(socket: Socket, host: string, limit: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    // Who it is does not matter here: nothing is said to it. The connections of `link/` check it.
    const servername = /[a-z]/i.test(host) ? host : "";
    const secure = connectTls({ socket, servername, rejectUnauthorized: false }, () => resolve());
    secure.on("error", fail);
    limit.addEventListener("abort", () =>
      fail(new Error("it connects, then TLS gets no answer: too large packets may vanish on the way (MTU)")),
    );
  });
}
