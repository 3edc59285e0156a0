// Brings what `npm start` and `npm test` need, and skips what is there: packages, the command's link, programs.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const purpose = process.argv[2] ?? "start";

/** Programs that are run, and the Debian packages that bring them. */
const PROGRAMS = {
  start: { "ssh-keygen": "openssh-client" },
  test: {
    "ssh-keygen": "openssh-client",
    "ssh-agent": "openssh-client",
    sshd: "openssh-server",
    openssl: "openssl",
    python3: "python3",
    mosquitto: "mosquitto",
    "dpkg-deb": "dpkg",
    asciinema: "asciinema",
    ModemManager: "modemmanager",
    mmcli: "modemmanager",
    "dbus-daemon": "dbus-daemon",
    faketime: "faketime",
    "mkfs.ext4": "e2fsprogs",
    mount: "mount",
    prlimit: "util-linux",
    powerman: "powerman",
    fence_powerman: "fence-agents",
    setsid: "util-linux",
    socat: "socat",
    telnet: "telnet",
    gensiot: "gensio-bin",
    conserver: "conserver-server",
    console: "conserver-client",
    conmand: "conman",
    ip: "iproute2",
    nft: "nftables",
  },
  machine: {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-img": "qemu-utils",
    mmdebstrap: "mmdebstrap",
    socat: "socat",
    cpio: "cpio",
    xz: "xz-utils",
    modprobe: "kmod",
    depmod: "kmod",
    mke2fs: "e2fsprogs",
    debugfs: "e2fsprogs",
    gcc: "gcc",
    make: "make",
    strip: "binutils",
    "dpkg-deb": "dpkg",
    setpriv: "util-linux",
    mosquitto: "mosquitto",
  },
};

/** What brings no program of its own: Debian packages, looked for by a file of each. */
const FILES = {
  test: {
    "/lib/nut/powerman-pdu": "nut-powerman-pdu",
    "/usr/lib/python3/dist-packages/serial/__init__.py": "python3-serial",
  },
  machine: {
    "/usr/share/seabios/bios-256k.bin": "seabios",
    "/usr/lib/ipxe/qemu/efi-virtio.rom": "ipxe-qemu",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "/usr/src/linux-headers-*-amd64": "linux-headers-amd64",
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

/** Whether a file is there; one `*` in its name stands for anything. */
function hasFile(path) {
  const [begin, end] = path.split("*");
  if (end === undefined) return existsSync(path);
  const folder = dirname(begin);
  const name = begin.slice(folder.length + 1);
  return existsSync(folder) && readdirSync(folder).some((one) => one.startsWith(name) && one.endsWith(end));
}

function installPrograms() {
  const missing = [
    ...Object.entries(PROGRAMS[purpose] ?? {}).filter(([program]) => !has(program)),
    ...Object.entries(FILES[purpose] ?? {}).filter(([path]) => !hasFile(path)),
  ];
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
