import { spawn } from "node:child_process";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { startBroker } from "../../src/link/broker.ts";
import { makeCertificates } from "../certificates.ts";
import { openPty, type Pty } from "../pty.ts";
import {
  makeSite,
  refuseVersion5,
  startController,
  startMosquitto,
  type TestSite,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

/** A shell behind a pseudo terminal: the far end of a console that is typed to and answers. */
function shellBehind(pty: Pty): void {
  const child = spawn("sh", ["-c", 'echo shell is up; while read -r line; do eval "$line"; done'], {
    stdio: [pty.masterFd, pty.masterFd, "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
}

interface Way {
  readonly link: string;
  readonly flags: (site: TestSite) => string[];
}

const WAYS: Record<string, (folder: string) => Promise<Way>> = {
  "mosquitto with TLS and client certificates": async (folder) => {
    const certificates = makeCertificates(folder);
    const { port } = await startMosquitto(folder, certificates);
    const { ca, site, operator } = certificates;
    const url = `mqtts://localhost:${port}`;
    return {
      link: `link: { brokers: [ "${url}" ], tls: { ca: ${ca}, cert: ${site.cert}, key: ${site.key} } }`,
      flags: () => [
        "--broker",
        url,
        "--fleet",
        "acme",
        "--tls-ca",
        ca,
        "--tls-cert",
        operator.cert,
        "--tls-key",
        operator.key,
      ],
    };
  },
  "the embedded broker": async () => {
    const broker = await startBroker(0);
    onTestFinished(() => broker.stop());
    const url = `mqtt://127.0.0.1:${broker.port}`;
    return { link: `link: { brokers: [ "${url}" ] }`, flags: () => ["--broker", url, "--fleet", "acme"] };
  },
  "MQTT 3.1.1, on a broker that hangs up on 5": async (folder) => {
    const { port } = await refuseVersion5((await startMosquitto(folder, null)).port);
    const url = `mqtt://127.0.0.1:${port}`;
    return { link: `link: { brokers: [ "${url}" ] }`, flags: () => ["--broker", url, "--fleet", "acme"] };
  },
  "the local socket": async () => ({ link: "", flags: (site) => ["--local", join(site.data, "towpath.sock")] }),
};

describe("a signed cycle and a recorded console", () => {
  for (const [name, way] of Object.entries(WAYS)) {
    it(`over ${name}`, async () => {
      const folder = temporaryFolder();
      const { link, flags } = await way(folder);
      const pty = openPty();
      onTestFinished(() => pty.close());
      const site = await makeSite(folder, {
        link,
        yaml: `consoles:\n  router1: { port: { path: ${pty.path} }, baudRate: 115200 }\n`,
      });
      const controller = await startController(site.config);
      const key = (JSON.parse(/\{[^\n]*"key\.made"[^\n]*\}/.exec(controller.log())?.[0] ?? "{}") as { key: string })
        .key;
      const sites = join(folder, "sites.json");
      await towpath([
        "trust",
        "add",
        "root",
        "--key",
        join(folder, "root.pub"),
        "--role",
        "admin",
        "--trust",
        site.trust,
      ]);
      await towpath(["trust", "sign", "--trust", site.trust, "--identity", join(folder, "root")]);
      await towpath(["trust", "site", "one", "--key", key, "--sites", sites, "--identity", join(folder, "root")]);
      const who = [...flags(site), "--identity", site.identity, "--trust", site.trust, "--sites", sites];

      await until(() => /"state":"up"/.test(controller.log()));
      shellBehind(pty);
      const terminal = openSync(pty.path, "r+");
      writeFileSync(terminal, "echo sum is $((20+22))\n");
      await until(
        async () => (await towpath(["log", "one/router1", ...who])).out.includes("sum is 42"),
        30_000,
        controller.log,
      );

      const pushed = await towpath(["trust", "push", "one", ...who]);
      expect(pushed).toMatchObject({ code: 0 });
      const cycled = await towpath(["power", "cycle", "one/router1", "--yes", "--json", ...who]);
      expect(cycled.code, cycled.err).toBe(0);
      expect(JSON.parse(cycled.out)).toMatchObject({
        ok: true,
        verdict: "verified",
        durability: "synced",
        verified: true,
      });
      expect(site.edges().map(({ relay, energised }) => [relay, energised])).toEqual([
        [1, true],
        [2, true],
        [1, false],
        [2, false],
      ]);
      const [off, , on] = site.edges();
      expect((on?.t ?? 0) - (off?.t ?? 0)).toBeGreaterThanOrEqual(1_990);

      const log = await towpath(["log", "one/router1", "--all", "--raw", ...who]);
      expect(log.out).toContain("shell is up");
      const stat = await site.journal();
      expect(stat.consoles.router1?.bytes).toBe(Buffer.byteLength(log.out));
      expect(stat.ledger.owed).toEqual([]);
      const events = JSON.parse((await towpath(["events", "one", "--all", "--json", ...who])).out) as {
        events: { kind: string }[];
      };
      expect(
        events.events.map(({ kind }) => kind).filter((kind) => ["intent", "edge", "outcome"].includes(kind)),
      ).toEqual(["intent", "edge", "edge", "edge", "edge", "outcome"]);

      controller.child.kill("SIGTERM");
      expect(await controller.ended).toBe(0);
      expect(site.edges()).toHaveLength(4);
      expect(readFileSync(join(site.data, "trust.json"), "utf8")).toBe(readFileSync(site.trust, "utf8"));
      expect((await towpath(["journal", "verify", site.data])).code).toBe(0);
    });
  }
});
