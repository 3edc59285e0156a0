import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../../src/operator/client.ts";
import { openSocket } from "../pty.ts";
import { captureSite } from "./peers.ts";
import { rounded, spreadOf } from "./report.ts";
import { end, type Program, type Scratch, startController, until } from "./scratch.ts";
import { capturedBytes } from "./start.ts";

/** How soon a console is heard again: after its cable was out, and after the controller was killed. */

const ROUNDS = 10;

interface Spread {
  readonly p50: number;
  readonly worst: number;
}

async function overOneConsole(
  scratch: Scratch,
  name: string,
  once: (site: {
    config: string;
    program: Program;
    socket: ReturnType<typeof openSocket>;
    bytes: () => number;
  }) => Promise<{
    ms: number;
    program: Program;
  }>,
): Promise<Spread> {
  const folder = join(scratch.folder, name);
  const config = join(folder, "site.yaml");
  const socket = openSocket();
  mkdirSync(folder);
  writeFileSync(config, captureSite([`  talker: { port: { path: ${socket.path} }, baudRate: 115200 }`], "2MB"));
  let program = await startController(scratch, config);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(300);
    const done = await once({ config, program, socket, bytes: () => capturedBytes(join(folder, "data")) });
    program = done.program;
    times.push(done.ms);
  }
  await end(program);
  socket.end();
  return { p50: rounded(spreadOf(times).p50, 0), worst: rounded(Math.max(...times), 0) };
}

/** From the moment at which the node can be opened. */
export function replugged(scratch: Scratch): Promise<Spread> {
  return overOneConsole(scratch, "replug", async ({ program, socket, bytes }) => {
    socket.unplug();
    await sleep(200);
    const before = bytes();
    socket.plug();
    const begun = performance.now();
    // What is said before the port is set up is lost, as with any port.
    const heard = () => socket.pty().say("said as soon as it is back\r\n") < 0 || bytes() > before;
    await until("the first byte", heard, program, 2);
    return { ms: performance.now() - begun, program };
  });
}

/** From the kill; what is said meanwhile waits in the kernel. */
export function killed(scratch: Scratch): Promise<Spread> {
  return overOneConsole(scratch, "kill", async ({ config, program, socket, bytes }) => {
    const before = bytes();
    const begun = performance.now();
    program.child.kill("SIGKILL");
    const next = await startController(scratch, config);
    socket.pty().say("said to who comes after\r\n");
    await until("the first byte", () => bytes() > before, next, 2);
    return { ms: performance.now() - begun, program: next };
  });
}
