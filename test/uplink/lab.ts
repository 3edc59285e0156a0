import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";

/**
 * Four namespaces: the controller, the primary's router, the carrier, the internet with a broker and resolvers.
 *
 *   C eth0  10.10.0.2 -- 10.10.0.1  P -- 192.0.2.0/30 -- I  203.0.113.10 broker, .21 .22 anchors, .53 resolver
 *   C wwan0 10.64.0.2 -- 10.64.0.1  L -- 192.0.2.4/30 -- I  2001:db8:1::10, ::53
 */

const ROOT = join(import.meta.dirname, "../..");
const PREFIX = `tp${process.pid}`;
export type Place = "C" | "P" | "L" | "I";
const PLACES: readonly Place[] = ["C", "P", "L", "I"];
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LC_ALL: "C" };

const named = (place: Place): string => `${PREFIX}${place}`;

function sh(program: string, args: readonly string[], input = ""): string {
  return execFileSync(program, args, { cwd: ROOT, env: ENV, input, encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
}

/** A program in a namespace, words apart by blanks. */
export function at(place: Place, words: string, input = ""): string {
  return sh("ip", ["netns", "exec", named(place), ...words.split(" ")], input);
}

/** The same, where it may fail: what is undone may be gone already. */
export function tryAt(place: Place, words: string): void {
  try {
    at(place, words);
  } catch {
    // Gone already.
  }
}

export function startIn(place: Place, words: readonly string[], env: Record<string, string> = {}): ChildProcess {
  return spawn("ip", ["netns", "exec", named(place), ...words], {
    cwd: ROOT,
    env: { ...ENV, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
}

/** Null where the lab can be made, else why not. */
export function whyNot(): string | null {
  const probe = `${PREFIX}x`;
  try {
    sh("ip", ["netns", "add", probe]);
    const rules =
      "table inet t { set s { type ifname; flags timeout; }\n chain c { type nat hook postrouting priority 100; }\n}";
    sh("ip", ["netns", "exec", probe, "nft", "-f", "-"], rules);
    sh("ip", ["-n", probe, "link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
    return null;
  } catch (error) {
    return String((error as { stderr?: string }).stderr || error).split("\n")[0] ?? "";
  } finally {
    try {
      sh("ip", ["netns", "del", probe]);
    } catch {
      // It was never made.
    }
  }
}

function cable(a: Place, aName: string, b: Place, bName: string): void {
  sh("ip", ["link", "add", aName, "netns", named(a), "type", "veth", "peer", "name", bName, "netns", named(b)]);
  // Packets as they are on a wire: what veth joins would look too large to a rule that counts.
  for (const [place, name] of [
    [a, aName],
    [b, bName],
  ] as const)
    at(place, `ip link set ${name} gso_max_segs 1 up`);
}

export function buildLab(): void {
  for (const place of PLACES) {
    sh("ip", ["netns", "add", named(place)]);
    // What `ip netns exec` puts over /etc/resolv.conf: whoever asks the machine's resolver asks nobody.
    mkdirSync(`/etc/netns/${named(place)}`, { recursive: true });
    writeFileSync(`/etc/netns/${named(place)}/resolv.conf`, "");
    at(place, "ip link set lo up");
  }
  cable("C", "eth0", "P", "lan");
  cable("C", "wwan0", "L", "lan");
  cable("P", "wan", "I", "primary");
  cable("L", "wan", "I", "cell");
  at("P", "ip addr add 10.10.0.1/24 dev lan");
  at("P", "ip addr add 192.0.2.2/30 dev wan");
  at("I", "ip addr add 192.0.2.1/30 dev primary");
  at("L", "ip addr add 192.0.2.6/30 dev wan");
  at("I", "ip addr add 192.0.2.5/30 dev cell");
  at("P", "ip route add default via 192.0.2.1");
  at("L", "ip route add default via 192.0.2.5");
  for (const one of ["10", "21", "22", "53"]) at("I", `ip addr add 203.0.113.${one}/32 dev lo`);
  at("L", "ip addr add 2001:db8:5::2/64 dev wan nodad");
  at("I", "ip addr add 2001:db8:5::1/64 dev cell nodad");
  at("L", "ip addr add 2001:db8:64::1/64 dev lan nodad");
  at("L", "ip -6 route add default via 2001:db8:5::1");
  at("I", "ip -6 route add 2001:db8:64::/64 via 2001:db8:5::2");
  for (const one of ["10", "53"]) at("I", `ip addr add 2001:db8:1::${one}/128 dev lo nodad`);
  for (const place of ["P", "L"] as const) {
    at(place, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    at(
      place,
      "nft -f -",
      "table ip nat { chain out { type nat hook postrouting priority 100; oifname wan masquerade; }\n}\n",
    );
  }
}

/** As DHCP and NetworkManager leave it. */
export function wireController(rpFilter: number, carrier: "v4" | "v6"): void {
  at("P", "ip link set lan up");
  tryAt("C", "ip link del tun7");
  for (const device of ["eth0", "wwan0"]) at("C", `ip addr flush dev ${device}`);
  at("C", `sysctl -qw net.ipv4.conf.all.rp_filter=${rpFilter} net.ipv4.conf.default.rp_filter=${rpFilter}`);
  for (const device of ["eth0", "wwan0", "lo"]) at("C", `sysctl -qw net.ipv4.conf.${device}.rp_filter=${rpFilter}`);
  at("C", "ip addr add 10.10.0.2/24 dev eth0");
  at("C", "ip route replace default via 10.10.0.1 dev eth0");
  if (carrier === "v4") {
    at("C", "ip addr add 10.64.0.2/24 dev wwan0");
    at("L", "ip addr replace 10.64.0.1/24 dev lan");
    at("C", "ip route replace default via 10.64.0.1 dev wwan0 table 100");
  } else {
    at("C", "ip addr add 2001:db8:64::2/64 dev wwan0 nodad");
    at("C", "ip -6 route replace default via 2001:db8:64::1 dev wwan0 table 100");
  }
}

export function tearDown(): void {
  for (const place of PLACES) {
    try {
      sh("ip", ["netns", "del", named(place)]);
    } catch {
      // It was never made.
    }
    rmSync(`/etc/netns/${named(place)}`, { recursive: true, force: true });
  }
}

/** What systemd does at boot. */
export function setUp(config: string, state: string): void {
  at("C", `node dist/src/towpath.mjs net apply --config ${config} --state ${state} --user root`);
}

/** As systemd does with `Accept=yes`: one run of the helper for each connection. */
export function serveHelper(socketPath: string, config: string, state: string): Promise<Server> {
  const words = [
    "node",
    "dist/src/towpath.mjs",
    "net",
    "answer",
    "--config",
    config,
    "--state",
    state,
    "--user",
    "root",
  ];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const child = startIn("C", words);
    child.stderr?.pipe(process.stderr);
    if (child.stdin && child.stdout) socket.pipe(child.stdin);
    child.stdout?.pipe(socket);
    socket.on("error", () => child.kill());
  });
  return new Promise((resolve) => server.listen(socketPath, () => resolve(server)));
}
