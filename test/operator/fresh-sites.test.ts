import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { publicKeyLine, signEd25519 } from "../../src/access/sshsig.ts";
import { freshSites } from "../../src/operator/fresh-sites.ts";
import { loadSites, loadTrust } from "../../src/operator/who.ts";
import { encodeEnvelope, NAMESPACES } from "../../src/protocol/envelope.ts";
import { newKey, trustText } from "../trust.ts";

it("a running service knows a site that is enrolled later, and keeps the list it had while a new one is no good", () => {
  const folder = mkdtempSync(join(tmpdir(), "towpath-sites-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const settings = { sites: join(folder, "sites.json"), trust: join(folder, "trust.json") };
  const [root, ada, site] = [newKey(), newKey(), newKey()];
  writeFileSync(
    settings.trust,
    trustText({ fleet: "acme", epoch: 1, root, operators: { ada: { key: ada, role: "admin" } } }),
  );
  const write = (names: readonly string[], by = ada): void => {
    const sites = Object.fromEntries(names.map((name) => [name, { key: publicKeyLine(site, name) }]));
    const body = Buffer.from(JSON.stringify(sites));
    writeFileSync(settings.sites, encodeEnvelope({ body, sigs: [signEd25519(by, body, NAMESPACES.trust)] }));
  };
  write(["one"]);
  let nowMs = 0;
  const logged: string[] = [];
  const first = loadSites(settings, loadTrust(settings));
  const sites = freshSites(
    settings,
    first,
    (line) => void logged.push(line),
    () => nowMs,
  );
  const knows = (): boolean[] => ["one", "two", "three"].map((name) => sites.keyOf(name) !== null);
  expect(knows()).toEqual([true, false, false]);
  write(["one", "two"]);
  nowMs += 30_000;
  expect(knows()).toEqual([true, true, false]);
  write(["one", "two", "three"], newKey());
  nowMs += 30_000;
  expect(knows()).toEqual([true, true, false]);
  expect(logged.at(-1)).toContain("not signed");
  writeFileSync(settings.sites, "half a li");
  nowMs += 30_000;
  expect([knows(), sites.doubt]).toEqual([[true, true, false], null]);
  rmSync(settings.sites);
  nowMs += 30_000;
  expect(knows()).toEqual([true, true, false]);
  write(["three"]);
  nowMs += 30_000;
  expect(knows()).toEqual([false, false, true]);
});
