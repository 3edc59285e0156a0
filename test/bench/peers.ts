import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import {
  freePort,
  installed,
  journalStat,
  type Program,
  ROOT,
  type Scratch,
  startController,
  until,
} from "./scratch.ts";

/** The programs that capture consoles, each with the least config that captures, in a folder of its own. */

export interface Contender {
  readonly name: string;
  /** Null when it is not installed here. */
  start(scratch: Scratch, paths: readonly string[]): Promise<Capturing | null>;
}

export interface Capturing {
  readonly program: Program;
  /** Bytes that were captured so far, by port. */
  captured(): number[];
}

function portName(index: number): string {
  return `p${String(index + 1).padStart(2, "0")}`;
}

export const towpath: Contender = {
  name: "towpath",
  async start(scratch, paths) {
    const folder = folderIn(scratch, "towpath");
    const config = join(folder, "site.yaml");
    const consoles = paths.map((path, index) => `  ${portName(index)}: { port: { path: ${path} }, baudRate: 115200 }`);
    writeFileSync(config, captureSite(consoles));
    const program = await startController(scratch, config);
    const captured = (): number[] => {
      const stat = journalStat(join(folder, "data"));
      return paths.map((_, index) => stat[portName(index)]?.bytes ?? 0);
    };
    return { program, captured };
  },
};

export function captureSite(consoles: readonly string[], capture = "256MB"): string {
  return `site: one
fleet: acme
data: data
board: sim
journal: { capture: ${capture}, ledger: 2MB }
consoles:
${consoles.join("\n")}
`;
}

export const conserver: Contender = {
  name: "conserver",
  async start(scratch, paths) {
    const found = installed("conserver");
    if (found === null) return null;
    const folder = folderIn(scratch, "conserver");
    const file = join(folder, "conserver.cf");
    const passwd = join(folder, "passwd");
    const consoles = paths.map((path, index) => `console ${portName(index)} { device ${path}; }`);
    writeFileSync(passwd, "");
    writeFileSync(
      file,
      `default * {
  master localhost; type device; baud 115200; parity none; timestamp ""; logfile ${folder}/&.log; rw *;
}
${consoles.join("\n")}
access * { trusted 127.0.0.1; }
`,
    );
    const port = String(await freePort());
    const program = scratch.start(found, ["-C", file, "-P", passwd, "-M", "127.0.0.1", "-p", port]);
    return { program, captured: () => logSizes(folder, paths.length) };
  },
};

export const conman: Contender = {
  name: "conman",
  async start(scratch, paths) {
    const found = installed("conmand");
    if (found === null) return null;
    const folder = folderIn(scratch, "conman");
    const file = join(folder, "conman.conf");
    const consoles = paths.map((path, index) => {
      const name = portName(index);
      return `CONSOLE name="${name}" dev="${path}" seropts="115200,8n1" log="${name}.log"`;
    });
    writeFileSync(
      file,
      `SERVER loopback=on
SERVER port=${await freePort()}
SERVER logdir="${folder}"
SERVER pidfile="${folder}/conmand.pid"
${consoles.join("\n")}
`,
    );
    const program = scratch.start(found, ["-F", "-c", file]);
    return { program, captured: () => logSizes(folder, paths.length) };
  },
};

/** What the work costs at least, without checksums, syncs, times or gaps. */
export const reader: Contender = {
  name: "C reader",
  async start(scratch, paths) {
    const compiler = installed("cc");
    if (compiler === null) return null;
    const folder = folderIn(scratch, "reader");
    const program = join(folder, "reader");
    execFileSync(compiler, ["-O2", "-o", program, join(ROOT, "test/bench/reader.c")]);
    return { program: scratch.start(program, [folder, ...paths]), captured: () => logSizes(folder, paths.length) };
  },
};

/** It captures only while a network client is attached: one each, whose CPU is not counted, throws away what it gets. */
export const ser2net: Contender = {
  name: "ser2net",
  async start(scratch, paths) {
    const found = installed("ser2net");
    if (found === null) return null;
    const folder = folderIn(scratch, "ser2net");
    const file = join(folder, "ser2net.yaml");
    const ports: number[] = [];
    for (const _ of paths) ports.push(await freePort());
    const connections = paths.map(
      (path, index) => `connection: &${portName(index)}
  accepter: tcp,127.0.0.1,${ports[index]}
  connector: serialdev,${path},115200n81,local
  options: { trace-read: ${folder}/${portName(index)}.log, kickolduser: true }
`,
    );
    writeFileSync(file, `%YAML 1.1\n---\n${connections.join("")}`);
    const program = scratch.start(found, ["-n", "-u", "-c", file, "-P", join(folder, "pid")]);
    for (const port of ports) await until("ser2net's port", () => drained(port), program);
    return { program, captured: () => logSizes(folder, paths.length) };
  },
};

/** A client that throws away what it gets; false while nobody answers. */
function drained(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const client = connect(port, "127.0.0.1", () => resolve(true));
    client.on("error", () => resolve(false)).resume();
    client.unref();
  });
}

function folderIn(scratch: Scratch, name: string): string {
  const folder = join(scratch.folder, name);
  mkdirSync(folder);
  return folder;
}

function logSizes(folder: string, ports: number): number[] {
  return Array.from({ length: ports }, (_, index) => {
    const file = join(folder, `${portName(index)}.log`);
    return existsSync(file) ? statSync(file).size : 0;
  });
}
