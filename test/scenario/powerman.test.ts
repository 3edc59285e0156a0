import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { has } from "../tools.ts";
import { run, start, startBrokeredSite, TOWPATH, towpath, until } from "./world.ts";

/** powerman's own client, a fencing agent and NUT's driver, against a real controller behind a real broker. */

async function gateway(more: readonly string[] = []) {
  const site = await startBrokeredSite();
  const serving = start("node", [TOWPATH, "powerman", "one", "--listen", "127.0.0.1:0", ...site.flags, ...more]);
  onTestFinished(() => void serving.child.kill("SIGKILL"));
  await until(() => /ready on \S+/.test(serving.log()), 20_000, serving.log);
  const at = /ready on (\S+)/.exec(serving.log())?.[1] ?? "";
  return { site, at, port: at.split(":")[1] ?? "", serving };
}

describe.skipIf(!has("powerman", "powerman"))("powerman's client", () => {
  it("lists, asks, cycles and is refused with the reason; the ledger says it was powerman", async () => {
    const { site, at, serving } = await gateway();
    const powerman = (...args: string[]) => run("powerman", ["-h", at, ...args]);
    expect((await powerman("-l")).out).toBe("router1,nas1\n");
    expect((await powerman("-q")).out).toBe("on:      router1\noff:     nas1\nunknown: \n");
    const cycled = await powerman("-c", "router1");
    expect(cycled, cycled.err).toMatchObject({ code: 0, out: "Command completed successfully\n" });
    expect(site.edges().map(({ relay, energised }) => [relay, energised])).toEqual([
      [1, true],
      [2, true],
      [1, false],
      [2, false],
    ]);
    expect((await powerman("-1", "nas1")).code).toBe(0);
    expect((await powerman("-x", "-Q", "nas1")).out).toBe("nas1: on\n");
    const locked = await towpath(["power", "lock", "one/nas1", "--reason", "hands inside", "--yes", ...site.flags]);
    expect(locked.code, locked.err).toBe(0);
    const before = site.edges().length;
    const refused = await powerman("-0", "nas1");
    expect(refused.code).not.toBe(0);
    expect(refused.out + refused.err).toContain("hands inside");
    expect((await powerman("-0", "nas9")).out).toContain("No such nodes: nas9");
    expect(site.edges()).toHaveLength(before);
    expect((await towpath(["events", "one", ...site.flags])).out).toContain("powerman");
    serving.child.kill("SIGTERM");
    expect(await serving.ended).toBe(0);
  });

  it("with a viewer's key it can look and not switch", async () => {
    const site = await startBrokeredSite();
    const flags = site.flags.map((one) => (one === site.identity ? join(site.folder, "vera") : one));
    const serving = start("node", [TOWPATH, "powerman", "one", "--listen", "127.0.0.1:0", ...flags]);
    onTestFinished(() => void serving.child.kill("SIGKILL"));
    await until(() => /ready on \S+/.test(serving.log()), 20_000, serving.log);
    const at = /ready on (\S+)/.exec(serving.log())?.[1] ?? "";
    expect((await run("powerman", ["-h", at, "-Q", "router1"])).out).toContain("on:      router1");
    const refused = await run("powerman", ["-h", at, "-0", "router1"]);
    expect(refused.code).not.toBe(0);
    expect(refused.out + refused.err).toContain("role.");
    expect(site.edges()).toEqual([]);
  });

  it("a site that stops answering is unknown, never off", async () => {
    const { site, at } = await gateway();
    site.controller.child.kill("SIGKILL");
    await site.controller.ended;
    const asked = await run("powerman", ["-h", at, "-Q", "router1"], { limitMs: 60_000 });
    expect(asked.out).toBe("on:      \noff:     \nunknown: router1\n");
    const sent = await run("powerman", ["-h", at, "-0", "router1"], { limitMs: 60_000 });
    expect(sent.code).not.toBe(0);
    expect(sent.out + sent.err).toContain("does not answer, and nothing was switched");
  });
});

describe("the gateway", () => {
  it("listens on this machine only, on a socket of its owner, and not where another program does", async () => {
    const site = await startBrokeredSite();
    const far = await towpath(["powerman", "one", "--listen", "0.0.0.0:10101", ...site.flags]);
    expect(far).toMatchObject({ code: 2 });
    expect(far.err).toContain("loopback");
    const socket = join(site.folder, "pm.sock");
    const serving = start("node", [TOWPATH, "powerman", "one", "--listen", socket, ...site.flags]);
    onTestFinished(() => void serving.child.kill("SIGKILL"));
    await until(() => serving.log().includes("ready on"), 20_000, serving.log);
    const second = await towpath(["powerman", "one", "--listen", socket, ...site.flags]);
    expect(second).toMatchObject({ code: 2, err: expect.stringContaining("already") });
    expect(await talk(socket, "status nas1\n")).toContain("302 off:     nas1\r\n");
  });
});

/** One command to a Unix socket, and everything that comes back. */
function talk(path: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect({ path, allowHalfOpen: true }, () => socket.end(line));
    socket.on("data", (bytes) => {
      heard += bytes.toString();
    });
    socket.on("close", () => resolve(heard));
    socket.on("error", reject);
  });
}

describe.skipIf(!has("fence_powerman", "fence-agents"))("fence_powerman", () => {
  // As Pacemaker calls it: Debian 12's does not take --plug on its command line.
  it("fences a device: status, off with proof, on", async () => {
    const { site, port } = await gateway();
    const fence = (action: string) =>
      run("fence_powerman", [], { input: `ip=127.0.0.1\nipport=${port}\nplug=router1\naction=${action}\n` });
    expect((await fence("status")).out).toContain("Status: ON");
    const off = await fence("off");
    expect(off, off.err).toMatchObject({ code: 0, out: expect.stringContaining("Success: Powered OFF") });
    expect((await fence("status")).out).toContain("Status: OFF");
    const on = await fence("on");
    expect(on, on.err).toMatchObject({ code: 0 });
    expect(site.edges()).toHaveLength(4);
  });
});

const NUT = "/lib/nut/powerman-pdu";

describe.skipIf(!has(NUT, "nut-powerman-pdu"))("NUT's powerman driver", () => {
  it("shows the devices as outlets with their power", async () => {
    const { site, port } = await gateway();
    const folder = join(site.folder, "nut");
    mkdirSync(folder);
    writeFileSync(join(folder, "ups.conf"), `[pdu]\n  driver = powerman-pdu\n  port = 127.0.0.1:${port}\n`, {
      mode: 0o640,
    });
    chmodSync(folder, 0o755);
    const env = { NUT_CONFPATH: folder, NUT_STATEPATH: folder, NUT_ALTPIDPATH: folder };
    const driver = start(NUT, ["-a", "pdu", "-u", "root", "-F"], { env });
    onTestFinished(() => void driver.child.kill("SIGKILL"));
    await until(() => readdirSync(folder).some((name) => name.startsWith("powerman-pdu-pdu")), 20_000, driver.log);
    const dump = (): Promise<string> =>
      new Promise((resolve, reject) => {
        let heard = "";
        const socket = connect(join(folder, "powerman-pdu-pdu"), () => socket.write("DUMPALL\n"));
        socket.on("data", (bytes) => {
          heard += bytes.toString();
          if (heard.includes("DUMPDONE")) socket.destroy();
        });
        socket.on("close", () => resolve(heard));
        socket.on("error", reject);
      });
    await until(async () => /outlet\.1\.status "on"/.test(await dump()), 20_000, driver.log);
    const told = await dump();
    expect(told).toContain('outlet.1.desc "router1"');
    expect(told).toContain('outlet.2.status "off"');
  });
});
