import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readClocks, readRangeReply, readSelected } from "../../src/operator/answers.ts";
import { LogPrinter } from "../../src/operator/cli/log-printer.ts";
import { ConsoleText, jsonText, safe } from "../../src/operator/cli/out.ts";
import { LineCutter } from "../../src/operator/lines.ts";
import { ulid } from "../../src/operator/ulid.ts";

const show = (text: string | Uint8Array) => new ConsoleText().push(Buffer.from(text), true);

describe("what a console said on a terminal", () => {
  it.each([
    ["plain text\twith a tab\n", "plain text\twith a tab\n"],
    ["line\r\nline\n", "line\nline\n"],
    ["progress 1%\rprogress 2%\r", "progress 1%\nprogress 2%\n"],
    ["\u001b[2Jgone", "\\x1b[2Jgone"],
    ["bell\u0007 null\u0000", "bell\\x07 null\\x00"],
    ["title \u001b]0;x\u0007", "title \\x1b]0;x\\x07"],
    ["c1 \u009b31m", "c1 \\x9b31m"],
    ["naïve 日本 ✓", "naïve 日本 ✓"],
    ["abc\u202edcba", "abc\\u202edcba"],
    ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
  ])("%j is shown as %j", (text, shown) => expect(show(text)).toBe(shown));

  it("bytes that are not UTF-8 are shown as escapes", () => {
    expect(show(new Uint8Array([0x61, 0xff, 0x62, 0xc3, 0x28, 0xe2, 0x82]))).toBe("a\\xffb\\xc3(\\xe2\\x82");
  });

  it("is the same however the bytes were cut, and never holds a control", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc.string({ unit: "binary", maxLength: 30 }).map((text) => Uint8Array.from(Buffer.from(text))),
        ),
        fc.array(fc.nat(7)),
        (bytes, cuts) => {
          const text = new ConsoleText();
          let out = "";
          let at = 0;
          for (const cut of cuts) {
            out += text.push(bytes.subarray(at, at + cut));
            at = Math.min(bytes.length, at + cut);
          }
          out += text.push(bytes.subarray(at), true);
          expect(out).toBe(show(bytes));
          const shown = [...out].filter((char) => char !== "\n" && char !== "\t");
          expect(shown.filter((char) => /[\p{Cc}\p{Cf}]/u.test(char))).toEqual([]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("JSON and one-line text are safe on a terminal too", () => {
    expect(jsonText({ a: "\u001b[31m\u009b\u202e" })).toBe('{"a":"\\u001b[31m\\u009b\\u202e"}');
    expect(JSON.parse(jsonText({ a: "\u{e0001}x\u009b" }))).toEqual({ a: "\u{e0001}x\u009b" });
    expect(safe("a\nb\u001b")).toBe("a\\x0ab\\x1b");
  });
});

describe("lines", () => {
  const chunk = (offset: number, text: string, monoMs: number, boot = 1) => ({
    boot,
    offset,
    monoMs,
    marks: [],
    data: Buffer.from(text),
  });

  it("each line has the offset and the time of its first byte, wherever the chunks were cut", () => {
    const cutter = new LineCutter();
    const lines = [
      ...cutter.push(chunk(0, "one\r\ntw", 10)),
      ...cutter.push(chunk(7, "o\nthr", 20)),
      ...cutter.push(chunk(12, "ee", 30)),
      ...cutter.end(),
    ];
    expect(lines.map(({ offset, monoMs, bytes }) => [offset, monoMs, Buffer.from(bytes).toString()])).toEqual([
      [0, 10, "one"],
      [5, 10, "two"],
      [9, 20, "three"],
    ]);
  });

  it("a gap or another boot ends a line", () => {
    const cutter = new LineCutter();
    const lines = [
      ...cutter.push(chunk(0, "torn", 1)),
      ...cutter.push(chunk(9, "new\n", 2)),
      ...cutter.push(chunk(0, "boot", 3, 2)),
      ...cutter.end(),
    ];
    expect(lines.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(["torn", "new", "boot"]);
  });

  it("time stamps are RFC 3339 in UTC with milliseconds; JSON has one object a line", () => {
    const written: string[] = [];
    for (const mode of ["timestamps", "json"] as const) {
      const printer = new LogPrinter(mode, (piece) => written.push(String(piece)));
      printer.learnClocks([{ boot: 1, mono: 1_000, wall: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }]);
      printer.chunk(chunk(0, "hello\n", 2_000));
      printer.end();
    }
    expect(written).toEqual([
      "2026-01-02T03:04:06.678Z hello\n",
      '{"t":"2026-01-02T03:04:06.678Z","boot":1,"offset":0,"text":"hello"}\n',
    ]);
  });
});

describe("ids", () => {
  it("are ULIDs in the order of their time", () => {
    expect(ulid(1)).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
    expect(ulid(1_000) < ulid(2_000)).toBe(true);
  });
});

describe("answers of a site that may be anybody", () => {
  it("are read or refused, never thrown at", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        readSelected(value);
        readRangeReply(value);
        return Array.isArray(readClocks(value));
      }),
      { numRuns: 1_000 },
    );
    const range = { boot: 1, from: 0, to: 1, first: 0, next: 1, more: false, gaps: [], boots: [], clocks: [] };
    expect(readRangeReply(range)).toMatchObject({ next: 1, bytes: 0 });
    expect(readRangeReply({ ...range, gaps: [{ cause: "x", length: "\u001b[2J", offset: 0 }] })).toBeNull();
    expect(readSelected({ nonce: "n", epoch: 1, preview: { facts: null } })).toBeNull();
  });
});
