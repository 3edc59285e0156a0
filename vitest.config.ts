import { defineConfig } from "vitest/config";

/** `fast` needs nothing but this process; `world` starts real programs, so it runs in forks and gets longer limits. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "fast",
          include: [
            "test/*.test.ts",
            "test/{core,site,protocol,config,journal,access,link,linux,power,contract,operator,console,firmware,collect,disk,uplink}/**/*.test.ts",
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
          maxWorkers: 2,
          globalSetup: ["test/scenario/build.ts"],
          testTimeout: 300_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
