import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it, onTestFinished } from "vitest";
import { answer } from "../../firmware/net/answer.ts";
import { ruleWords, wantedRules } from "../../firmware/net/wanted.ts";
import { dnsAnswer, dnsQuestion } from "../../src/uplink/dns-message.ts";
import { gateway6In, gatewayIn, isAlive } from "../../src/uplink/local-facts.ts";
import { type Ask, Names } from "../../src/uplink/names.ts";
import { mapped } from "../../src/uplink/nat64.ts";
import { serversIn } from "../../src/uplink/resolvers.ts";

const never = new AbortController().signal;

function namesFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "towpath-names-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "names.json");
}

describe("names of brokers", () => {
  it("with silent resolvers the addresses of before are tried, that which worked first, also after a restart", async () => {
    const file = namesFile();
    const names = new Names(file, async () => ["192.0.2.1", "192.0.2.2"]);
    expect((await names.find("b.test", [4], never)).addresses).toEqual(["192.0.2.1", "192.0.2.2"]);
    names.worked("b.test", "192.0.2.2");
    const silent: Ask = async () => Promise.reject(new Error("ETIMEOUT"));
    const found = await new Names(file, silent).find("b.test", [4], never);
    expect(found).toEqual({ addresses: ["192.0.2.2", "192.0.2.1"], failed: "ETIMEOUT" });
  });

  it("a name that was never asked and cannot be is told with the reason", async () => {
    const names = new Names(namesFile(), async () => Promise.reject(new Error("ESERVFAIL from 192.0.2.53")));
    expect(await names.find("b.test", [4, 6], never)).toEqual({ addresses: [], failed: "ESERVFAIL from 192.0.2.53" });
  });
});

describe("an IPv4 address behind an access of IPv6", () => {
  it("is put where the carrier's resolver puts a name that has none", () => {
    expect(mapped("203.0.113.10", ["64:ff9b::c000:aa"])).toBe("64:ff9b:0:0:0:0:cb00:710a");
    expect(mapped("203.0.113.10", ["2001:db8:64:0:0:0:192.0.0.171"])).toBe("2001:db8:64:0:0:0:cb00:710a");
    expect(mapped("203.0.113.10", ["2001:db8::1"])).toBeNull();
  });
});

describe("what comes back to a probe", () => {
  it("an answer to another question, or a server that failed, is none", () => {
    const question = dnsQuestion(7, "b.test", 4);
    const reply = Buffer.from(question);
    reply.writeUInt16BE(0x8180, 2);
    expect(dnsAnswer(reply, 7, 4)).toEqual([]);
    expect(dnsAnswer(reply, 8, 4)).toBeNull();
    reply.writeUInt16BE(0x8182, 2);
    expect(dnsAnswer(reply, 7, 4)).toBeNull();
  });

  it("any bytes are an answer or none, never an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        const found = dnsAnswer(Buffer.from(bytes), 0, 4);
        expect(found === null || Array.isArray(found)).toBe(true);
      }),
    );
  });
});

describe("what the kernel says of a device", () => {
  const routes = `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT
tun0\t00000000\t0100630A\t0003\t0\t0\t50\t00000080\t0\t0\t0
eth0\t00000000\t01000A0A\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t00000A0A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
`;
  it("its gateway is its own, whatever a VPN routes", () => {
    expect(gatewayIn(routes, "eth0")).toBe("10.10.0.1");
    expect(gatewayIn(routes, "tun0")).toBeNull();
    const six = `${"0".repeat(32)} 00 ${"0".repeat(32)} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n`;
    expect(gateway6In(six, "eth0")).toBe("fe80:0000:0000:0000:0000:0000:0000:0001");
  });

  it("a gateway that was asked and kept silent is dead", () => {
    const arp = (flags: string) => `IP address HW type Flags HW address Mask Device
10.10.0.1 0x1 ${flags} 00:00:00:00:00:00 * eth0\n`;
    expect(isAlive(arp("0x0"), "10.10.0.1", "eth0")).toBe(false);
    expect(isAlive(arp("0x2"), "10.10.0.1", "eth0")).toBe(true);
  });

  it("a resolver on this machine itself cannot be asked through a device", () => {
    expect(serversIn("nameserver 127.0.0.53\nnameserver 10.0.0.1\noptions edns0\n")).toEqual(["10.0.0.1"]);
  });
});

describe("the helper of root", () => {
  const memory = { get: () => null, set: () => undefined };
  const uplinks = { primary: null, lte: null };
  const ask = (text: string) => answer(Buffer.from(text), uplinks, 1, memory, 1_793_491_200_000);

  it("takes three requests and no other, and none that names an interface of its own", () => {
    expect(ask("{}").ok).toBe(false);
    expect(ask('{"do":"run","args":["sh"]}').ok).toBe(false);
    expect(ask("x".repeat(10_000)).ok).toBe(false);
    expect(ask('{"do":"block","seconds":20,"interface":"wwan0"}')).toEqual({
      ok: false,
      error: "the config has no primary uplink",
    });
  });

  it("sets no clock to before its own build, nor to what is no number", () => {
    for (const time of ["0", "1e300", "null", '"2026-11-24"', "1793491199999"])
      expect(ask(`{"do":"clock","wallMs":${time}}`)).toEqual({ ok: false, error: "that cannot be the time" });
  });

  it("what has our source goes by the table, or nowhere", () => {
    expect(wantedRules(["198.18.0.77"]).map((rule) => ruleWords(rule).join(" "))).toEqual([
      "pref 90 from 198.18.0.77 table 100",
      "pref 91 from 198.18.0.77 type unreachable",
    ]);
  });
});
