// `npm run package`: a Debian package of this tree for a site's machine. The machine that builds may have another
// processor: nothing is compiled, and npm brings the libraries that were built for the target.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildDeb, put, settle } from "./package-deb.mjs";
import { copyrightText } from "./package-licences.mjs";
import { checkNative, prune } from "./package-prune.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const own = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

/** Debian's name of a processor, and what Node and the libraries call it. */
const TARGETS = {
  arm64: { cpu: "arm64", machine: 183 },
  amd64: { cpu: "x64", machine: 62 },
};

const HELP = `npm run package [-- --arch arm64|amd64] [--out DIR] [--version X] [--json]

  --arch     the site's processor: arm64 for a Pi with a 64-bit system (default), amd64
  --out      where the .deb goes; default: packages/
  --version  instead of the one in package.json, to try an upgrade
`;

const say = (line) => process.stderr.write(`package: ${line}\n`);

function fail(line, code = 1) {
  say(line);
  process.exit(code);
}

function readArgs() {
  const options = {
    arch: { type: "string", default: "arm64" },
    out: { type: "string", default: join(ROOT, "packages") },
    version: { type: "string", default: own.version },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  };
  try {
    const { values } = parseArgs({ options });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    return values;
  } catch (error) {
    return fail(`${error.message}\n${HELP}`, 2);
  }
}

function checkArgs({ arch, version }) {
  if (!Object.hasOwn(TARGETS, arch)) fail(`--arch ${arch}: use one of ${Object.keys(TARGETS).join(", ")}`, 2);
  if (!/^[0-9][A-Za-z0-9.+~]*(-[A-Za-z0-9.+~]+)?$/.test(version))
    fail(`--version ${version}: Debian wants it to begin with a digit, then letters, digits, and . + ~ -`, 2);
  if (spawnSync("dpkg-deb", ["--version"]).status !== 0)
    fail("dpkg-deb is not there; install it (Debian, Ubuntu: apt-get install dpkg; macOS: brew install dpkg)");
}

/** Everything in the package carries this time, so that the same tree gives the same bytes. */
function sourceTime() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const git = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: ROOT, encoding: "utf8" });
  return git.status === 0 ? Number(git.stdout.trim()) : Math.floor(statSync(join(ROOT, "package.json")).mtimeMs / 1000);
}

function runQuietly(program, args, cwd, wrong) {
  const done = spawnSync(program, args, { cwd, stdio: ["ignore", 2, 2] });
  if (done.status !== 0) fail(`${wrong}; the words of ${program} are above`);
}

/** The packages that run at a site. tsx is for checkouts: the compiled tree never loads it. */
function installModules(library, cpu) {
  const { tsx: _tsx, ...dependencies } = own.dependencies;
  const { name, overrides } = own;
  put(library, "package.json", JSON.stringify({ name, version: own.version, private: true, dependencies, overrides }));
  cpSync(join(ROOT, "package-lock.json"), join(library, "package-lock.json"));
  const how = ["--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  const args = ["install", ...how, "--os=linux", `--cpu=${cpu}`, "--libc=glibc"];
  runQuietly("npm", args, library, `npm could not bring the packages for ${cpu}`);
  rmSync(join(library, "package-lock.json"));
}

function stageProgram(library, { version, cpu, machine }) {
  runQuietly("node", [join(ROOT, ".ci/build.mjs"), library], ROOT, "the build failed");
  installModules(library, cpu);
  prune(library, cpu);
  const natives = checkNative(library, machine);
  if (natives.wrong.length > 0) fail(`built for another processor: ${natives.wrong.join(", ")}`);
  if (natives.found.length !== 2) fail(`expected serialport's and koffi's library, found: ${natives.found.join(", ")}`);
  const { name, license } = own;
  put(library, "package.json", `${JSON.stringify({ name, version, license, type: "module", private: true })}\n`);
}

/** Folders of `firmware/system/` that stand for the same folder of the target. */
function stageSystem(stage) {
  cpSync(join(ROOT, "firmware/system/usr"), join(stage, "usr"), { recursive: true });
  mkdirSync(join(stage, "usr/bin"), { recursive: true });
  symlinkSync("../lib/towpath/src/towpath.mjs", join(stage, "usr/bin/towpath"));
  const doc = join(stage, "usr/share/doc/towpath");
  for (const file of ["README.md", "wiring.md"]) cpSync(join(ROOT, file), join(doc, file));
  cpSync(join(ROOT, "firmware/system/README.md"), join(doc, "system.md"));
  cpSync(join(ROOT, "src/protocol/README.md"), join(doc, "protocol.md"));
  put(doc, "copyright", copyrightText(join(stage, "usr/lib/towpath/node_modules")));
}

function main() {
  const args = readArgs();
  checkArgs(args);
  const { arch, version } = args;
  const epoch = sourceTime();
  const work = mkdtempSync(join(tmpdir(), "towpath-package-"));
  try {
    const stage = join(work, "stage");
    stageProgram(join(stage, "usr/lib/towpath"), { version, ...TARGETS[arch] });
    stageSystem(stage);
    const files = settle(stage, epoch);
    mkdirSync(args.out, { recursive: true });
    const path = resolve(args.out, `towpath_${version}_${arch}.deb`);
    const scripts = join(ROOT, "firmware/system/maintainer");
    const wrong = buildDeb({ stage, path, version, arch, epoch, files, scripts });
    if (wrong !== null || !existsSync(path)) fail(`dpkg-deb could not build ${path}: ${wrong}`);
    report({ path, version, arch, files: files.length }, args.json);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function report(what, json) {
  const bytes = readFileSync(what.path);
  const all = { ...what, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  if (json) return process.stdout.write(`${JSON.stringify(all)}\n`);
  process.stdout.write(`${all.path}\n${(all.size / 1e6).toFixed(1)} MB, ${all.files} files, sha256 ${all.sha256}\n`);
}

main();
