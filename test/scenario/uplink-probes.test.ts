import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Probed } from "../../src/core/uplink.ts";
import { Net, whyNoNetworks } from "../uplink/net.ts";
import { temporaryFolder } from "./world.ts";

/** Probes of a primary uplink in networks of their own: a site, its router, what lies behind it. */

const why = whyNoNetworks();
if (why !== null) process.stderr.write(`NOT RUN: probes of an uplink in network namespaces: ${why}\n`);

const PLAN = {
  interface: "eth0",
  anchors: ["1.1.1.1:443", "9.9.9.9:443"],
  resolver: "9.9.9.9",
  name: "towpath.example",
  page: { host: "page.example:80", path: "/generate_204" },
};

describe.skipIf(why !== null)("probes of an uplink", () => {
  const net = new Net("probes");
  const serve = (host: string, ...places: string[]) => net.serve(host, "./uplink/servers.ts", places);

  beforeAll(async () => {
    for (const host of ["site", "router", "world"]) net.host(host);
    net.cable("site.eth0", "router.lan0");
    net.cable("router.wan0", "world.eth0");
    net.ip("site", "addr add 192.168.1.2/24 dev eth0");
    net.ip("site", "route add default via 192.168.1.1");
    net.ip("router", "addr add 192.168.1.1/24 dev lan0");
    net.ip("router", "addr add 10.9.0.1/30 dev wan0");
    net.ip("router", "route add default via 10.9.0.2");
    net.exec("router", "sysctl", ["-q", "-w", "net.ipv4.ip_forward=1"]);
    net.ip("world", "addr add 10.9.0.2/30 dev eth0");
    net.ip("world", "route add 192.168.1.0/24 via 10.9.0.1");
    for (const address of ["1.1.1.1", "9.9.9.9"]) net.ip("world", `addr add ${address}/32 dev lo`);
    await serve("world", "tcp=1.1.1.1:443", "tcp=9.9.9.9:443", "page204=1.1.1.1:80", "dns=9.9.9.9:53");
  });
  afterAll(() => net.stop());

  const look = (): Probed & { blame: string | null } => {
    const resolv = join(temporaryFolder(), "resolv.conf");
    writeFileSync(resolv, "nameserver 192.168.1.1\n");
    return JSON.parse(net.script("site", "./uplink/probe-once.ts", [JSON.stringify(PLAN), JSON.stringify(resolv)]));
  };

  it("find nothing where all is well, and the layer that does not work where one does not", async () => {
    const names = await serve("router", "dns=192.168.1.1:53");
    expect(look()).toMatchObject({ blame: null, gateway: true, anchors: [true, true], page: "right" });

    names.kill("SIGKILL");
    expect(look()).toMatchObject({ blame: "dns", dns: { given: false, other: true } });
    const again = await serve("router", "dns=192.168.1.1:53");

    net.exec("router", "sysctl", ["-q", "-w", "net.ipv4.ip_forward=0"]);
    expect(look()).toMatchObject({ blame: "upstream", gateway: true, anchors: [false, false] });
    net.exec("router", "sysctl", ["-q", "-w", "net.ipv4.ip_forward=1"]);

    // A router that is hung: the link is there, nobody answers for its address.
    again.kill("SIGKILL");
    net.ip("router", "addr del 192.168.1.1/24 dev lan0");
    net.ip("site", "neigh flush dev eth0");
    expect(look()).toMatchObject({ blame: "l2", carrier: true, gateway: false });
    net.ip("router", "addr add 192.168.1.1/24 dev lan0");

    net.ip("site", "addr del 192.168.1.2/24 dev eth0");
    expect(look()).toMatchObject({ blame: "l2", address: false });
    net.ip("site", "addr add 192.168.1.2/24 dev eth0");
    net.ip("site", "route add default via 192.168.1.1");

    net.ip("router", "link set lan0 down");
    expect(look()).toMatchObject({ blame: "link", carrier: false });
  });

  it("see a portal that answers in the place of others", async () => {
    net.ip("router", "link set lan0 up");
    // The portal has the page's address, nearer than the page itself.
    net.ip("router", "addr add 1.1.1.1/32 dev lo");
    await serve("router", "dns=192.168.1.1:53", "portal=1.1.1.1:80");
    expect(look()).toMatchObject({ blame: "captive", page: "wrong" });
  });
});
