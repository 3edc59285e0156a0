import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { benchAccess } from "./access.ts";
import { benchCapture } from "./capture.ts";
import { benchCollect } from "./collect.ts";
import { benchPower } from "./power.ts";
import { type Outcome, outcomeText } from "./report.ts";
import { abandonAll, ROOT } from "./scratch.ts";
import { benchStart } from "./start.ts";
import { benchWear } from "./wear.ts";
import { benchWire } from "./wire.ts";

/** `npm run bench -- [NAME] [--json]`: what the controller costs, beside its peers, on this machine. */

const BENCHES: Readonly<Record<string, () => Promise<Outcome>>> = {
  access: benchAccess,
  capture: benchCapture,
  collect: benchCollect,
  power: benchPower,
  start: benchStart,
  wire: benchWire,
  wear: benchWear,
};

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !Object.hasOwn(BENCHES, name));
if (unknown !== undefined) {
  process.stderr.write(`there is no bench "${unknown}"; there are: ${Object.keys(BENCHES).join(", ")}\n`);
  process.exit(2);
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    abandonAll();
    process.exit(130);
  });
}

// The build's own words go to stderr: stdout belongs to the figures.
execFileSync("node", [".ci/build.mjs"], { cwd: ROOT, stdio: ["ignore", 2, 2] });
const outcomes: Record<string, Outcome> = {};
for (const [name, bench] of Object.entries(BENCHES)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const outcome = await bench();
  outcomes[name] = outcome;
  process.stdout.write(`${outcomeText(name, outcome)}\n`);
}
const all = Object.entries(outcomes);
const ok = all.every(([, outcome]) => outcome.ok);
if (values.json) {
  // One bench: its figures flat. Several: by name.
  const figures = Object.fromEntries(
    all.map(([name, one]) => [name, { ok: one.ok, goals: one.goals, ...one.figures }]),
  );
  const only = positionals.length === 1 ? figures[positionals[0] ?? ""] : figures;
  process.stdout.write(`${JSON.stringify({ ok, ...only })}\n`);
}
process.exit(ok ? 0 : 1);
