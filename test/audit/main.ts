import { parseArgs } from "node:util";
import { mutate } from "./mutate.ts";

/** `npm run audit:mutate -- --edits N --seed S`: edits of an export, all of which must be seen. One JSON line at the end. */
const { values } = parseArgs({
  options: { edits: { type: "string", default: "100000" }, seed: { type: "string", default: "1" } },
});
const edits = Number(values.edits);
const seed = Number(values.seed);
if (!Number.isInteger(edits) || !Number.isInteger(seed) || edits < 1) {
  process.stderr.write("usage: npm run audit:mutate -- [--edits N] [--seed S]\n");
  process.exit(2);
}
const EVERY = 10_000;
const say = (line: string) => process.stdout.write(`${line}\n`);

const told = await mutate(edits, seed, (done) => {
  if (done % EVERY === 0) say(`${done} edits`);
});
for (const [kind, count] of Object.entries(told.byKind)) say(`${String(count).padStart(7)}  ${kind}`);
for (const one of told.unseen) say(`NOT SEEN  ${one}`);
if (!told.whole) say("the export that nobody edited does not verify");
const ok = told.whole && told.detected === told.edits;
say(JSON.stringify({ ok, edits: told.edits, detected: told.detected, seed }));
process.exitCode = ok ? 0 : 1;
