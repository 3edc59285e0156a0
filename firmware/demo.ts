import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../src/disk/disk.ts";
import { type Broker, startBroker } from "../src/link/broker.ts";
import { note, paint, print } from "../src/operator/cli/out.ts";
import { runCommand } from "../src/operator/cli/run.ts";
import { checkout } from "../src/operator/settings.ts";
import { serve } from "./cli-controller.ts";

/** `npm start`: everything a first look needs, in `.towpath/demo/` of the checkout. */

const TROUBLE_EVERY_MS = 12 * 60_000;

const siteYaml = (
  port: number,
): string => `# Made by \`npm start\`. Change it, then check it: npx towpath controller --config site.yaml --check
site: demo
fleet: demo
data: data
board: sim
trust: trust.json
journal: { capture: 32MB, ledger: 4MB }
controller: { poweredBy: none, path: [a3] }
link: { brokers: [ "mqtt://127.0.0.1:${port}" ] }
outlets:
  a1: { relay: 1, contact: nc, observe: { input: s1, within: 2s } }
  a2: { relay: 2, contact: nc, observe: { input: s2, within: 2s } }
  a3: { relay: 3, contact: nc }
  a4: { relay: 4, contact: nc, observe: { input: s4, within: 2s } }
devices:
  router1: { outlets: [a1, a2], consoles: [router1], kind: router }
  switch1: { outlets: [a3], consoles: [switch1], after: [router1], kind: switch }
  server1: { outlets: [a4], consoles: [server1], after: [switch1], kind: server }
consoles:
  router1: { port: { sim: router1 }, baudRate: 9600 }
  switch1: { port: { sim: switch1 }, baudRate: 9600 }
  server1: { port: { sim: server1 }, baudRate: 115200 }
`;

const cliYaml = (port: number): string => `# Where \`npx towpath\` in this checkout finds the demo.
broker: mqtt://127.0.0.1:${port}
fleet: demo
site: demo
identity: operator
trust: trust.json
sites: sites.json
`;

/** False when it could not start; why was said. */
export async function runDemo(port: number): Promise<boolean> {
  const folder = join(checkout(), ".towpath/demo");
  mkdirSync(folder, { recursive: true });
  const broker = await startBroker(port).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error;
    note(
      `towpath: port ${port} on 127.0.0.1 is taken, perhaps by another demo. Stop that one, or choose: npm start -- --port ${port + 1}`,
    );
    return null;
  });
  if (broker === null) return false;
  try {
    await makeKeyAndTrust(folder);
    writeWhole(join(folder, "site.yaml"), siteYaml(port));
    return await serveDemo(folder, port);
  } finally {
    rmSync(join(folder, "cli.yaml"), { force: true });
    await stopBroker(broker);
  }
}

async function serveDemo(folder: string, port: number): Promise<boolean> {
  const args = {
    configFile: join(folder, "site.yaml"),
    insecureLab: false,
    simTroubleMs: TROUBLE_EVERY_MS,
    quiet: true,
  };
  const code = await serve(args, async () => {
    await knowSite(folder);
    writeWhole(join(folder, "cli.yaml"), cliYaml(port));
    greet(port);
  });
  return code === 0;
}

/** Through the same commands that a person would use. */
async function makeKeyAndTrust(folder: string): Promise<void> {
  const key = join(folder, "operator");
  if (!existsSync(key)) {
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "demo operator", "-f", key]);
    rmSync(join(folder, "trust.json"), { force: true });
    rmSync(join(folder, "data"), { recursive: true, force: true });
  }
  const trust = join(folder, "trust.json");
  if (existsSync(trust)) return;
  await quietly(["trust", "init", "--fleet", "demo", "--root", `${key}.pub`, "--out", trust]);
  await quietly(["trust", "add", "you", "--key", `${key}.pub`, "--role", "admin", "--trust", trust]);
  await quietly(["trust", "sign", "--trust", trust, "--identity", key]);
}

async function knowSite(folder: string): Promise<void> {
  const { createPrivateKey } = await import("node:crypto");
  const { publicKeyLine } = await import("../src/access/sshsig.ts");
  const line = publicKeyLine(createPrivateKey(readFileSync(join(folder, "data/site.key"))), "demo/demo");
  await quietly([
    "trust",
    "site",
    "demo",
    "--key",
    line,
    "--sites",
    join(folder, "sites.json"),
    "--identity",
    join(folder, "operator"),
  ]);
}

async function quietly(words: string[]): Promise<void> {
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = () => true;
  try {
    const { command } = await import("../src/operator/cli/trust.ts");
    const code = await runCommand({ trust: { summary: "", load: async () => ({ command }) } }, words);
    if (code !== 0) throw new Error(`towpath ${words.join(" ")} ended with ${code}`);
  } finally {
    process.stdout.write = write;
  }
}

function greet(port: number): void {
  const lines = [
    ["npx towpath status", "how the site is"],
    ["npx towpath log demo/router1 --follow", "what its console says"],
    // By the socket: from afar it would be ssh, and a machine for a demo may have no sshd.
    ["npx towpath console router1 --local .towpath/demo/data/towpath.sock", "type into it; ~? for help, ~. ends it"],
    ["npx towpath power cycle demo/router1", "off, wait, on: shown first, then asked"],
    ["npx towpath sim server1 panic", "make trouble, then look at its log"],
    ["npx towpath events demo", "what was decided"],
  ];
  print(
    `\n${paint("bold", "Towpath demo")}: fleet demo, site demo, three simulated devices, broker on 127.0.0.1:${port}\n`,
  );
  print("In another terminal, in this folder:\n");
  for (const [line = "", what = ""] of lines) print(`  ${line.padEnd(42)} ${paint("dim", what)}`);
  print(`\nIts files are in .towpath/demo/ (delete the folder to begin anew). Ctrl-C ends it.`);
}

async function stopBroker(broker: Broker): Promise<void> {
  await Promise.race([broker.stop(), new Promise((resolve) => setTimeout(resolve, 500).unref())]);
}
