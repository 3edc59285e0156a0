// A staged tree becomes a .deb: control files, one time for all, and dpkg-deb.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { filesIn } from "./package-prune.mjs";

const MAINTAINER = "Towpath maintainers <maintainers@towpath.invalid>";

export function put(folder, name, content) {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), content);
}

const kib = (file) => Math.ceil(lstatSync(file).size / 1024);

const controlText = ({ version, arch, files }) => `Package: towpath
Version: ${version}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${files.reduce((sum, file) => sum + kib(file), 0)}
Depends: nodejs (>= 20.19), libc6, libstdc++6, libgcc-s1, systemd (>= 252), udev, init-system-helpers, coreutils, iproute2
Recommends: nftables, openssh-client, ca-certificates, systemd-timesyncd | time-daemon
Suggests: modemmanager, mosquitto, openssh-server
Section: net
Priority: optional
Description: out-of-band controller for places without staff
 Switches the power and records the serial consoles of a site's equipment, and
 stays reachable when the primary network is gone. For the machine at a site:
 it sets the hardware watchdog, keeps the system's journal in memory, and keeps
 ModemManager away from USB consoles.
`;

const changelogText = (version, epoch) => `towpath (${version}) unstable; urgency=medium

  * Built from the project's tree; its commits say what changed and why.

 -- ${MAINTAINER}  ${new Date(epoch * 1000).toUTCString().replace("GMT", "+0000")}
`;

/** Modes and times that do not depend on who builds, and the list of files. */
export function settle(stage, epoch) {
  const executable = join(stage, "usr/lib/towpath/src/towpath.mjs");
  const visit = (path) => {
    const stat = lstatSync(path);
    if (stat.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
    if (!stat.isSymbolicLink()) chmodSync(path, stat.isDirectory() || path === executable ? 0o755 : 0o644);
    lutimesSync(path, epoch, epoch);
  };
  visit(stage);
  return filesIn(stage);
}

/** `dpkg --verify towpath` compares a site's card with these. */
function md5sums(stage, files) {
  const lines = files
    .filter((file) => lstatSync(file).isFile())
    .map((file) => `${createHash("md5").update(readFileSync(file)).digest("hex")}  ${relative(stage, file)}\n`);
  return lines.join("");
}

/** Null when it is built; otherwise what dpkg-deb said. */
export function buildDeb({ stage, path, version, arch, epoch, files, scripts }) {
  put(stage, "usr/share/doc/towpath/changelog.gz", gzipSync(changelogText(version, epoch), { level: 9 }));
  const all = settle(stage, epoch);
  put(stage, "DEBIAN/control", controlText({ version, arch, files }));
  put(stage, "DEBIAN/md5sums", md5sums(stage, all));
  settle(stage, epoch);
  for (const name of readdirSync(scripts)) {
    cpSync(join(scripts, name), join(stage, "DEBIAN", name));
    chmodSync(join(stage, "DEBIAN", name), 0o755);
  }
  // One thread: with more, xz cuts its blocks elsewhere and the bytes differ from machine to machine.
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epoch), DPKG_DEB_THREADS_MAX: "1" };
  const args = ["--root-owner-group", "-Zxz", "--build", stage, path];
  const done = spawnSync("dpkg-deb", args, { env, encoding: "utf8" });
  return done.status === 0 ? null : done.stderr.trim();
}
