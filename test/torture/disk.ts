import { parseArgs } from "node:util";
import { newTally } from "../journal/crash-marks.ts";
import { CrashStory } from "../journal/crash-model.ts";
import { seeded } from "../sim/random.ts";
import { fullCard, impossible } from "./full-card.ts";

/**
 * `npm run torture:disk -- [--states N] [--seed S]`: the journal on a disk that loses power with torn and reordered
 * sectors, fails in every way, and kills its writer at any call.
 */

const { values } = parseArgs({
  options: {
    states: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    /** Also a tmpfs and a loop device that really fill up. */
    cards: { type: "boolean", default: false },
  },
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
const cards = values.cards ? await fillCards() : {};
for (const problem of tally.problems) process.stderr.write(`${problem}\n`);
const { problems, ...counts } = tally;
const took = ((Date.now() - begun) / 1000).toFixed(0);
process.stderr.write(`${counts.states} states of ${stories} disks in ${took} s, from seed ${values.seed}\n`);
process.stdout.write(`${JSON.stringify({ ok: problems.length === 0, stories, ...counts, ...cards })}\n`);
process.exit(problems.length === 0 ? 0 : 1);

async function fillCards(): Promise<Record<string, unknown>> {
  const why = impossible();
  if (why !== null) {
    process.stderr.write(`LEFT OUT: cards that really fill up: ${why}\n`);
    return { cards: "left out" };
  }
  const told: Record<string, unknown> = {};
  for (const card of ["tmpfs", "ext4"] as const) {
    for (const from of ["the start", "later"] as const) {
      const { problems, ...figures } = await fullCard(card, from);
      tally.problems.push(...problems.map((one) => `${card}, full from ${from}: ${one}`));
      told[`${card}, full from ${from}`] = figures;
    }
  }
  return { cards: told };
}
