import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import koffi from "koffi";
import { openDisk } from "../../src/disk/disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { sleep } from "../../src/operator/client.ts";
import type { Random } from "../sim/random.ts";
import type { FromFarEnd, ToFarEnd } from "./far-end.ts";
import { type Heard, judge } from "./records.ts";
import { openServiceManager, type ServiceManager } from "./service-manager.ts";

/** One round: a controller with many far ends, made to suffer, then its journal compared with what was said. */

const ROOT = join(import.meta.dirname, "../..");
const QUIET_MS = 700;

export interface RoundOptions {
  readonly ports: number;
  readonly baudRate: number;
  /** Whether terminals outlive the controller, as with systemd's file-descriptor store. */
  readonly store: boolean;
  readonly seed: number;
}

export interface Figures {
  kills: number;
  sent: number;
  held: number;
  /** Lost and declared, by cause of the gap. */
  declared: Record<string, number>;
  /** What the far ends saw of it: nobody had the port open, the kernel's buffer was full, the cable was out. */
  lost: { closed: number; full: number; unplugged: number };
  gaps: number;
  undeclared: number;
  duplicates: number;
  problems: string[];
}

export const noFigures = (): Figures => ({
  ...{ kills: 0, sent: 0, held: 0, declared: {}, lost: { closed: 0, full: 0, unplugged: 0 }, gaps: 0 },
  ...{ undeclared: 0, duplicates: 0, problems: [] },
});

export interface Suffering {
  readonly random: Random;
  readonly ports: number;
  readonly data: string;
  readonly manager: ServiceManager;
  tell(message: ToFarEnd): Promise<FromFarEnd>;
  /** Kills it, and starts it again after a while. */
  kill(signal: "SIGKILL" | "SIGTERM", awayMs: number): Promise<void>;
}

/** @param prepare makes the data folder, and says how to be rid of it. */
export async function round(
  options: RoundOptions,
  random: Random,
  suffer: (world: Suffering) => Promise<void>,
  prepare: (data: string) => () => void = () => () => undefined,
): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-torture-"));
  const data = join(folder, "data");
  const figures = noFigures();
  const farEnd = fork(join(ROOT, "test/run.mjs"), ["./torture/far-end.ts"], { cwd: ROOT });
  const tell = (message: ToFarEnd) => ask(farEnd, message);
  let manager: ServiceManager | null = null;
  const undo = prepare(data);
  try {
    const opened = await tell({ type: "open", ports: options.ports, baudRate: options.baudRate });
    writeFileSync(join(folder, "site.yaml"), siteYaml(opened.type === "opened" ? opened.paths : [], options.baudRate));
    const command = ["node", join(ROOT, "dist/src/towpath.mjs"), "controller", "--config", join(folder, "site.yaml")];
    manager = openServiceManager(join(folder, "notify"), options.store, join(folder, "log"), command);
    const running = manager;
    await running.start();
    const ready = await tell({ type: "wait-raw" });
    if (ready.type !== "done" || !ready.ok) throw new Error("some ports were never opened");
    await tell({ type: "talk" });
    await suffer({
      ...{ random, ports: options.ports, data, manager: running, tell },
      async kill(signal, awayMs) {
        running.signal(signal);
        await running.ended();
        if (signal === "SIGKILL") figures.kills++;
        await sleep(awayMs);
        await running.start();
      },
    });
    const hushed = await tell({ type: "hush" });
    await sleep(QUIET_MS);
    running.signal("SIGTERM");
    await running.ended();
    if (hushed.type === "hushed") compare(data, hushed, figures);
  } catch (error) {
    figures.problems.push(`${String(error)}\n${tail(join(folder, "log"))}`);
  } finally {
    manager?.close();
    farEnd.disconnect();
    await sleep(100);
    undo();
    rmSync(folder, { recursive: true, force: true });
  }
  return figures;
}

function siteYaml(paths: readonly string[], baudRate: number): string {
  const consoles = paths.map((path, index) => `  ${nameOf(index)}: { port: { path: ${path} }, baudRate: ${baudRate} }`);
  return `site: one\nfleet: acme\ndata: data\nboard: sim\njournal: { capture: 64MB, ledger: 4MB }\nconsoles:\n${consoles.join("\n")}\n`;
}

const nameOf = (index: number) => `p${String(index + 1).padStart(2, "0")}`;

function compare(data: string, { said, lost }: Extract<FromFarEnd, { type: "hushed" }>, figures: Figures): void {
  const disk = openDisk(join(data, "journal"), "read");
  const store = new JournalStore(disk, { captureBytes: 0, ledgerBytes: 0 });
  for (const [index, sent] of said.entries()) {
    const heard = heardOf(store, `${nameOf(index)}/rx`, figures);
    const verdict = judge(index + 1, sent, heard);
    figures.sent += sent;
    figures.held += verdict.held;
    figures.undeclared += verdict.undeclared;
    figures.duplicates += verdict.duplicates;
    figures.problems.push(...verdict.problems);
    for (const [cause, bytes] of Object.entries(verdict.declared))
      figures.declared[cause] = (figures.declared[cause] ?? 0) + bytes;
  }
  figures.lost = lost;
  disk.close();
}

/** A track, cut at its gaps. Offsets must go on without a hole or an overlap that no gap explains. */
function heardOf(store: JournalStore, track: string, figures: Figures): Heard {
  const range = store.readCapture(track, null, 0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  if (range === null) return { pieces: [] };
  if (range.first > 0) figures.problems.push(`${track}: the ring was too small for this round`);
  const cuts = [...range.gaps].sort((a, b) => a.offset - b.offset);
  figures.gaps += cuts.length;
  const pieces: { cause: string | null; data: Buffer }[] = [];
  let next = 0;
  let open: Buffer[] = [];
  let cause: string | null = null;
  const close = (): void => {
    if (open.length > 0 || cause !== null) pieces.push({ cause, data: Buffer.concat(open) });
    open = [];
  };
  const cutUpTo = (offset: number): void => {
    for (let gap = cuts[0]; gap !== undefined && gap.offset <= offset; gap = cuts[0]) {
      cuts.shift();
      close();
      cause = gap.cause;
      next += gap.length ?? 0;
    }
  };
  for (const piece of range.pieces) {
    cutUpTo(piece.offset);
    if (piece.offset !== next) figures.problems.push(`${track}: offset ${piece.offset} after ${next}`);
    if (piece.offset < next) figures.duplicates += next - piece.offset;
    open.push(Buffer.from(piece.data));
    next = piece.offset + piece.data.length;
  }
  cutUpTo(Number.MAX_SAFE_INTEGER);
  close();
  return { pieces };
}

function ask(farEnd: ChildProcess, message: ToFarEnd): Promise<FromFarEnd> {
  return new Promise((resolve, reject) => {
    const died = (): void => reject(new Error("the process that plays the far ends ended"));
    farEnd.once("exit", died);
    farEnd.once("message", (reply: FromFarEnd) => {
      farEnd.off("exit", died);
      resolve(reply);
    });
    farEnd.send(message);
  });
}

function tail(log: string): string {
  try {
    return readFileSync(log, "utf8").split("\n").slice(-15).join("\n");
  } catch {
    return "";
  }
}

const CLONE_NEWNS = 0x0002_0000;

/** What is mounted from now on is seen by this process and its children alone, and goes with them, however they end. */
function keepMountsToOurselves(): boolean {
  const unshare = koffi.load("libc.so.6").func("int unshare(int flags)");
  if (unshare(CLONE_NEWNS) !== 0) return false;
  execFileSync("mount", ["--make-rprivate", "/"]);
  return true;
}

/** A small file system of its own for the data folder; null where this user may not mount. */
export function smallDisk(sizeBytes: number): ((data: string) => () => void) | null {
  if (process.getuid?.() !== 0 || !keepMountsToOurselves()) return null;
  return (data) => {
    mkdirSync(data, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeBytes}`, "tmpfs", data]);
    return () => void execFileSync("umount", ["-l", data]);
  };
}
