// Brings what `npm start` and `npm test` need, and skips what is there: packages, the command's link, programs.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const purpose = process.argv[2] ?? "start";

/** Programs that are run, and the Debian packages that bring them. */
const PROGRAMS = {
  start: { "ssh-keygen": "openssh-client" },
  test: {
    "ssh-keygen": "openssh-client",
    "ssh-agent": "openssh-client",
    openssl: "openssl",
    python3: "python3",
    mosquitto: "mosquitto",
    "dpkg-deb": "dpkg",
  },
};

const say = (line) => process.stderr.write(`setup: ${line}\n`);

function fail(line) {
  say(line);
  process.exit(1);
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(`Node ${process.versions.node} is too old; install Node 20.19 or newer`);
}

function installPackages() {
  const stamp = `${root}node_modules/.towpath-stamp`;
  const wanted = createHash("sha256")
    .update(readFileSync(`${root}package-lock.json`))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  say("installing npm packages (once)");
  // Not `npm ci`: it refuses a lock file without entries for platforms that a registry does not carry.
  const done = spawnSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (done.status !== 0) fail("npm install failed; its words are above");
  writeFileSync(stamp, wanted);
}

/** `npx towpath` in the checkout finds it here, at once and without asking a registry. */
function linkCommand() {
  const link = `${root}node_modules/.bin/towpath`;
  if (existsSync(link)) return;
  mkdirSync(`${root}node_modules/.bin`, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync("../../src/towpath.mjs", link);
}

function has(program) {
  return ["/usr/sbin", "/sbin", ...(process.env.PATH ?? "").split(":")].some((folder) =>
    existsSync(`${folder}/${program}`),
  );
}

function installPrograms() {
  const missing = Object.entries(PROGRAMS[purpose] ?? {}).filter(([program]) => !has(program));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map(([, name]) => name))];
  const names = packages.join(" ");
  if (!has("apt-get")) return say(`not found: ${missing.map(([program]) => program).join(", ")}; install them by hand`);
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && process.env.CI === undefined && !agreed(`install ${names} with sudo apt-get?`)) {
    return say(`left out: ${names}; what needs them is skipped, or fails and says so`);
  }
  const apt = (args) =>
    spawnSync(isRoot ? "apt-get" : "sudo", [...(isRoot ? [] : ["apt-get"]), ...args], {
      stdio: ["ignore", 2, 2],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    });
  say(`installing ${names}`);
  withoutServices(isRoot, () => {
    apt(["update", "-qq"]);
    if (apt(["install", "-y", "-qq", "--no-install-recommends", ...packages]).status !== 0)
      say(`apt-get could not install ${names}`);
  });
}

/** Debian starts a service when its package comes: here nothing must be left running. */
function withoutServices(isRoot, work) {
  const policy = "/usr/sbin/policy-rc.d";
  const ours = isRoot && !existsSync(policy);
  if (ours) writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    work();
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

function agreed(question) {
  if (!process.stdin.isTTY) return false;
  process.stderr.write(`setup: ${question} [y/N] `);
  const answer = spawnSync("head", ["-n", "1"], { stdio: ["inherit", "pipe", "inherit"] }).stdout.toString();
  return /^y/i.test(answer.trim());
}

checkNode();
installPackages();
linkCommand();
installPrograms();
