import { parseArgs } from "node:util";
import { tellStory } from "./story.ts";

/** `npm run sim -- --seeds N --from S`: many stories, one JSON line at the end. */
const { values } = parseArgs({
  options: { seeds: { type: "string", default: "5000" }, from: { type: "string", default: "1" } },
});
const seeds = Number(values.seeds);
const from = Number(values.from);
if (!Number.isInteger(seeds) || !Number.isInteger(from) || seeds < 1) {
  process.stderr.write("usage: npm run sim -- --seeds N --from S (whole numbers)\n");
  process.exit(2);
}

const begun = process.hrtime.bigint();
const faults: Record<string, number> = {};
let accepted = 0;
let edges = 0;
let failed = 0;
for (let seed = from; seed < from + seeds; seed++) {
  const told = tellStory(seed);
  accepted += told.accepted;
  edges += told.edges;
  for (const [name, count] of Object.entries(told.faults)) faults[name] = (faults[name] ?? 0) + count;
  if (told.problems.length === 0) continue;
  failed++;
  if (failed > 3) continue;
  process.stdout.write(
    `seed ${seed}:\n  ${told.problems.join("\n  ")}\n${told.history.map((line) => `    ${line}`).join("\n")}\n`,
  );
}
const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
process.stdout.write(`${(seeds / seconds).toFixed(0)} seeds per second\n`);
process.stdout.write(`${JSON.stringify({ ok: failed === 0, seeds, from, accepted, edges, faults })}\n`);
process.exit(failed === 0 ? 0 : 1);
