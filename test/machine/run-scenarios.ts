import { parseArgs } from "node:util";
import type { Guest, Scenario, StartOptions } from "./guest.ts";
import { requirePrograms, Unavailable } from "./requirements.ts";

interface Run {
  readonly kind: "vm" | "pi";
  /** Of the machine itself. */
  readonly smoke: readonly Scenario[];
  readonly scenarios: readonly Scenario[];
  start(options: StartOptions): Promise<Guest>;
  /** What was started beside the machine ends too. */
  end(): Promise<void>;
}

/** The first of them: what every other scenario stands on. */
const SMOKE_ALWAYS = 2;

/** What whoever reads of a failure asks first. */
const LAST_WORDS =
  "cat /proc/uptime; journalctl -u towpath -o short-monotonic --no-pager 2>/dev/null | cut -c 1-300 | tail -n 25";

interface Failure {
  readonly name: string;
  readonly problem: string;
}

const say = (line: string) => process.stdout.write(`${line}\n`);
const seconds = (sinceMs: number) => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;

/** Ends the process the way that lets `exit` handlers take the machines down. */
function endOnSignals(): void {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)
    process.on(signal, () => process.exit(code));
}

async function tryOne(guest: Guest, scenario: Scenario): Promise<Failure | null> {
  const begun = performance.now();
  try {
    await scenario.run(guest);
    say(`ok      ${seconds(begun).padStart(8)}  ${scenario.name}`);
    return null;
  } catch (thrown) {
    const problem = thrown instanceof Error ? thrown.message : String(thrown);
    say(`FAILED  ${seconds(begun).padStart(8)}  ${scenario.name}\n${problem.replace(/^/gm, "        ")}`);
    if (thrown instanceof Error)
      say((thrown.stack ?? "").split("\n    at ").slice(1, 6).join("\n        ").replace(/^/, "        "));
    const { out } = await guest.run(LAST_WORDS).catch((error: unknown) => ({ out: String(error) }));
    say(out.replace(/^/gm, "        | "));
    return { name: scenario.name, problem: problem.slice(0, 500) };
  }
}

async function stay(guest: Guest): Promise<void> {
  say(`\nThe machine stays up until Ctrl-C. Its files: ${guest.folder}`);
  say(
    `A command in it: printf 'run x %d 60 -\\n%s' \${#c} "$c" | socat -t 60 - TCP:127.0.0.1:${guest.controlPort}   (c='uname -a')`,
  );
  say(`Its monitor: socat - UNIX-CONNECT:${guest.folder}/qmp.sock`);
  await new Promise(() => setInterval(() => undefined, 60_000));
}

async function tryAll(
  { kind, scenarios, start }: Omit<Run, "smoke" | "end">,
  keep: boolean,
): Promise<Record<string, unknown>> {
  const begun = performance.now();
  requirePrograms(kind);
  say(`${kind}: ${scenarios.length} scenarios; the machine starts (its image is built first when there is none)`);
  const guest = await start({ keep });
  say(`ready   ${seconds(begun).padStart(8)}  a shell after ${(guest.bootMs / 1000).toFixed(1)} s of boot`);
  const { bootMs } = guest;
  const failed: Failure[] = [];
  for (const scenario of scenarios) {
    const failure = await tryOne(guest, scenario);
    if (failure !== null) failed.push(failure);
  }
  if (keep) await stay(guest);
  await guest.stop();
  const names = failed.map(({ name }) => name);
  return { ok: failed.length === 0, machine: kind, scenarios: scenarios.length, failed: names, bootMs };
}

/** A machine's whole run: starts it, tries the scenarios in order, ends with one JSON line and an exit code. */
export async function runScenarios(run: Run): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      keep: { type: "boolean", default: false },
      smoke: { type: "boolean", default: false },
    },
  });
  const only = values.only ?? "";
  const scenarios = [...run.smoke.slice(0, values.smoke ? undefined : SMOKE_ALWAYS), ...run.scenarios].filter(
    ({ name, on = run.kind }) => on === run.kind && only.split("|").some((part) => name.includes(part)),
  );
  endOnSignals();
  let verdict: Record<string, unknown>;
  try {
    if (scenarios.length === 0) throw new Error(`no scenario of the ${run.kind} has "${only}" in its name`);
    verdict = await tryAll({ ...run, scenarios }, values.keep);
  } catch (thrown) {
    const problem = thrown instanceof Error ? thrown.message : String(thrown);
    const skipped = thrown instanceof Unavailable;
    say(skipped ? `\n*** SKIPPED, nothing was tried on the ${run.kind}: ${problem} ***` : `FAILED  ${problem}`);
    verdict = skipped ? { ok: true, machine: run.kind, skipped: problem } : { ok: false, machine: run.kind, problem };
  }
  await run.end();
  say(JSON.stringify(verdict));
  process.exit(verdict.ok === true ? 0 : 1);
}
