import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LogMode, LogPrinter } from "../../src/operator/cli/log-printer.ts";
import { Progress, progressText } from "../../src/operator/cli/progress.ts";
import { Screen, type ScreenStream } from "../../src/operator/cli/screen.ts";
import { compileSearch } from "../../src/operator/grep.ts";
import type { Item } from "../../src/operator/pieces.ts";
import { chunk, cut } from "./chunks.ts";

function printed(mode: LogMode, items: readonly Item[], clocks: Parameters<LogPrinter["learnClocks"]>[0] = []) {
  const out: Uint8Array[] = [];
  const notes: string[] = [];
  const printer = new LogPrinter(mode, (piece) => out.push(Buffer.from(piece)), {
    note: (line) => notes.push(line),
  });
  printer.learnClocks(clocks);
  for (const item of items) printer.item(item);
  printer.end();
  return { out: Buffer.concat(out).toString(), notes };
}

const gap = { cause: "replug", length: 300, offset: 4, monoMs: 10 };
const clock = { boot: 1, mono: 0, wall: 0 };

describe("what stands between the lines of a log", () => {
  it("a gap is told beside the text, ends its line, and says what is missing, why and where", () => {
    const items = [{ chunk: chunk(0, "torn") }, { boot: 1, gap }, { chunk: chunk(304, "new\n") }];
    const { out, notes } = printed("text", items, [clock]);
    expect(out).toBe("torn\nnew\n");
    expect(notes).toEqual([
      "-- gap: 300 bytes missing (replug: the adapter was unplugged or lost), boot 1 offset 4, 1970-01-01T00:00:00.010Z --",
    ]);
  });

  it("raw bytes are never mixed with anything", () => {
    const items = [
      { chunk: chunk(0, "a\u001b") },
      { boot: 1, gap },
      { chunk: chunk(9, "b") },
      { chunk: chunk(0, "c", 0, 2) },
    ];
    const { out, notes } = printed("raw", items);
    expect(out).toBe("a\u001bbc");
    expect(notes).toHaveLength(2);
  });

  it("a restart of the site's machine is told where the next boot begins", () => {
    const { out, notes } = printed("text", [{ chunk: chunk(0, "before") }, { chunk: chunk(0, "after\n", 5, 7) }]);
    expect(out).toBe("before\nafter\n");
    expect(notes).toEqual([expect.stringContaining("boot 7")]);
  });

  it("times are counted from the machine's start where nobody knows the time of day, and doubts are told once a boot", () => {
    const lines = { chunk: chunk(0, "x\ny\n", 12_345) };
    const unknown = printed("timestamps", [lines]);
    expect(unknown.out).toBe("boot+12.345s x\nboot+12.345s y\n");
    expect(unknown.notes).toHaveLength(1);
    expect(printed("timestamps", [lines], [{ ...clock, trust: "none" }]).notes[0]).toContain("may be wrong");
    expect(printed("timestamps", [lines], [{ ...clock, trust: "rtc" }]).notes[0]).toContain("battery clock");
    expect(printed("timestamps", [lines], [{ ...clock, trust: "ntp" }]).notes).toEqual([]);
    expect(printed("timestamps", [lines], [{ ...clock, wall: 1e300 }]).out).toContain("boot+");
    expect(printed("json", [lines]).out).toContain('{"t":null,"boot":1,"offset":0,"text":"x"}');
  });

  it("no bytes, gaps, clocks or cuts make it write a control sequence, in any mode but raw", () => {
    // Most of what a hostile console would try, and plain noise; one generator of bytes, so that 100,000 are quick.
    const hostile = [
      "\u001b[2J",
      "\u009b31m",
      "\u0007",
      "\r",
      "\n",
      "\u202e",
      "\ufeff",
      "\u0000",
      "é",
      "\u{e0041}",
      "\xff",
      "a",
    ];
    let seed = 20_261_123;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const search = compileSearch(".", false);
    const modes: LogMode[] = ["text", "timestamps", "json"];
    const wrong: string[] = [];
    let tried = 0;
    const note = (line: string) => check(line);
    const check = (piece: string | Uint8Array): void => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there.
      if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(String(piece)))
        wrong.push(String(piece));
    };
    const screenNotes = new Screen(sink(check), sink(check));
    for (; tried < 100_000; tried++) {
      const printer = new LogPrinter(modes[tried % 3] ?? "text", check, {
        note: tried % 2 === 0 ? screenNotes.note : note,
        search: tried % 500 === 0 ? search : null,
      });
      const parts = Array.from({ length: next(6) }, () => hostile[next(hostile.length)] ?? "");
      const bytes = next(2) === 0 ? Buffer.from(parts.join("")) : Buffer.from(parts.map(() => next(256)));
      const at = next(9);
      printer.item({ chunk: chunk(0, bytes.subarray(0, at)) });
      printer.item({ chunk: chunk(at, bytes.subarray(at)) });
      // `safe` stands before standard error: what a site calls a cause goes through it.
      if (tried % 2 === 0) printer.item({ boot: 1, gap: { cause: parts.join(""), length: null, offset: 3 } });
      printer.end();
    }
    expect(wrong).toEqual([]);
    expect(tried).toBe(100_000);
  });
});

function sink(write: (piece: string | Uint8Array) => void, isTTY = false): ScreenStream {
  return {
    isTTY,
    write: (piece) => {
      write(piece);
      return true;
    },
    once: () => undefined,
    off: () => undefined,
  };
}

describe("progress", () => {
  const tty = (outTty: boolean) => {
    const err: string[] = [];
    return {
      err,
      screen: new Screen(
        sink(() => undefined, outTty),
        sink((piece) => err.push(String(piece)), true),
      ),
    };
  };

  it("says how much of how much, how fast and how long still", () => {
    expect(progressText("demo/router1", 512 * 1_024, 2_048 * 1_024, 4_000)).toBe(
      "demo/router1: 512.0 KiB of 2.0 MiB, 128.0 KiB/s, 12 s to go",
    );
  });

  it("is for a terminal, after a second, and gone before anything else is written", () => {
    const { err, screen } = tty(true);
    let now = 0;
    const progress = new Progress(screen, "x", 1_000, () => now);
    progress.at(100);
    expect(err).toEqual([]);
    now = 1_500;
    progress.at(200);
    expect(err.join("")).toContain("200 B of 1000 B");
    screen.write("text");
    expect(err.at(-1)).toBe("\r\u001b[K");
    now = 3_000;
    progress.at(300);
    expect(err.at(-1)).toBe("\r\u001b[K");
  });

  it("is never written to a pipe", () => {
    const written: string[] = [];
    const screen = new Screen(
      sink(() => undefined),
      sink((piece) => written.push(String(piece))),
    );
    screen.progress("x");
    screen.clear();
    expect(written).toEqual([]);
  });

  it("who reads slowly is waited for", async () => {
    let drain: () => void = () => undefined;
    const out = {
      ...sink(() => undefined),
      writableNeedDrain: true,
      once: (_: string, listener: () => void) => {
        drain = listener;
      },
    };
    let ready = false;
    const waiting = new Screen(
      out,
      sink(() => undefined),
    )
      .ready()
      .then(() => {
        ready = true;
      });
    await Promise.resolve();
    expect(ready).toBe(false);
    drain();
    await waiting;
    expect(ready).toBe(true);
  });
});

describe("the printer over random cuts", () => {
  it("shows the same text and the same lines", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(fc.nat(60), { maxLength: 6 }), (bytes, cuts) => {
        for (const mode of ["text", "json", "timestamps", "raw"] as const) {
          const items = (places: readonly number[]) => cut(bytes, places).map((one) => ({ chunk: one }));
          expect(printed(mode, items(cuts), [clock]).out).toBe(printed(mode, items([]), [clock]).out);
        }
      }),
      { numRuns: 300 },
    );
  });
});
