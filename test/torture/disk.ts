import { parseArgs } from "node:util";
import { CrashStory, newTally } from "../journal/crash-model.ts";
import { seeded } from "../sim/random.ts";

/**
 * `npm run torture:disk -- [--states N] [--seed S]`: the journal on a disk that loses power with torn and reordered
 * sectors, fails in every way, and kills its writer at any call.
 */

const { values } = parseArgs({
  options: { states: { type: "string", default: "100000" }, seed: { type: "string", default: "1" } },
});
const LIVES = 6;
const wanted = Number(values.states);
const tally = newTally();
let seed = Number(values.seed);
let stories = 0;
const begun = Date.now();
while (tally.states < wanted && tally.problems.length === 0) {
  new CrashStory(seeded(seed), tally, `seed ${seed}`).run(LIVES);
  seed++;
  stories++;
}
for (const problem of tally.problems) process.stderr.write(`${problem}\n`);
const { problems, ...counts } = tally;
const took = ((Date.now() - begun) / 1000).toFixed(0);
process.stderr.write(`${counts.states} states of ${stories} disks in ${took} s, from seed ${values.seed}\n`);
process.stdout.write(`${JSON.stringify({ ok: problems.length === 0, stories, ...counts })}\n`);
process.exit(problems.length === 0 ? 0 : 1);
