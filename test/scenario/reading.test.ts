import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openDisk } from "../../src/disk/disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { openSocket, type Socket } from "../pty.ts";
import { slowLink } from "./slow-link.ts";
import {
  makeSite,
  type Ran,
  type Running,
  run,
  start,
  startController,
  startMosquitto,
  TOWPATH,
  temporaryFolder,
  towpath,
  until,
} from "./world.ts";

/** What an operator reads of a site: over a broker, a thin line, from a card, from a collector's folder. */

const OLD_BOOT = 1_234_567;
/** When the old boot began. */
const OLD_ZERO = Date.UTC(2026, 9, 1, 12);
const at = (seconds: number) => new Date(OLD_ZERO + seconds * 1_000).toISOString();

/** One numbered line a second; letters that hardly compress, so that a thin line is really filled. */
function oldLines(count: number): string[] {
  let seed = 7;
  return Array.from({ length: count }, (_, index) => {
    const noise = Array.from({ length: 80 }, () => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return String.fromCharCode(33 + ((seed >>> 16) % 90));
    }).join("");
    return `line ${String(index).padStart(6, "0")} ${noise}`;
  });
}

/** Writes into a site's journal, before it starts, what it would have after another boot of its machine. */
function writeOldBoot(data: string, lines: readonly string[]): string {
  mkdirSync(join(data, "journal"), { recursive: true });
  const store = new JournalStore(openDisk(join(data, "journal"), "write"), {
    captureBytes: 8e6,
    ledgerBytes: 2e6,
  });
  const records = [
    { seq: 1, boot: OLD_BOOT, mono: 0, kind: "start", start: 1, version: "0.0.1" },
    { seq: 2, boot: OLD_BOOT, mono: 1, kind: "clock", wall: OLD_ZERO + 1, trust: "ntp" },
    { seq: 3, boot: OLD_BOOT, mono: 60_000, kind: "console", console: "router1", state: "up", code: null, detail: "" },
  ];
  store.appendLedger(
    records.map((record) => ({ seq: record.seq, boot: OLD_BOOT, mono: record.mono, json: JSON.stringify(record) })),
    "",
  );
  let offset = 0;
  for (const [second, line] of lines.entries()) {
    const data = Buffer.from(`${line}\r\n`);
    store.appendCapture([{ track: "router1/rx", boot: OLD_BOOT, offset, monoMs: second * 1_000, content: { data } }]);
    offset += data.length;
  }
  const gap = { cause: "replug", length: null } as const;
  const monoMs = lines.length * 1_000;
  store.appendCapture([{ track: "router1/rx", boot: OLD_BOOT, offset, monoMs, content: { gap } }]);
  store.sync("capture");
  store.sync("ledger");
  return `${lines.join("\n")}\n`;
}

interface ReadSite {
  readonly socket: Socket;
  readonly controller: Running;
  readonly data: string;
  readonly config: string;
  readonly port: number;
  /** All of it as text. */
  readonly old: string;
  readonly flags: (port: number) => string[];
  readonly read: (args: readonly string[]) => Promise<Ran>;
}

async function startSite(lines: number): Promise<ReadSite> {
  const folder = temporaryFolder();
  const { port } = await startMosquitto(folder, null);
  const socket = openSocket();
  onTestFinished(() => socket.end());
  const site = await makeSite(folder, {
    link: `link: { brokers: [ "mqtt://127.0.0.1:${port}" ] }`,
    yaml: `consoles:\n  router1: { port: { path: ${socket.path} }, baudRate: 115200 }\n  spare: { port: { path: ${socket.path}-not-there } }\n`,
  });
  const old = writeOldBoot(site.data, oldLines(lines));
  const controller = await startController(site.config);
  await until(() => /"console":"router1","state":"up"/.test(controller.log()), 10_000, controller.log);
  await until(() => /"connection":"primary","state":"up"/.test(controller.log()));
  const flags = (to: number) => [
    ...["--broker", `mqtt://127.0.0.1:${to}`, "--fleet", "acme"],
    ...["--identity", site.identity, "--trust", site.trust],
  ];
  const read = (args: readonly string[]) => towpath([...args, ...flags(port)]);
  return { socket, controller, data: site.data, config: site.config, port, old, flags, read };
}

const boots = (text: string) => text.split("\n").map((line) => line.replace(/^line (\d+).*/, "$1"));

describe("reading a site", () => {
  it("log shows boots in order with their times, ranges of time, searches and casts; events likewise; the card the same", async () => {
    const site = await startSite(120);
    site.socket.pty().say("now \u001b[31mpanic\u001b[0m: here\r\nlogin: ");
    const log = (...args: string[]) => site.read(["log", "one/router1", ...args]);
    await until(async () => (await log()).out.includes("login: "), 20_000);

    const all = await log("--all");
    expect(all).toMatchObject({ code: 0, out: `${site.old}now \\x1b[31mpanic\\x1b[0m: here\nlogin: \n` });
    const restarted = /restarted: what follows was said in boot (\d+)/.exec(all.err);
    expect(all.err).toContain(`gap: text may be missing (replug: the adapter was unplugged or lost)`);
    expect(restarted).not.toBeNull();
    const raw = await log("--all", "--raw");
    expect(raw.out).toBe(`${site.old.replaceAll("\n", "\r\n")}now \u001b[31mpanic\u001b[0m: here\r\nlogin: `);

    // 120 lines of 93 bytes are less than 16 KiB; of a longer text the tail begins with a whole line.
    expect((await log()).out).toBe(all.out);
    const between = await log("--since", at(10), "--until", at(13), "--timestamps");
    expect(boots(between.out.replaceAll(/^\S+ /gm, ""))).toEqual(["000010", "000011", "000012", ""]);
    expect(between.out).toMatch(/^2026-10-01T12:00:10\.000Z line 000010/);
    const first = JSON.parse((await log("--since", at(10), "--until", at(11), "--json")).out);
    expect(first).toMatchObject({ t: at(10), boot: OLD_BOOT, text: expect.stringContaining("line 000010") });
    expect((await log("--since", "1h")).out).toBe("now \\x1b[31mpanic\\x1b[0m: here\nlogin: \n");
    expect((await log("--since", at(500), "--until", at(501))).err).toMatch(
      /nothing was said in that time; the newest text is of \d{4}-/,
    );

    const found = await log("--all", "--grep", "now panic:|line 00001[01]");
    expect(boots(found.out)).toEqual(["000010", "000011", "now \\x1b[31mpanic\\x1b[0m: here", ""]);
    expect(await log("--grep", "nowhere")).toMatchObject({ code: 0, out: "", err: expect.stringContaining("none of") });
    expect(await log("--grep", "(a+")).toMatchObject({ code: 2, err: expect.stringContaining("at character 1") });
    expect(await log("--since", "then")).toMatchObject({ code: 2, err: expect.stringContaining("30m, 2h or 3d") });
    expect(await site.read(["log", "one/nobody"])).toMatchObject({
      code: 3,
      err: expect.stringContaining("console.unknown"),
    });
    expect(await site.read(["log", "one/spare"])).toMatchObject({
      code: 0,
      out: "",
      err: expect.stringContaining("said nothing yet"),
    });
    const events = async (...args: string[]) => (await site.read(["events", "one", ...args])).out;
    expect(await events("--since", at(0), "--until", at(30))).toBe(
      `${at(0)} #1 start start=1 version=0.0.1\n${at(0.001)} #2 clock wall=${OLD_ZERO + 1} trust=ntp\n`,
    );
    expect(await events("--all", "--grep", "console=ROUTER1 .*up", "-i", "--until", at(100))).toContain("#3 console");
    const doc = JSON.parse(await events("--since", at(30), "--json"));
    expect(doc.ok).toBe(true);
    expect(doc.events[0].seq).toBe(3);
    expect(doc.events.map(({ seq }: { seq: number }) => seq)).toEqual(
      doc.events.map((_: unknown, index: number) => index + 3),
    );
    expect((await events("--last", "2")).trim().split("\n")).toHaveLength(2);

    site.controller.child.kill("SIGKILL");
    await site.controller.ended;
    const dead = await log("--all");
    expect(dead).toMatchObject({ code: 5, err: expect.stringContaining("last known") });
    const card = await towpath(["log", "--data", site.data, "router1", "--all"]);
    expect(card.out).toBe(all.out);
    const cardRange = ["--since", at(10), "--until", at(13), "--timestamps"];
    expect((await towpath(["log", "--data", site.data, "router1", ...cardRange])).out).toBe(between.out);
    expect(await towpath(["log", "--data", site.data, "nobody"])).toMatchObject({ code: 3 });
    expect((await towpath(["events", "--data", site.data, "--until", at(30)])).out).toContain("#2 clock");
  });

  it("the tail of a longer text begins with a whole line", async () => {
    const site = await startSite(1_000);
    const { out } = await site.read(["log", "one/router1"]);
    const lines = out.trimEnd().split("\n");
    expect(lines.length).toBeGreaterThan(150);
    expect(site.old.endsWith(out)).toBe(true);
    expect(lines[0]).toMatch(/^line \d{6} /);
  });

  it("a cast plays in asciinema, with the text and the pauses", async () => {
    const site = await startSite(40);
    const file = join(temporaryFolder(), "old.cast");
    const cast = await site.read(["log", "one/router1", "--since", at(30), "--until", at(35), "--cast", file]);
    expect(cast).toMatchObject({ code: 0, out: "", err: expect.stringContaining("plays 4 s") });
    const [header, ...events] = readFileSync(file, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(header).toMatchObject({ version: 2, title: "one/router1", timestamp: OLD_ZERO / 1_000 + 30 });
    expect(events.map(([seconds]: [number]) => seconds)).toEqual([0, 1, 2, 3, 4]);
    expect(await site.read(["log", "one/router1", "--cast", file])).toMatchObject({ code: 2 });
    if (spawnSync("asciinema", ["--version"]).error !== undefined) {
      process.stderr.write("NOT TRIED: asciinema is not installed, no player has opened the cast\n");
      return;
    }
    const began = Date.now();
    const env = { PATH: process.env.PATH ?? "", LANG: "C.UTF-8", HOME: temporaryFolder() };
    const played = await run("bash", ["-c", `asciinema play ${file} < <(sleep 10)`], { env });
    expect(played.out).toContain(events.map(([, , text]: [number, string, string]) => text).join(""));
    expect(Date.now() - began).toBeGreaterThan(3_900);
  });
});

describe("a long text over a thin line", () => {
  let lines = 0;
  beforeAll(() => {
    lines = 10_000;
  });

  it("shows how far it is on a terminal only; Ctrl-C leaves whole lines and says how to go on; nothing is lost or twice", async () => {
    const site = await startSite(lines);
    const { port } = await slowLink(site.port, 200_000);
    const reading = start("node", [TOWPATH, "log", "one/router1", "--all", ...site.flags(port)]);
    onTestFinished(() => void reading.child.kill("SIGKILL"));
    let out = "";
    let err = "";
    reading.child.stdout?.on("data", (bytes: Buffer) => {
      out += bytes;
    });
    reading.child.stderr?.on("data", (bytes: Buffer) => {
      err += bytes;
    });
    await until(() => out.length > 150_000, 30_000);
    expect(err).not.toContain("KiB/s");
    reading.child.kill("SIGINT");
    expect(await reading.ended).toBe(4);
    expect(out.endsWith("\n")).toBe(true);
    expect(site.old.startsWith(out)).toBe(true);
    expect(out.length).toBeLessThan(site.old.length);
    const from = /--from (\d+\/\d+)/.exec(err)?.[1] ?? "";
    const rest = await site.read(["log", "one/router1", "--from", from]);
    expect(rest.code).toBe(0);
    expect((out + rest.out).startsWith(site.old)).toBe(true);
    expect((out + rest.out).split("line 009999 ")).toHaveLength(2);

    const command = ["node", TOWPATH, "log", "one/router1", "--all", ...site.flags(port)].join(" ");
    const shown = await run("script", ["-qefc", `${command} > ${join(site.data, "out.log")}`, "/dev/null"], {
      limitMs: 60_000,
    });
    expect(shown.out).toMatch(/one\/router1: [\d.]+ KiB of 9\d\d\.\d KiB, [\d.]+ KiB\/s, \d+ s to go/);
    expect(readFileSync(join(site.data, "out.log"), "utf8").startsWith(site.old)).toBe(true);
  });

  it("a line that is cut in the middle is waited for, and the text is whole", async () => {
    const site = await startSite(lines);
    const link = await slowLink(site.port, 250_000);
    const reading = start("node", [TOWPATH, "log", "one/router1", "--all", ...site.flags(link.port)]);
    onTestFinished(() => void reading.child.kill("SIGKILL"));
    let out = "";
    reading.child.stdout?.on("data", (bytes: Buffer) => {
      out += bytes;
    });
    await until(() => out.length > 100_000, 30_000);
    link.cut();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    link.mend();
    expect(await reading.ended, reading.log().slice(-500)).toBe(0);
    expect(out.startsWith(site.old)).toBe(true);
  });

  it("`| head` ends it quietly, and a reader that waits is waited for", async () => {
    const site = await startSite(lines);
    const command = ["node", TOWPATH, "log", "one/router1", "--all", ...site.flags(site.port)].join(" ");
    const headed = await run("bash", ["-c", `${command} | head -2; echo \${PIPESTATUS[0]}`], { limitMs: 30_000 });
    expect(headed.out.split("\n")).toEqual([...site.old.split("\n").slice(0, 2), "0", ""]);
    expect(headed.err.trim().split("\n")).toEqual([expect.stringMatching(/^unverified: no key/)]);
    const waited = await run("bash", ["-c", `${command} --raw | (sleep 2; md5sum)`], { limitMs: 60_000 });
    const direct = await run("bash", ["-c", `${command} --raw | md5sum`], { limitMs: 60_000 });
    expect(waited.out).toBe(direct.out);
  });
});

describe("following", () => {
  it("goes on over a lost link, a killed controller and a pulled cable, with each byte once", async () => {
    const site = await startSite(1);
    const link = await slowLink(site.port, 1_000_000);
    const following = start("node", [TOWPATH, "log", "one/router1", "--follow", ...site.flags(link.port)]);
    const events = start("node", [TOWPATH, "events", "one", "--follow", "--json", ...site.flags(link.port)]);
    onTestFinished(() => void following.child.kill("SIGKILL"));
    onTestFinished(() => void events.child.kill("SIGKILL"));
    await until(() => following.log().includes("line 000000"), 20_000, following.log);
    await until(() => events.log().includes('"state":"up"'), 20_000, events.log);
    const heard = (text: string) => until(() => following.log().includes(text), 45_000, following.log);
    site.socket.pty().say("before\r\n");
    await heard("before");
    link.cut();
    site.socket.pty().say("while the link is away\r\n");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    link.mend();
    await heard("while the link is away");
    site.controller.child.kill("SIGKILL");
    await site.controller.ended;
    const again = await startController(site.config);
    await until(() => /"console":"router1","state":"up"/.test(again.log()), 10_000, again.log);
    site.socket.pty().say("after the crash\r\n");
    await heard("after the crash");
    site.socket.unplug();
    await until(() => /"console":"router1","state":"down"/.test(again.log()), 10_000, again.log);
    site.socket.plug();
    await until(() => [...again.log().matchAll(/"console":"router1","state":"up"/g)].length === 2, 10_000, again.log);
    site.socket.pty().say("plugged in again\r\n");
    await heard("plugged in again");
    following.child.kill("SIGINT");
    events.child.kill("SIGINT");
    expect(await following.ended).toBe(0);
    expect(await events.ended).toBe(0);
    const text = following
      .log()
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("-- "));
    expect(text.slice(text[0]?.startsWith("unverified") ? 1 : 0).map((line) => line.slice(0, 24))).toEqual([
      expect.stringContaining("line 000000"),
      "before",
      "while the link is away",
      "after the crash",
      "plugged in again",
    ]);
    const notes = following
      .log()
      .split("\n")
      .filter((line) => line.startsWith("-- "));
    expect(notes.some((line) => line.includes("gap: "))).toBe(true);
    // A crash leaves one on each side of what the kernel kept; where it kept nothing, both are at one place.
    const once = notes.filter((line) => !line.includes("crash"));
    expect(new Set(once).size, following.log()).toBe(once.length);
    expect(notes.length).toBeLessThanOrEqual(once.length + 2);
    const seqs = events
      .log()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line).seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
    expect(events.log()).toContain('"state":"down"');
  });
});

describe("a collector's folder", () => {
  it("is read with the same words, also while it grows", async () => {
    const dir = temporaryFolder();
    const folder = join(dir, "acme/one/router1.rx");
    mkdirSync(folder, { recursive: true });
    const clock = { seq: 1, boot: 5, mono: 0, kind: "clock", wall: OLD_ZERO, trust: "ntp" };
    appendFileSync(join(dir, "acme/one/events.jsonl"), `${JSON.stringify(clock)}\n`);
    let position = 0;
    const store = (day: string, offset: number, text: string, mono: number): void => {
      if (!existsSync(join(folder, `${day}.log`))) position = 0;
      appendFileSync(join(folder, `${day}.log`), text);
      const entry = { at: position, n: text.length, boot: 5, offset, mono, wall: null, heard: 0, marks: [] };
      appendFileSync(join(folder, `${day}.idx`), `${JSON.stringify(entry)}\n`);
      position += text.length;
    };
    store("2026-10-01", 0, "one\r\n", 1_000);
    store("2026-10-02", 5, "two \u001b[1mpanic\r\n", 90_000);
    const read = (...args: string[]) => towpath(["log", "--dir", dir, "acme/one/router1", ...args]);
    expect(await read()).toMatchObject({ code: 0, out: "one\ntwo \\x1b[1mpanic\n", err: "" });
    expect((await read("--since", at(60), "--timestamps")).out).toBe(`${at(90)} two \\x1b[1mpanic\n`);
    expect((await read("--grep", "two panic", "--json")).out).toContain('"offset":5');
    expect(await towpath(["log", "--dir", dir, "one/nobody"])).toMatchObject({
      code: 3,
      err: expect.stringContaining("the folder has router1"),
    });
    expect(await towpath(["log", "--dir", dir, "two/router1"])).toMatchObject({
      code: 2,
      err: expect.stringContaining("acme/one"),
    });
    expect((await towpath(["events", "--dir", dir, "one"])).out).toBe(`${at(0)} #1 clock wall=${OLD_ZERO} trust=ntp\n`);
    store("2026-10-02", 20, `${"a".repeat(60)}b\r\n`, 95_000);
    const full = await run("bash", ["-c", `node ${TOWPATH} log --dir ${dir} one/router1 > /dev/full`]);
    expect(full).toMatchObject({ code: 4, err: expect.stringContaining("ENOSPC") });
    const costly = await read("--grep", "(a+)+$");
    expect(costly).toMatchObject({ code: 2, err: expect.stringContaining("over 1 s on one line") });
    expect(costly.err).toContain("go on with --from 5/");
    const following = start("node", [TOWPATH, "log", "--dir", dir, "one/router1", "--follow"]);
    onTestFinished(() => void following.child.kill("SIGKILL"));
    await until(() => following.log().includes("panic"));
    store("2026-10-03", 83, "three\r\n", 100_000);
    await until(() => following.log().includes("three"));
    following.child.kill("SIGINT");
    expect(await following.ended).toBe(0);
    expect(following.log()).toBe(`one\ntwo \\x1b[1mpanic\n${"a".repeat(60)}b\nthree\n`);
  });
});
