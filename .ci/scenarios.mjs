// The scenarios, each with real programs. One that fails is looked at once more, alone: on a busy machine a real program
// may be slower than anybody allowed for. What passes then is named as what it is: not proven to be sound.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

/** More than so many are no accident. */
const MOST = 2;

const folder = mkdtempSync(join(tmpdir(), "towpath-scenarios-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

function vitest(args) {
  const report = join(folder, "report.json");
  rmSync(report, { force: true });
  const { status } = spawnSync(
    "npx",
    ["vitest", "run", "--project", "world", "--reporter=default", "--reporter=json", `--outputFile=${report}`, ...args],
    { stdio: "inherit" },
  );
  return { ok: status === 0, report };
}

/** Null where it did not get as far as a report, or something else than a test went wrong. */
function failedTests(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, "utf8"));
    const broken = testResults.some(
      ({ status, assertionResults }) => status === "failed" && !assertionResults.some((one) => one.status === "failed"),
    );
    if (broken) return null;
    return testResults.flatMap(({ name, assertionResults }) =>
      assertionResults
        .filter(({ status }) => status === "failed")
        .map(({ fullName }) => ({ file: relative(process.cwd(), name), fullName })),
    );
  } catch {
    return null;
  }
}

const first = vitest(process.argv.slice(2));
if (first.ok) process.exit(0);
const failed = failedTests(first.report);
if (failed === null || failed.length === 0 || failed.length > MOST) process.exit(1);

const ranOne = ({ ok, report }) => ok && JSON.parse(readFileSync(report, "utf8")).numPassedTests === 1;
const literally = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
for (const { file, fullName } of failed) {
  process.stdout.write(`\n== once more, alone: ${fullName}\n`);
  if (!ranOne(vitest([file, "-t", `^${literally(fullName)}$`]))) process.exit(1);
}
process.stdout.write("\nFAILED BESIDE OTHERS, PASSED ALONE. Each is a race in the test or in the program; find it:\n");
for (const { file, fullName } of failed) process.stdout.write(`  ${file}: ${fullName}\n`);
