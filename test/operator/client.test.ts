import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it, onTestFinished, vi } from "vitest";
import { listenLocal } from "../../src/link/local.ts";
import { openClient } from "../../src/operator/client.ts";
import { siteRoot } from "../../src/protocol/topics.ts";

afterEach(() => void vi.useRealTimers());

it("an open session leaves no timer behind: a command ends with its answer", async () => {
  const folder = mkdtempSync(join(tmpdir(), "towpath-client-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const local = join(folder, "site.sock");
  const server = await listenLocal(local, () => undefined);
  onTestFinished(() => server.stop());
  server.publish(`${siteRoot("acme", "one")}/up/state`, Buffer.from("{}"), true);
  const settings = {
    brokers: [],
    fleet: null,
    site: null,
    identity: null,
    as: null,
    trust: null,
    sites: null,
    tls: {},
  };
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const client = await openClient({ ...settings, local, source: "test" }, null, { keyOf: () => null, doubt: null }, 1);
  expect([client.fleet, client.site, vi.getTimerCount()]).toEqual(["acme", "one", 0]);
  await client.stop();
});
