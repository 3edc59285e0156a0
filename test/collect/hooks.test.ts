import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { createHooks } from "../../src/collect/hooks.ts";

function program(body: string): { path: string; out: string; log: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "towpath-hook-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "hook");
  const out = join(folder, "out");
  writeFileSync(path, `#!/bin/sh\nOUT=${out}\n${body}\n`);
  chmodSync(path, 0o755);
  return { path, out, log: [] };
}

const event = { type: "offline", at: 1, fleet: "acme", site: "one; rm -rf /" } as const;

it("the program gets one JSON event on its standard input and no arguments", async () => {
  const { path, out, log } = program('cat > "$OUT"; printf "%s" "$#" >> "$OUT"');
  const hooks = createHooks({ program: path, log: (line) => log.push(line), now: () => 5 });
  hooks.tell(event);
  await hooks.stop();
  expect(readFileSync(out, "utf8")).toBe(`${JSON.stringify({ v: 1, ...event })}\n0`);
  expect(hooks.counts).toEqual({ ran: 1, failed: 0, dropped: 0 });
});

it("one that fails, is missing or never ends is logged and counted, and the next one still runs", async () => {
  const { path, log } = program("cat >/dev/null; echo no pager >&2; exit 3");
  const failing = createHooks({ program: path, log: (line) => log.push(line), now: () => 5 });
  failing.tell(event);
  await failing.stop();
  expect(log[0]).toContain("exit 3: no pager");
  const missing = createHooks({ program: `${path}-gone`, log: (line) => log.push(line), now: () => 5 });
  missing.tell(event);
  await missing.stop();
  expect(log[1]).toContain("ENOENT");
  const slow = program('sleep 60 & echo $! > "$OUT"; wait');
  const hooks = createHooks({ program: slow.path, log: (line) => log.push(line), now: () => 5, timeoutMs: 2_000 });
  hooks.tell(event);
  await hooks.stop();
  expect(log[2]).toContain("not done after");
  // What it had started is gone with it.
  const left = Number(readFileSync(slow.out, "utf8"));
  const runs = () => existsSync(`/proc/${left}`) && !/\bZ\b/.test(readFileSync(`/proc/${left}/stat`, "utf8"));
  for (let looks = 0; runs() && looks < 200; looks++) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(runs()).toBe(false);
});

it("a flood is dropped above a bound, and how many is told", async () => {
  const { path, out } = program('cat >> "$OUT"');
  const hooks = createHooks({ program: path, log: () => undefined, now: () => 5, queueLimit: 8 });
  for (let index = 0; index < 30; index++) hooks.tell({ ...event, n: index });
  const started = Date.now();
  while (hooks.counts.ran < 13 && Date.now() - started < 20_000)
    await new Promise((resolve) => setTimeout(resolve, 20));
  await hooks.stop();
  const told = readFileSync(out, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string; count?: number });
  expect(told.filter(({ type }) => type === "offline").length).toBe(12);
  expect(told.find(({ type }) => type === "dropped")?.count).toBe(18);
});
