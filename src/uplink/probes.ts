import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { connect, isIPv6, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import type { Probed } from "../core/uplink.ts";

/**
 * One round of probes of an uplink, all from its own address and all at once: what each layer answers. They cost a few
 * hundred bytes a round, so they are for the uplink that costs nothing.
 */
export interface ProbePlan {
  readonly interface: string;
  /** `address:port`, answered by TCP; neither ours nor the gateway's. A refusal is an answer too. */
  readonly anchors: readonly string[];
  /** A resolver that the network did not give us. */
  readonly resolver: string;
  /** A name that always resolves. */
  readonly name: string;
  /** Answers 204 and nothing else, or somebody answers in its place (a captive portal). */
  readonly page: { readonly host: string; readonly path: string } | null;
}

/** Where the round looks; tests put other places there. */
export interface ProbeWorld {
  readonly sysfs: string;
  readonly proc: string;
  readonly resolvConf: string;
}

const WORLD: ProbeWorld = { sysfs: "/sys/class/net", proc: "/proc/net", resolvConf: "/etc/resolv.conf" };
const ANSWER_MS = 1_000;
/** Discard (RFC 863): whatever it answers, the gateway must be asked for its hardware address first. */
const POKE_PORT = 9;
const RTF_GATEWAY = 2;

export async function probe(plan: ProbePlan, broker: () => boolean | null, world: ProbeWorld = WORLD): Promise<Probed> {
  const carrier = carrierOf(plan.interface, world);
  const source = addressOf(plan.interface);
  const address = source !== null;
  if (carrier === false || source === null)
    return { ...NOTHING, carrier, address: carrier === false ? null : address, broker: broker() };
  const [gateway, given, other, page, ...anchors] = await Promise.all([
    gatewayAnswers(plan.interface, source, world),
    resolves(plan.name, givenResolvers(world), source),
    resolves(plan.name, [plan.resolver], source),
    plan.page === null ? null : pageOf(plan.page, source, plan.resolver),
    ...plan.anchors.map((one) => answers(one, source)),
  ]);
  return { carrier, address, gateway, anchors, dns: { given, other }, page, broker: broker() };
}

const NOTHING: Probed = {
  carrier: null,
  address: null,
  gateway: null,
  anchors: [],
  dns: { given: null, other: null },
  page: null,
  broker: null,
};

/** `carrier` of an interface that is down cannot be read (EINVAL); one that is gone has none (net/core/net-sysfs.c). */
function carrierOf(name: string, { sysfs }: ProbeWorld): boolean {
  return readOr(`${sysfs}/${name}/carrier`, "0").trim() === "1";
}

/** IPv4 first: where both are, the network of a site is rarely IPv6 only. */
function addressOf(name: string): string | null {
  const all = (networkInterfaces()[name] ?? []).filter(({ address }) => !/^(fe80:|169\.254\.)/i.test(address));
  return (all.find(({ family }) => family === "IPv4") ?? all[0])?.address ?? null;
}

/** Null: no gateway of this family is known. */
async function gatewayAnswers(name: string, source: string, world: ProbeWorld): Promise<boolean | null> {
  const gateway = isIPv6(source) ? null : gatewayOf(name, world);
  if (gateway === null) return null;
  await poke(gateway, source);
  return neighbourAnswers(gateway, name);
}

/** `/proc/net/route`: addresses as hex in the machine's byte order (net/ipv4/fib_trie.c). */
function gatewayOf(name: string, { proc }: Pick<ProbeWorld, "proc">): string | null {
  for (const line of readOr(`${proc}/route`, "").split("\n").slice(1)) {
    const [device, destination, gateway = "", flags] = line.split(/\s+/);
    if (device !== name || destination !== "00000000" || (Number.parseInt(flags ?? "0", 16) & RTF_GATEWAY) === 0)
      continue;
    const bytes = Buffer.from(gateway, "hex");
    return [...bytes.reverse()].join(".");
  }
  return null;
}

function poke(gateway: string, source: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const done = () => {
      socket.close();
      resolve();
    };
    socket.on("error", done);
    socket.bind(0, source, () => socket.send(Buffer.of(0), POKE_PORT, gateway, done));
  });
}

/** What the kernel's neighbour table says of it once it had to ask. */
async function neighbourAnswers(gateway: string, name: string): Promise<boolean | null> {
  const states = (): Promise<string[]> =>
    new Promise((resolve) =>
      execFile("ip", ["-j", "neigh", "show", gateway, "dev", name], { timeout: ANSWER_MS }, (error, out) => {
        if (error !== null) return resolve([]);
        const [entry] = parse(out);
        resolve(entry?.state ?? []);
      }),
    );
  for (let looks = 0; looks < 5; looks++) {
    const [state] = await states();
    if (state === "FAILED") return false;
    if (state !== undefined && state !== "INCOMPLETE") return true;
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS / 5));
  }
  return false;
}

function parse(json: string): { state?: string[] }[] {
  try {
    return JSON.parse(json) as { state?: string[] }[];
  } catch {
    return [];
  }
}

function answers(anchor: string, source: string): Promise<boolean> {
  const [, host = "", port] = /^\[?(.*?)\]?:(\d+)$/.exec(anchor) ?? [];
  return new Promise((resolve) => {
    const socket: Socket = connect({ host, port: Number(port), localAddress: source });
    const end = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.setTimeout(ANSWER_MS, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code === "ECONNREFUSED"));
  });
}

function givenResolvers({ resolvConf }: ProbeWorld): string[] {
  return [...readOr(resolvConf, "").matchAll(/^nameserver\s+(\S+)/gm)].map(([, server = ""]) => server);
}

async function resolves(name: string, servers: readonly string[], source: string): Promise<boolean | null> {
  const family = servers.filter((one) => isIPv6(one) === isIPv6(source));
  if (family.length === 0) return null;
  const resolver = resolverAt(family, source);
  // A name that is not there is an answer as well.
  return resolver.resolve(name).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === "ENOTFOUND" || error.code === "ENODATA",
  );
}

function resolverAt(servers: readonly string[], source: string): Resolver {
  const resolver = new Resolver({ timeout: ANSWER_MS, tries: 1 });
  resolver.setServers(servers.map((one) => (isIPv6(one) ? `[${one}]` : one)));
  if (isIPv6(source)) resolver.setLocalAddress("0.0.0.0", source);
  else resolver.setLocalAddress(source);
  return resolver;
}

/** Over plain HTTP on purpose: a portal can only answer in the place of what it can forge. */
async function pageOf(
  page: { host: string; path: string },
  source: string,
  server: string,
): Promise<"right" | "wrong" | "silent"> {
  const { host, port } = new URL(`http://${page.host}`);
  const [address] = isIPv4Literal(host.replace(/:\d+$/, ""))
    ? [host.replace(/:\d+$/, "")]
    : await resolverAt([server], source)
        .resolve4(host.replace(/:\d+$/, ""))
        .catch(() => []);
  if (address === undefined) return "silent";
  return new Promise((resolve) => {
    const request = get(
      {
        host: address,
        port: port === "" ? 80 : Number(port),
        path: page.path,
        localAddress: source,
        headers: { host: page.host },
        timeout: ANSWER_MS,
        agent: false,
      },
      (response) => {
        response.destroy();
        resolve(response.statusCode === 204 ? "right" : "wrong");
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve("silent"));
  });
}

const isIPv4Literal = (host: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(host);

function readOr(path: string, otherwise: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}
