import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openFdStore } from "../../src/linux/fd-store.ts";

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "towpath-store-"));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

/** systemd's side of it: takes datagrams, and reads the file behind each descriptor that comes along. */
const RECEIVER = `
import socket, sys, os, json
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("bound", flush=True)
for _ in range(int(sys.argv[2])):
    data, fds, _, _ = socket.recv_fds(s, 4096, 8)
    print(json.dumps([data.decode(), [os.pread(fd, 100, 0).decode() for fd in fds]]), flush=True)
`;

async function received(messages: number, tell: (env: NodeJS.ProcessEnv) => void): Promise<unknown[]> {
  const socket = join(folder(), "notify");
  const receiver = spawn("python3", ["-c", RECEIVER, socket, String(messages)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void receiver.kill());
  let out = "";
  await new Promise<void>((resolve, reject) => {
    receiver.once("error", reject);
    receiver.once("close", () => resolve());
    receiver.stdout.on("data", (bytes: Buffer) => {
      if (out === "") tell({ NOTIFY_SOCKET: socket });
      out += bytes.toString();
    });
  });
  return out
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => JSON.parse(line));
}

describe("the file-descriptor store", () => {
  it("hands a descriptor over by name, and takes it back by name", async () => {
    const file = join(folder(), "kept");
    writeFileSync(file, "the same file");
    const messages = await received(2, (env) => {
      const store = openFdStore(env);
      const fd = openSync(file, "r");
      expect(store.available).toBe(true);
      expect(store.put("line.chip.GPIO17", fd)).toBe(true);
      closeSync(fd);
      store.remove("line.chip.GPIO17");
    });
    expect(messages).toEqual([
      ["FDSTORE=1\nFDNAME=line.chip.GPIO17", ["the same file"]],
      ["FDSTOREREMOVE=1\nFDNAME=line.chip.GPIO17", []],
    ]);
  });

  it("gives each kept descriptor out once, says what nobody took, and clears systemd's variables", () => {
    const file = join(folder(), "kept");
    writeFileSync(file, "kept");
    const program = `
      import { openFdStore } from "${join(import.meta.dirname, "../../src/linux/fd-store.ts")}";
      import { readFileSync } from "node:fs";
      const store = openFdStore();
      const fd = store.take("a");
      console.log(JSON.stringify([readFileSync(fd, "utf8"), store.take("a") === null, store.left(), Object.keys(process.env).filter((name) => name.startsWith("LISTEN_")), store.available]));
    `;
    const script = join(folder(), "take.ts");
    writeFileSync(script, program);
    const shell = `exec 3<"${file}" 4<"${file}"; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec node --import tsx "$0"`;
    const out = execFileSync("bash", ["-c", shell, script], { cwd: join(import.meta.dirname, "../..") });
    expect(JSON.parse(out.toString())).toEqual(["kept", true, ["b"], [], false]);
  });

  it("is not there without systemd, and for a program that the descriptors were not meant for", () => {
    const store = openFdStore({ LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "a" });
    expect([store.available, store.take("a"), store.put("a", 0), store.left()]).toEqual([false, null, false, []]);
  });
});
