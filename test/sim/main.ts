import { parseArgs } from "node:util";
import { hunt } from "./hunt.ts";
import { type Summary, tellMany } from "./many.ts";
import { tellStory } from "./story.ts";

/** `npm run sim -- --seeds N --from S`: many stories; `--mutants`: the wrong cores. One JSON line at the end. */
const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    /** In this process alone. */
    alone: { type: "boolean", default: false },
    /** Ends with the first story that goes wrong. */
    first: { type: "boolean", default: false },
    mutants: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
});
const seeds = Number(values.seeds ?? (values.mutants ? 10_000 : 5_000));
const from = Number(values.from);
if (!Number.isInteger(seeds) || !Number.isInteger(from) || seeds < 1) {
  process.stderr.write(
    "usage: npm run sim -- [--seeds N] [--from S] [--first] | --mutants [--seeds N] [--only TEXT]\n",
  );
  process.exit(2);
}
/** So many wrong stories are told whole. */
const SHOWN = 3;
const say = (line: string) => process.stdout.write(`${line}\n`);

if (values.mutants) await tellMutants();
else await tellStories();

async function tellMutants(): Promise<void> {
  const found = await hunt(seeds, values.only, ({ name, seed, problem }) =>
    say(`${seed === null ? "NOT CAUGHT" : `seed ${String(seed).padStart(5)}`}  ${name}${problem && `: ${problem}`}`),
  );
  const caught = found.filter(({ seed }) => seed !== null).length;
  const ok = found.length > 0 && caught === found.length;
  say(JSON.stringify({ ok, mutants: found.length, caught, seeds }));
  process.exitCode = ok ? 0 : 1;
}

async function tellStories(): Promise<void> {
  const begun = process.hrtime.bigint();
  const told = values.alone || values.first ? tellHere() : await tellMany(seeds, from, say);
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  if (!values.alone) say(`${(told.seeds / seconds).toFixed(0)} seeds per second`);
  say(JSON.stringify({ ...told, from }));
  process.exitCode = told.ok ? 0 : 1;
}

function tellHere(): Summary {
  const faults: Record<string, number> = {};
  const sum = { seeds: 0, accepted: 0, edges: 0 };
  let failed = 0;
  for (let seed = from; seed < from + seeds && !(values.first && failed > 0); seed++) {
    const story = tellStory(seed);
    sum.seeds++;
    sum.accepted += story.accepted;
    sum.edges += story.edges;
    for (const [name, count] of Object.entries(story.faults)) faults[name] = (faults[name] ?? 0) + count;
    if (story.problems.length === 0 || ++failed > SHOWN) continue;
    say(`seed ${seed}:\n  ${story.problems.join("\n  ")}\n${story.history.map((line) => `    ${line}`).join("\n")}`);
  }
  return { ok: failed === 0, ...sum, faults };
}
