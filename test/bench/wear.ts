import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openJournal } from "../../src/journal/journal.ts";
import { sleep } from "../../src/operator/client.ts";
import { seeded } from "../sim/random.ts";
import { impossible, mount } from "../torture/full-card.ts";
import { type Outcome, rounded } from "./report.ts";
import { installed, withScratch } from "./scratch.ts";

/**
 * What a quiet site costs a card: bytes that the device writes for each byte that a console said, each contender on a
 * card of its own, at the same time and in real time: the file system writes by its own clock too.
 */

const CONSOLES = 48;
const LINE_BYTES = 80;
const LINE_EVERY_MS = 10_000;
const SYNC_EVERY_MS = 5_000;
const SETTLE_MS = 12_000;
const MEASURED_MS = 120_000;
const CARD_MIB = 128;
const GOAL = 10;

interface Writer {
  line(console: number, text: string): void;
  /** Called each 5 s; the journal keeps its own time. */
  sync(): void;
  close(): Promise<void>;
}

interface Contender {
  readonly name: string;
  open(folder: string): Promise<Writer>;
}

async function towpath(folder: string): Promise<Writer> {
  const quota = { captureBytes: 16e6, ledgerBytes: 1e6, tracks: [] };
  const fail = (error: Error): never => {
    throw error;
  };
  const events = { onFinished: () => undefined, onStorage: () => undefined, onLost: fail };
  const journal = await openJournal({ folder: join(folder, "journal"), ...quota }, events);
  const offsets = new Map<number, number>();
  return {
    line(index, text) {
      const data = Buffer.from(text);
      const offset = offsets.get(index) ?? 0;
      const monoMs = performance.now();
      const item = { track: `c${index}/rx`, boot: 1, offset, monoMs, content: { data } };
      journal.appendCapture([item], false, monoMs);
      offsets.set(index, offset + data.length);
    },
    sync: () => undefined,
    close: () => journal.close(),
  };
}

async function plainAppend(folder: string): Promise<Writer> {
  const fd = openSync(join(folder, "append.log"), "a");
  return {
    line: (index, text) => void writeSync(fd, `${index} ${text}`),
    sync: () => fdatasyncSync(fd),
    close: async () => closeSync(fd),
  };
}

const PYTHON_SQLITE = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("pragma synchronous=full")
db.execute("create table line (at integer primary key, console integer, text blob)")
for batch in sys.stdin:
    db.execute("begin")
    db.executemany("insert into line (console, text) values (?, ?)", json.loads(batch))
    db.execute("commit")
`;

/** As a program would use it: one transaction for each 5 s, synced when it ends. */
async function sqlite(folder: string): Promise<Writer> {
  const child: ChildProcess = spawn("python3", ["-c", PYTHON_SQLITE, join(folder, "lines.db")], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  let batch: [number, string][] = [];
  return {
    line: (index, text) => void batch.push([index, text]),
    sync() {
      child.stdin?.write(`${JSON.stringify(batch)}\n`);
      batch = [];
    },
    close: () =>
      new Promise((resolve) => {
        child.once("exit", () => resolve());
        child.stdin?.end();
      }),
  };
}

const CONTENDERS: readonly Contender[] = [
  { name: "towpath", open: towpath },
  { name: "one file, append + fdatasync", open: plainAppend },
  ...(installed("python3") === null ? [] : [{ name: "SQLite, WAL, synchronous=FULL", open: sqlite }]),
];

/** What the 48 consoles say, evenly spread, until the time is over. Tells how many bytes. */
async function talk(writers: readonly Writer[], ms: number): Promise<number> {
  const random = seeded(1);
  const begun = performance.now();
  let lines = 0;
  let synced = 0;
  for (let at = 0; at < ms; at = performance.now() - begun) {
    while (lines * (LINE_EVERY_MS / CONSOLES) <= at) {
      const words = `%LINK-3-UPDOWN: Interface Gi0/${random.between(0, 48)} changed state to up, neighbour ${random.hex(9)}`;
      const text = `${words.slice(0, LINE_BYTES - 1).padEnd(LINE_BYTES - 1, ".")}\n`;
      for (const writer of writers) writer.line(lines % CONSOLES, text);
      lines++;
    }
    if (at >= (synced + 1) * SYNC_EVERY_MS) {
      synced++;
      for (const writer of writers) writer.sync();
    }
    await sleep(50);
  }
  return lines * LINE_BYTES;
}

interface Card {
  readonly path: string;
  readonly device: string;
  unmount(): void;
}

function cardFor(folder: string, index: number): Card {
  const own = join(folder, `card-${index}`);
  mkdirSync(own);
  const mounted = mount("ext4", own, CARD_MIB);
  const source = execFileSync("findmnt", ["-n", "-o", "SOURCE", mounted.path], { encoding: "utf8" }).trim();
  return { ...mounted, device: source.replace("/dev/", "") };
}

/** Field 7 of the block statistics: sectors of 512 bytes. */
function writtenBytes({ device, path }: Card): number {
  execFileSync("sync", ["-f", path]);
  return Number(readFileSync(`/sys/block/${device}/stat`, "utf8").trim().split(/\s+/)[6]) * 512;
}

async function measure(folder: string): Promise<{ said: number; written: number[] }> {
  const cards = CONTENDERS.map((_, index) => cardFor(folder, index));
  try {
    const writers = await Promise.all(CONTENDERS.map(({ open }, index) => open(cards[index]?.path ?? "")));
    await talk(writers, SETTLE_MS);
    const before = cards.map(writtenBytes);
    const said = await talk(writers, MEASURED_MS);
    const written = cards.map((card, index) => writtenBytes(card) - (before[index] ?? 0));
    await Promise.all(writers.map((writer) => writer.close()));
    return { said, written };
  } finally {
    for (const card of cards) card.unmount();
  }
}

export function benchWear(): Promise<Outcome> {
  const why = impossible();
  if (why !== null) {
    const table = { head: ["wear"], rows: [] };
    const figures = { leftOut: why };
    return Promise.resolve({ ok: true, table, notes: [`LEFT OUT: ${why}`], goals: [], figures });
  }
  return withScratch(async ({ folder }) => {
    const { said, written } = await measure(folder);
    const factors = written.map((bytes) => rounded(bytes / said, 2));
    const [ours = Number.NaN] = factors;
    const perDay = (bytes: number) => rounded((bytes / MEASURED_MS) * 86_400, 0);
    return {
      ok: true,
      table: {
        head: ["device bytes per console byte", "factor", "MB a day"],
        rows: CONTENDERS.map(({ name }, index) => [
          name,
          String(factors[index]),
          String(perDay(written[index] ?? 0) / 1e3),
        ]),
      },
      notes: [
        `${CONSOLES} consoles, a line of ${LINE_BYTES} bytes every ${LINE_EVERY_MS / 1e3} s each, synced every ${SYNC_EVERY_MS / 1e3} s; ${MEASURED_MS / 1e3} s in real time, ext4 with noatime on loop devices of their own.`,
        "Not counted: the first filling of a segment with zeros, once in the life of a ring.",
      ],
      goals: [{ what: `at most ${GOAL} device bytes per console byte: ${ours}`, met: ours <= GOAL }],
      figures: { saidBytes: said, factors: Object.fromEntries(CONTENDERS.map(({ name }, at) => [name, factors[at]])) },
    };
  });
}
