import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Journal, openJournal } from "../../src/journal/journal.ts";
import type { CaptureItem } from "../../src/journal/store.ts";

/** A card that is really full, before the journal's first byte or later, and is freed again. Needs root for its mounts. */

export type Card = "tmpfs" | "ext4";

export interface Outcome {
  readonly problems: readonly string[];
  readonly sent: number;
  readonly held: number;
  readonly declared: number;
  /** What was told, in order: the states of the storage. */
  readonly storage: readonly string[];
  readonly notes: readonly string[];
}

const TRACK = "a/rx";
const MAX = Number.MAX_SAFE_INTEGER;
const QUOTA = { captureBytes: 8 * 1024 * 1024, ledgerBytes: 1024 * 1024 };
const CARD_MIB = { tmpfs: 64, ext4: 64 } as const;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Why it cannot be tried here, or null. */
export function impossible(): string | null {
  if (process.getuid?.() !== 0) return "mounting a card needs root";
  const folder = mkdtempSync(join(tmpdir(), "towpath-card-"));
  try {
    mount("ext4", folder).unmount();
    return null;
  } catch (error) {
    return `no card can be mounted here: ${String(error)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Mounted {
  readonly path: string;
  unmount(): void;
}

/** A small card of its own below the folder. */
export function mount(card: Card, folder: string, mebibytes: number = CARD_MIB[card]): Mounted {
  const path = join(folder, card);
  const image = join(folder, `${card}.img`);
  mkdirSync(path);
  if (card === "tmpfs") execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", path]);
  else {
    execFileSync("truncate", ["-s", `${mebibytes}M`, image]);
    execFileSync("mkfs.ext4", ["-q", "-F", image]);
    execFileSync("mount", ["-o", "loop,noatime", image, path]);
  }
  return {
    path,
    unmount() {
      execFileSync("umount", [path]);
      rmSync(image, { force: true });
    },
  };
}

/** Takes all that is left, to the last block. */
function fill(path: string): string {
  const filler = join(path, "filler");
  try {
    execFileSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k"], { stdio: "ignore" });
  } catch {
    // It ends when the card is full: that is what it is for.
  }
  return filler;
}

export async function fullCard(card: Card, from: "the start" | "later"): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-card-"));
  const mounted = mount(card, folder);
  try {
    return await story(mounted.path, from);
  } finally {
    mounted.unmount();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function story(path: string, from: "the start" | "later"): Promise<Outcome> {
  const storage: string[] = [];
  const notes: string[] = [];
  let lost: Error | null = null;
  const finished = new Map<number, boolean>();
  const open = (): Promise<Journal> =>
    openJournal(
      { folder: join(path, "journal"), ...QUOTA, tracks: [TRACK] },
      {
        onFinished: (token, ok) => void finished.set(token, ok),
        onStorage: (state) => void storage.push(state),
        onNote: (code) => void notes.push(code),
        onLost: (error) => {
          lost = error;
        },
      },
    );
  if (from === "the start") fill(path);
  const journal = await open();
  const source = new Source(journal);
  await source.talk(1_000);
  if (from === "later") fill(path);
  await source.talk(5_000);
  rmSync(join(path, "filler"), { force: true });
  await source.talk(3_000);
  const decided = await source.decide(finished);
  await journal.close();
  const again = await open();
  const problems = [
    ...(lost === null ? [] : [`the worker died: ${String(lost)}`]),
    ...(decided ? [] : ["a decision after the card was freed was not recorded"]),
    ...(storage.at(-1) === "degraded" ? ["the storage stayed degraded"] : []),
    ...(from === "the start" && storage[0] !== "degraded" ? ["nobody was told that the card is full"] : []),
  ];
  const counted = await source.count(again);
  await again.close();
  return { ...counted, problems: [...problems, ...counted.problems], storage, notes };
}

/** A console that counts, so that a byte at a wrong place shows; 400 kB/s. */
class Source {
  private readonly journal: Journal;
  private offset = 0;
  private seq = 0;

  constructor(journal: Journal) {
    this.journal = journal;
  }

  async talk(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      const data = numbers(this.offset, 8_000);
      const item: CaptureItem = { track: TRACK, boot: 1, offset: this.offset, monoMs: this.offset, content: { data } };
      this.journal.appendCapture([item], false, this.offset);
      this.offset += data.length;
      this.append(null);
      await pause(20);
    }
  }

  private append(token: number | null): void {
    const seq = ++this.seq;
    const lines = [{ seq, boot: 1, mono: seq, json: JSON.stringify({ seq }) }];
    this.journal.appendLedger(lines, JSON.stringify({ seq }), token !== null, token);
  }

  async decide(finished: ReadonlyMap<number, boolean>): Promise<boolean> {
    this.append(1);
    for (let tries = 0; tries < 100 && !finished.has(1); tries++) await pause(20);
    return finished.get(1) === true;
  }

  async count(journal: Journal): Promise<Pick<Outcome, "sent" | "held" | "declared" | "problems">> {
    const range = await journal.readCapture(TRACK, 1, 0, MAX, MAX);
    const problems: string[] = [];
    let held = 0;
    for (const { offset, data } of range?.pieces ?? []) {
      held += data.length;
      if (Buffer.compare(data, numbers(offset, data.length)) !== 0) problems.push(`wrong bytes at ${offset}`);
    }
    const gaps = (range?.gaps ?? []).reduce((sum, { length }) => sum + (length ?? 0), 0);
    // What the quota pushed out is known by the first offset that is still there.
    const declared = gaps + (range?.first ?? 0);
    if (held + declared !== this.offset) problems.push(`sent ${this.offset}, held ${held}, declared ${declared}`);
    const records = await journal.readLedger(0, MAX, MAX);
    if (records.length !== this.seq) problems.push(`${records.length} of ${this.seq} ledger records`);
    return { sent: this.offset, held, declared, problems };
  }
}

function numbers(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (Math.imul(offset + at, 0x9e3779b1) >>> 24) & 0xff);
}
