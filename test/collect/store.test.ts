import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventsStore } from "../../src/collect/events-store.ts";
import { decodeIndexLine } from "../../src/collect/index-line.ts";
import { TrackIntake } from "../../src/collect/intake.ts";
import { TrackStore } from "../../src/collect/track-store.ts";
import { encodeChunk } from "../../src/protocol/chunk.ts";
import { seeded } from "../sim/random.ts";
import { createFaultFolder, Died, type FaultFolder } from "./fault-folder.ts";

const PATH = "acme/one/router1.rx";
const DAY = Date.UTC(2026, 10, 23, 12);

const piece = (offset: number, text: string, boot = 7, mono = 1_000) => ({
  boot,
  offset,
  mono,
  wall: null,
  heard: DAY,
  marks: [],
  data: Buffer.from(text),
});

function textOf(folder: FaultFolder, suffix: string): string {
  return folder.paths
    .filter((path) => path.endsWith(suffix))
    .sort()
    .map((path) => Buffer.from(folder.text(path)).toString("latin1"))
    .join("");
}

describe("a console's files", () => {
  it("hold exactly the bytes, and the index says whose and when", async () => {
    const folder = createFaultFolder();
    const store = new TrackStore(folder, PATH);
    store.add(piece(0, "login: "));
    store.add({ ...piece(7, "root\r\n"), mono: 1_500 });
    store.add({ boot: 7, offset: 13, mono: 1_600, wall: null, heard: DAY, gap: { cause: "overrun", length: 4 } });
    store.add(piece(17, "#", 7, 1_700));
    expect(store.committedOf(7)).toBe(0);
    await store.commit(DAY);
    expect(store.committedOf(7)).toBe(18);
    expect(textOf(folder, "2026-11-23.log")).toBe("login: root\r\n#");
    const lines = textOf(folder, "2026-11-23.idx").trim().split("\n").map(decodeIndexLine);
    expect(lines).toMatchObject([
      { at: 0, n: 13, boot: 7, offset: 0, mono: 1_000, marks: [[7, 500]] },
      { at: 13, gap: { cause: "overrun", length: 4 }, offset: 13 },
      { at: 13, n: 1, offset: 17 },
    ]);
  });

  it("go on in a new file each day, and a later start knows what the days before it hold", async () => {
    const folder = createFaultFolder();
    const store = new TrackStore(folder, PATH);
    store.add(piece(0, "monday "));
    await store.commit(DAY);
    store.add(piece(7, "tuesday"));
    await store.commit(DAY + 86_400_000);
    expect(textOf(folder, "2026-11-24.log")).toBe("tuesday");
    const again = new TrackStore(folder, PATH);
    expect(again.nextOf(7)).toBe(14);
    expect(again.held.bytes).toBe(14);
    expect(Buffer.from(again.bytesBefore(7, 14, 9) ?? []).toString()).toBe("y tuesday");
    again.add(piece(14, "!"));
    // The clock went back a day: the files stay in the order of writing.
    await again.commit(DAY);
    expect(textOf(folder, "2026-11-24.log")).toBe("tuesday!");
  });

  it("lose nothing that an index line names when a line before it is damaged", async () => {
    const folder = createFaultFolder();
    const store = new TrackStore(folder, PATH);
    for (const [offset, text] of [
      [0, "a"],
      [1, "b"],
      [2, "c"],
    ] as const) {
      store.add(piece(offset, text));
      await store.commit(DAY);
    }
    const idx = `${PATH}/2026-11-23.idx`;
    const lines = textOf(folder, ".idx").split("\n");
    folder.write(idx, (lines[0]?.length ?? 0) + 1, Buffer.from("#"));
    const again = new TrackStore(folder, PATH);
    expect(again.damaged).toBe(1);
    expect(again.nextOf(7)).toBe(3);
    expect(textOf(folder, ".log")).toBe("abc");
  });
});

/** A console's text with gaps in it, as a site would tell it: chunks and declared gaps of known length. */
interface Spoken {
  readonly chunks: readonly { offset: number; data: Uint8Array }[];
  readonly gaps: readonly { offset: number; length: number }[];
  readonly end: number;
}

function speak(random: () => number): Spoken {
  const chunks: { offset: number; data: Uint8Array }[] = [];
  const gaps: { offset: number; length: number }[] = [];
  let offset = 0;
  for (let index = 0; index < 12; index++) {
    if (random() < 0.2) {
      const length = 1 + Math.floor(random() * 20);
      gaps.push({ offset, length });
      offset += length;
    }
    const data = Buffer.from(
      Array.from({ length: 1 + Math.floor(random() * 40) }, () => 97 + Math.floor(random() * 6)),
    );
    chunks.push({ offset, data });
    offset += data.length;
  }
  return { chunks, gaps, end: offset };
}

/** The dictionary of a chunk: what stands right before it, if nothing is missing there. Or the two are cut anew. */
function payloadOf(spoken: Spoken, index: number, how: "plain" | "dictionary" | "recut"): Uint8Array {
  const chunk = spoken.chunks[index];
  const before = spoken.chunks[index - 1];
  if (chunk === undefined) return new Uint8Array();
  const follows = before !== undefined && before.offset + before.data.length === chunk.offset;
  if (how === "recut" && follows) {
    const data = Buffer.concat([before.data.subarray(before.data.length >> 1), chunk.data]);
    const offset = chunk.offset + chunk.data.length - data.length;
    return encodeChunk({ boot: 7, offset, monoMs: offset, marks: [], data });
  }
  const dictionary = how === "dictionary" && follows ? before.data : new Uint8Array();
  return encodeChunk({ boot: 7, offset: chunk.offset, monoMs: chunk.offset, marks: [], data: chunk.data }, dictionary);
}

describe("whatever happens on the way and to the disk", () => {
  it("files equal what was sent, the index names each byte once, and nothing is acknowledged before it is synced", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const chance = seeded(seed);
        const random = () => chance.next();
        const spoken = speak(random);
        const folder = createFaultFolder();
        let acked = 0;
        for (let life = 0; ; life++) {
          const last = life === 6;
          folder.budget = last ? null : Math.floor(random() * 30);
          const done = await oneLife(folder, spoken, random, last, (to) => {
            acked = Math.max(acked, to);
          });
          if (done) break;
          folder.crash(random);
          const found = new TrackStore(withoutFaults(folder), PATH);
          expect(found.committedOf(7)).toBeGreaterThanOrEqual(acked);
        }
        expect(textOf(folder, ".log")).toBe(spoken.chunks.map(({ data }) => Buffer.from(data).toString()).join(""));
        checkIndex(folder, spoken);
      }),
      { numRuns: process.env.TOWPATH_LONG ? 1_000 : 50 },
    );
  });
});

function withoutFaults(folder: FaultFolder): FaultFolder {
  folder.budget = null;
  return folder;
}

/** True when all of it is stored; false when the process died. */
async function oneLife(
  folder: FaultFolder,
  spoken: Spoken,
  random: () => number,
  last: boolean,
  ack: (to: number) => void,
): Promise<boolean> {
  try {
    const store = new TrackStore(folder, PATH);
    const intake = new TrackIntake({ store, wallOf: () => null, room: () => true, onPiece: () => undefined });
    for (let step = 0; step < (last ? 400 : 40); step++) {
      const index = last && step >= 100 ? step % spoken.chunks.length : Math.floor(random() * spoken.chunks.length);
      intake.chunk(
        payloadOf(spoken, index, (["plain", "dictionary", "recut"] as const)[Math.floor(random() * 3)] ?? "plain"),
        DAY,
      );
      const [gap] = spoken.gaps.filter(() => random() < 0.3);
      if (gap !== undefined) intake.declare(7, [{ cause: "overrun", ...gap, monoMs: 1 }], DAY);
      if (random() < 0.3) await store.commit(DAY + (random() < 0.1 ? 86_400_000 : 0));
      ack(store.committedOf(7));
      const synced = store.committedOf(7);
      expect(synced).toBeLessThanOrEqual(spoken.end);
    }
    if (last) {
      for (const gap of spoken.gaps) intake.declare(7, [{ cause: "overrun", ...gap, monoMs: 1 }], DAY);
      for (const [index] of spoken.chunks.entries()) intake.chunk(payloadOf(spoken, index, "plain"), DAY);
      await store.commit(DAY);
      expect(store.committedOf(7)).toBe(spoken.end);
    }
    return last;
  } catch (error) {
    if (error instanceof Died) return false;
    throw error;
  }
}

/** Every offset is named once: by bytes that stand at that place in the log, or by a gap. */
function checkIndex(folder: FaultFolder, spoken: Spoken): void {
  const sent = new Map(spoken.chunks.flatMap(({ offset, data }) => [...data].map((byte, at) => [offset + at, byte])));
  let expected = 0;
  for (const path of folder.paths.filter((one) => one.endsWith(".idx")).sort()) {
    const log = folder.text(path.replace(/idx$/, "log"));
    for (const text of Buffer.from(folder.text(path)).toString().trim().split("\n").filter(Boolean)) {
      const line = decodeIndexLine(text);
      expect(line?.offset).toBe(expected);
      if (line === null) continue;
      const length = "n" in line ? line.n : (line.gap.length ?? 0);
      for (let at = 0; "n" in line && at < length; at++) expect(log[line.at + at]).toBe(sent.get(expected + at));
      for (let at = 0; "gap" in line && at < length; at++) expect(sent.has(expected + at)).toBe(false);
      expected += length;
    }
  }
  expect(expected).toBe(spoken.end);
}

describe("a disk that is full", () => {
  it("costs nothing: what waits is written when there is room again", async () => {
    const folder = createFaultFolder();
    folder.fault = () => Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
    const store = new TrackStore(folder, PATH);
    store.add(piece(0, "before "));
    await store.commit(DAY);
    for (let budget = 0; budget < 4; budget++) {
      store.add(piece(store.nextOf(7), `try ${budget} `));
      folder.budget = budget;
      await expect(store.commit(DAY)).rejects.toThrow("no space");
      expect(store.committedOf(7)).toBe(7);
    }
    folder.budget = null;
    await store.commit(DAY);
    expect(textOf(folder, ".log")).toBe("before try 0 try 1 try 2 try 3 ");
    expect(new TrackStore(folder, PATH).nextOf(7)).toBe(31);
  });
});

describe("a site's events", () => {
  it("are a line each in order, and a torn last line is dropped at the next start", async () => {
    const folder = createFaultFolder();
    const store = new EventsStore(folder, "acme/one/events.jsonl");
    for (let seq = 1; seq <= 3; seq++) store.add({ seq, kind: "start" });
    await store.commit();
    folder.write("acme/one/events.jsonl", folder.size("acme/one/events.jsonl"), Buffer.from('{"seq":4,"ki'));
    const again = new EventsStore(folder, "acme/one/events.jsonl");
    expect(again.next).toBe(4);
    again.add({ seq: 4, kind: "link" });
    await again.commit();
    expect(
      textOf(folder, "events.jsonl")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).seq),
    ).toEqual([1, 2, 3, 4]);
  });
});
