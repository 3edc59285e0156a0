// `npm test`: every proof, in the order in which a failure is cheapest. Ends with the first that fails.
import { spawnSync } from "node:child_process";

const STEPS = [
  ["types", ["npx", "tsc", "--noEmit"]],
  ["lint", ["npx", "biome", "check", "--error-on-warnings", "."]],
  ["unused", ["npx", "knip"]],
  ["fast tests", ["npx", "vitest", "run", "--project", "fast"]],
  ["every branch of the power core", ["npm", "run", "--silent", "coverage"]],
  ["seeded worlds", ["npx", "vitest", "run", "--project", "stories"]],
  ["5,000 seeds", ["node", "test/run.mjs", "./sim/main.ts", "--seeds", "5000"]],
  ["the path beside the channel", ["node", "test/run.mjs", "./uplink/main.ts", "--short"]],
  ["scenarios", ["node", ".ci/scenarios.mjs"]],
];

let passed = 0;
for (const [name, [program, ...args]] of STEPS) {
  process.stdout.write(`\n== ${name}\n`);
  const begun = Date.now();
  const { status } = spawnSync(program, args, { stdio: "inherit" });
  process.stdout.write(
    `== ${name}: ${status === 0 ? "ok" : "FAILED"}, ${((Date.now() - begun) / 1000).toFixed(0)} s\n`,
  );
  if (status !== 0) {
    process.stdout.write(`\n${passed} passed, 1 failed\n`);
    process.exit(1);
  }
  passed++;
}
process.stdout.write(`\n${passed} passed, 0 failed\n`);
