import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";

/** A network of its own for a test: namespaces, cables between them, programs inside. All of it ends with `stop`. */

const RUN = join(import.meta.dirname, "../run.mjs");

/** Null where it can be made, else why not. */
export function whyNoNetworks(): string | null {
  const name = `towpath-try-${process.pid}`;
  const { status, stderr, error } = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  if (status === 0) spawnSync("ip", ["netns", "del", name]);
  return status === 0 ? null : (error?.message ?? stderr.trim());
}

export class Net {
  private readonly children: ChildProcess[] = [];
  private readonly hosts = new Set<string>();
  private readonly prefix: string;

  constructor(name: string) {
    this.prefix = `towpath-${name}-${process.pid}-`;
  }

  /** A host with nothing but loopback. */
  host(name: string): void {
    execFileSync("ip", ["netns", "add", this.prefix + name]);
    this.hosts.add(name);
    this.ip(name, "link set lo up");
  }

  /** A cable: `a.eth0 b.lan0`, both ends up. */
  cable(one: string, other: string): void {
    const [host = "", end = ""] = one.split(".");
    const [peer = "", peerEnd = ""] = other.split(".");
    this.ip(host, `link add ${end} type veth peer name ${peerEnd} netns ${this.prefix + peer}`);
    this.ip(host, `link set ${end} up`);
    this.ip(peer, `link set ${peerEnd} up`);
  }

  /** `ip …` on a host. */
  ip(host: string, words: string): void {
    execFileSync("ip", ["-n", this.prefix + host, ...words.split(" ")], { stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Runs a program on a host to its end. */
  exec(host: string, program: string, args: readonly string[]): string {
    return execFileSync("ip", ["netns", "exec", this.prefix + host, program, ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** One of the tests' own programs, to its end. */
  script(host: string, file: string, args: readonly string[]): string {
    return this.exec(host, process.execPath, [RUN, file, ...args]);
  }

  /** Starts one of the tests' own programs; resolves once it prints `ready`. */
  serve(host: string, file: string, args: readonly string[]): Promise<ChildProcess> {
    const child = spawn("ip", ["netns", "exec", this.prefix + host, process.execPath, RUN, file, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.children.push(child);
    return new Promise((resolve, reject) => {
      child.stdout?.on("data", (bytes: Buffer) => bytes.includes("ready") && resolve(child));
      child.once("exit", (code) => reject(new Error(`${file} ended: ${code}`)));
    });
  }

  stop(): void {
    for (const child of this.children) child.kill("SIGKILL");
    for (const host of this.hosts) spawnSync("ip", ["netns", "del", this.prefix + host]);
  }
}
