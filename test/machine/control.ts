import { randomBytes } from "node:crypto";
import { createConnection } from "node:net";

/** The guest's control port: one request on a connection, answered by the script `answer` in the guest. */
export interface Control {
  request(request: Request, timeoutMs: number): Promise<Answer>;
}

export interface Request {
  readonly verb: "run" | "put" | "get";
  readonly body?: Buffer;
  /** run: seconds until the script is killed; put: the file's mode. */
  readonly argument?: string;
  readonly path?: string;
}

export interface Answer {
  readonly code: number;
  readonly bytes: Buffer;
}

/** Speaks to the control port that qemu forwards from this port of the loopback. */
export function controlAt(port: number): Control {
  return { request: (request, timeoutMs) => ask(port, request, timeoutMs) };
}

function ask(port: number, { verb, body = Buffer.alloc(0), argument = "-", path = "-" }: Request, timeoutMs: number) {
  const token = randomBytes(16).toString("hex");
  return new Promise<Answer>((resolve, reject) => {
    const parts: Buffer[] = [];
    let tail = "";
    const socket = createConnection({ host: "127.0.0.1", port });
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      socket.destroy();
      finish();
    };
    const fail = (problem: string) => settle(() => reject(new Error(problem)));
    const timer = setTimeout(() => {
      fail(`no answer in ${timeoutMs} ms; so far: ${Buffer.concat(parts).toString("utf8").slice(-2000)}`);
    }, timeoutMs);
    socket.on("connect", () => {
      socket.write(`${verb} ${token} ${body.length} ${argument} ${path}\n`);
      socket.write(body);
    });
    socket.on("data", (bytes) => {
      parts.push(bytes);
      tail = (tail + bytes.toString("latin1")).slice(-64);
      const end = new RegExp(`\n${token} (\\d+)\n$`).exec(tail);
      if (end === null) return;
      const all = Buffer.concat(parts);
      settle(() => resolve({ code: Number(end[1]), bytes: all.subarray(0, all.length - end[0].length) }));
    });
    socket.on("error", (problem) => fail(`the control port of the guest: ${problem.message}`));
    socket.on("close", () => fail("the guest closed the control port before it had answered"));
  });
}
