import { describe, expect, it } from "vitest";
import { createDoubt } from "../../src/console/doubt.ts";

/** Reads of so many bytes each, one so many ms after the other, and where among them bytes may be missing. */
function toldSlowly(stepMs: number, writerMayWait: boolean, ...reads: readonly number[]): string {
  const story: (number | "?")[] = [];
  let nowMs = 0;
  const doubt = createDoubt(
    writerMayWait,
    () => story.push("?"),
    () => nowMs,
  );
  for (const bytes of reads) {
    nowMs += stepMs;
    doubt.found(bytes);
    story.push(bytes);
  }
  doubt.settle();
  doubt.settle();
  return story.join(" ");
}

const told = (writerMayWait: boolean, ...reads: readonly number[]) => toldSlowly(1, writerMayWait, ...reads);

describe("a real terminal that was found full", () => {
  it("may miss bytes behind its buffer, and behind what the driver had", () => {
    expect(told(false, 4_095)).toBe("4095 ?");
    expect(told(false, 4_095, 17)).toBe("4095 ? 17 ?");
    expect(told(false, 4_094, 17)).toBe("4094 17");
  });

  it("has two gaps however long the flood is", () => {
    expect(told(false, 4_095, 4_095, 4_095, 4_095, 200)).toBe("4095 ? 4095 4095 4095 200 ?");
  });
});

describe("a pseudo terminal that was found full", () => {
  it("misses nothing when as much again is behind it: its writer waits", () => {
    expect(told(true, 4_095, 4_095, 4_095, 600)).toBe("4095 4095 4095 600");
  });

  it("may miss bytes when its writer did not wait, as one that plays a UART", () => {
    expect(told(true, 4_095)).toBe("4095 ?");
    expect(told(true, 4_095, 17, 9)).toBe("4095 ? 17 9 ?");
  });

  it("may miss bytes when a line could have filled it again before it was read", () => {
    expect(toldSlowly(60, true, 4_095, 4_095, 17)).toBe("4095 ? 4095 17 ?");
  });
});
