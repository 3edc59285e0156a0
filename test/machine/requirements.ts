import { hasProgram } from "./image/tool.ts";

/** What this machine lacks to run a test machine: a reason to skip, aloud, not a failure of what is tried. */
export class Unavailable extends Error {}

const NEEDED = {
  vm: ["qemu-system-x86_64", "gcc", "make", "strip"],
  pi: ["qemu-system-aarch64"],
  both: [
    "qemu-img",
    "mmdebstrap",
    "socat",
    "cpio",
    "xz",
    "modprobe",
    "depmod",
    "mke2fs",
    "dpkg-deb",
    "apt-get",
    "setpriv",
    "ssh-keygen",
  ],
} as const;

/** Throws `Unavailable` with what to install when this machine cannot run or build a test machine. */
export function requirePrograms(kind: "vm" | "pi"): void {
  if (process.platform !== "linux") throw new Unavailable(`it needs Linux, this is ${process.platform}`);
  const missing = [...NEEDED.both, ...NEEDED[kind]].filter((name) => !hasProgram(name));
  if (missing.length > 0)
    throw new Unavailable(
      `not installed: ${missing.join(", ")}; as root, \`node .ci/setup.mjs machine\` installs them`,
    );
}
