import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { hostsEntries, namesToAsk, plainPath } from "../../src/link/plain-path.ts";

const never = new AbortController().signal;

async function listen(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe("the path of a site without uplinks", () => {
  it("knows the machine's own names, and asks nobody for them", async () => {
    const port = await listen();
    const path = plainPath({ read: (file) => (file === "/etc/hosts" ? "127.0.0.1 vault.example vault # ours\n" : "") });
    for (const host of ["127.0.0.1", "vault", "VAULT.example", "localhost"]) {
      const socket = await path.connect(host, port, never);
      expect(socket.remotePort).toBe(port);
      socket.destroy();
    }
  });

  it("says which step failed, and with what", async () => {
    const port = await listen();
    const path = plainPath({ read: () => "" });
    await expect(path.connect("127.0.0.1", 1, never)).rejects.toThrow(/ECONNREFUSED 127\.0\.0\.1:1/);
    const given = new AbortController();
    given.abort();
    await expect(path.connect("127.0.0.1", port, given.signal)).rejects.toThrow("given up");
  });

  it("reads hosts and search domains as the machine does", () => {
    const hosts = "# 10.0.0.1 no\n10.0.0.2 yes alias\nfe80::1%eth0 odd\n::1 yes\nnonsense yes\n";
    expect(hostsEntries(hosts, "yes")).toEqual(["10.0.0.2", "::1"]);
    expect(hostsEntries(hosts, "no")).toEqual([]);
    const conf = "nameserver 10.0.0.53\nsearch old.example\nsearch lab.example example\n";
    expect(namesToAsk("broker", conf)).toEqual(["broker.lab.example", "broker.example", "broker"]);
    expect(namesToAsk("broker.example.net", conf)).toEqual(["broker.example.net"]);
  });
});
