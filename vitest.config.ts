import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** What decides whether an outlet moves, and when: every branch of it is taken by a test (`npm run coverage`). */
const POWER_CORE = [
  "actors",
  "allowance",
  "answers",
  "at-once",
  "checks",
  "facts",
  "interlock",
  "ledger",
  "locks",
  "plan",
  "power",
  "preview",
  "rate",
  "recording",
  "refusals",
  "restore",
  "running",
  "selection",
  "sequence",
  "steps",
  "target",
  "trust",
].map((name) => `src/core/${name}.ts`);

// One that was renamed would else be covered by not being there.
for (const file of POWER_CORE)
  if (!existsSync(new URL(file, import.meta.url)))
    throw new Error(`${file} is part of the power core and is not there`);

/** `fast` needs nothing but this process; `world` starts real programs, so it runs in forks and gets longer limits. */
export default defineConfig({
  test: {
    coverage: {
      provider: "v8",
      include: POWER_CORE,
      reporter: ["text"],
      thresholds: { 100: true },
    },
    projects: [
      {
        test: {
          name: "fast",
          include: [
            "test/*.test.ts",
            "test/{core,site,protocol,config,journal,access,link,linux,uplink,power,contract,operator,console,firmware,collect,disk,audit}/**/*.test.ts",
          ],
          pool: "threads",
          isolate: false,
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "stories",
          include: ["test/sim/**/*.test.ts"],
          testTimeout: 300_000,
        },
      },
      {
        test: {
          name: "world",
          include: ["test/scenario/**/*.test.ts"],
          pool: "forks",
          // Each of them starts some programs; a core is left for these.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          globalSetup: ["test/scenario/build.ts"],
          testTimeout: 300_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
