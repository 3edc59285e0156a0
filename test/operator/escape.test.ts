import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EscapeReader, readEscape } from "../../src/operator/escape.ts";

function read(text: string, key = "~", pieces = [text]): string[] {
  const reader = new EscapeReader(key);
  return pieces.flatMap((piece) =>
    reader
      .push(Buffer.from(piece, "latin1"))
      .map((one) => ("command" in one ? `<${one.command}>` : Buffer.from(one.data).toString("latin1"))),
  );
}

describe("the escape of a session", () => {
  it("counts at the beginning and after a return, and nowhere else", () => {
    expect(read("~?ls ~/x\r~.")).toEqual(["<?>", "ls ~/x\r", "<.>"]);
    expect(read("a~.")).toEqual(["a~."]);
  });

  it("twice sends one, and after it nothing is a command until the next return", () => {
    expect(read("~~.\r~B")).toEqual(["~.\r", "<B>"]);
  });

  it("works where its two keys come one by one, and another one can be chosen, or none", () => {
    expect(read("", "~", ["\r", "~", "."])).toEqual(["\r", "<.>"]);
    expect(read("\u001dw", readEscape("^]") ?? "")).toEqual(["<w>"]);
    expect(read("~.", "none")).toEqual(["~."]);
    expect([readEscape("ab"), readEscape(" "), readEscape("%")]).toEqual([null, null, "%"]);
  });

  it("however the keys are cut, the same is typed, and nothing is lost or made", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[~\ra.]{0,30}$/), fc.integer({ min: 0, max: 30 }), (text, at) => {
        const cut = read(text, "~", [text.slice(0, at), text.slice(at)]).join("");
        expect(cut).toBe(read(text).join(""));
        const escapes = (text.match(/(^|\r)~/g) ?? []).length;
        expect(cut.replaceAll(/[<>]/g, "").length).toBeLessThanOrEqual(text.length);
        expect(cut.replaceAll(/[<>]/g, "").length).toBeGreaterThanOrEqual(text.length - 2 * escapes - escapes);
      }),
      { numRuns: 500 },
    );
  });
});
