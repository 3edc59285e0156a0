import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createPanicSearch } from "../../src/console/panic.ts";

const words = ["panic", "oops", "watchdog", "fatal exception", "traceback", " bug:", "\nbug:", "]bug:"];
const found = (...pieces: string[]) => {
  const search = createPanicSearch();
  return pieces.map((piece) => search.feed(Buffer.from(piece, "latin1"))).some(Boolean);
};

describe("the last words of a kernel", () => {
  it("are found in any case, and cut in two anywhere", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...words),
        fc.string(),
        fc.string(),
        fc.nat(),
        fc.boolean(),
        (word, a, b, cut, upper) => {
          const text = `${a}${upper ? word.toUpperCase() : word}${b}`;
          const at = cut % (text.length + 1);
          expect(found(text.slice(0, at), text.slice(at))).toBe(true);
        },
      ),
    );
  });

  it("are not seen where they are not", () => {
    const plain = fc.string().filter((text) => !/panic|oops|watchdog|fatal exception|traceback|bug:/i.test(text));
    fc.assert(
      fc.property(plain, (text) => {
        expect(found(text)).toBe(false);
      }),
    );
    expect(found("debug: link is up")).toBe(false);
    expect(found("Kernel pan", "ik")).toBe(false);
  });

  it("are found exactly where a plain search finds them, in text that is full of their beginnings", () => {
    const scraps = [
      "pan",
      "panic",
      "ic",
      "o",
      "oo",
      "ops",
      "watch",
      "dog",
      "fatal ",
      "exception",
      "TRACE",
      "back",
      " bug",
      ":",
    ];
    const text = fc.array(fc.oneof(fc.constantFrom(...scraps, "\n", " "), fc.string({ maxLength: 3 })), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(text, fc.nat(), (parts, cut) => {
        const whole = parts.join("");
        const at = cut % (whole.length + 1);
        const plain = /panic|oops|watchdog|fatal exception|traceback|[\n\r\t \]]bug:/i.test(whole);
        expect(found(whole.slice(0, at), whole.slice(at))).toBe(plain);
      }),
      { numRuns: 2_000 },
    );
  });

  it("are found again after a false start", () => {
    expect(found("ppanipanic")).toBe(true);
    expect(found("fatal fatal exception")).toBe(true);
    expect(found("[    4.2] BUG: unable to handle page fault")).toBe(true);
  });
});
