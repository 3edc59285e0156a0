import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createCapture } from "../../src/console/capture.ts";
import type { Port, PortEvents } from "../../src/console/port.ts";
import type { ConsoleGap } from "../../src/core/events.ts";

/** A port in our hands, and what capture makes of it. */
function bench(
  options: { tx?: boolean; before?: Parameters<typeof createCapture>[0]["before"]; stalled?: boolean } = {},
) {
  let events: PortEvents | null = null;
  const items: { track: string; offset: number; text: string | null; gap: unknown; monoMs: number; urgent: boolean }[] =
    [];
  const gaps: ConsoleGap[] = [];
  const typed: string[] = [];
  let nowMs = 0;
  let stalled = options.stalled ?? false;
  const port: Port = {
    start: (listener) => {
      events = listener;
    },
    write: (bytes) => {
      typed.push(Buffer.from(bytes.subarray(0, 4)).toString());
      return Math.min(4, bytes.length);
    },
    sendBreak: async () => true,
    holdBreak: () => true,
    settings: () => ({ baudRate: 9_600, framing: { dataBits: 8, parity: "none", stopBits: 1 }, flow: "none" }),
    setLine: () => true,
    setModem: () => false,
    dropOutput: () => undefined,
    watch: () => undefined,
    stop: async () => undefined,
  };
  const capture = createCapture({
    ports: [{ name: "r1", port, tx: options.tx ?? false }],
    boot: 7,
    before: options.before ?? null,
    monoMs: () => nowMs,
    append(batch, urgent) {
      for (const { track, offset, monoMs, content } of batch) {
        const text = "data" in content ? Buffer.from(content.data).toString("latin1") : null;
        items.push({ track, offset, monoMs, urgent, text, gap: "gap" in content ? content.gap : null });
      }
    },
    written: () => (stalled ? new Promise(() => undefined) : Promise.resolve()),
    emit: (event) => {
      if (event.type === "console-gap") gaps.push(event);
    },
  });
  capture.start();
  if (events === null) throw new Error("not started");
  return {
    ...{ capture, port: events as PortEvents, items, gaps, typed },
    at: (ms: number) => {
      nowMs = ms;
    },
    unstall: () => {
      stalled = false;
    },
  };
}

const causes = (items: { gap: unknown }[]) =>
  items.flatMap(({ gap }) => (gap === null ? [] : [(gap as { cause: string }).cause]));

describe("what a console said", () => {
  it("keeps its bytes, offsets and milliseconds, in whatever pieces it comes", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { maxLength: 30 }), async (pieces) => {
        const { capture, port, items, at } = bench();
        port.up();
        // The buffer is used again by the port: what is kept must be a copy.
        const buffer = new Uint8Array(300);
        for (const [index, piece] of pieces.entries()) {
          at(index * 10);
          buffer.set(piece);
          port.data(buffer.subarray(0, piece.length));
          if (index % 3 === 0) await new Promise(setImmediate);
        }
        await capture.stop();
        expect(items.map(({ text }) => text).join("")).toBe(Buffer.concat(pieces).toString("latin1"));
        let offset = 0;
        for (const [index, item] of items.entries()) {
          expect([item.offset, item.monoMs]).toEqual([offset, index * 10]);
          offset += item.text?.length ?? 0;
        }
      }),
      { numRuns: 50 },
    );
  });

  it("goes to the card at once when it is the last words of a kernel, also cut in two", async () => {
    const { capture, port, items } = bench();
    port.data(Buffer.from("all is well\nKernel pan"));
    await new Promise(setImmediate);
    port.data(Buffer.from("ic - not syncing"));
    await capture.stop();
    expect(items.map(({ urgent }) => urgent)).toEqual([false, true]);
  });
});

describe("what may be missing after a restart", () => {
  const heads = { "r1/rx": { boot: 7, next: 100 } };
  const gapsOf = async (before: Parameters<typeof createCapture>[0]["before"], kept: boolean) => {
    const { capture, port, items, gaps } = bench({ before });
    port.listening?.(kept);
    port.data(Buffer.from("held"));
    port.up();
    await capture.stop();
    expect(gaps.map(({ cause }) => cause)).toEqual(causes(items));
    return causes(items);
  };

  it("is nothing after a clean stop with the terminal kept open", async () => {
    expect(await gapsOf({ boot: 7, heads, stopped: { "r1/rx": 100 } }, true)).toEqual([]);
  });

  it("is declared where nobody listened, where it was killed, where the journal does not hold what was read, and after a reboot", async () => {
    expect(await gapsOf({ boot: 7, heads, stopped: { "r1/rx": 100 } }, false)).toEqual(["start"]);
    expect(await gapsOf({ boot: 7, heads, stopped: null }, true)).toEqual(["crash"]);
    expect(await gapsOf({ boot: 7, heads, stopped: { "r1/rx": 150 } }, true)).toEqual(["crash"]);
    expect(await gapsOf({ boot: 7, heads: {}, stopped: null }, true)).toEqual(["crash"]);
    expect(await gapsOf({ boot: 6, heads: { "r1/rx": { boot: 6, next: 9 } }, stopped: null }, false)).toEqual([
      "reboot",
    ]);
    expect(await gapsOf(null, false)).toEqual([]);
  });

  it("of a console that came or was renamed between two lives is that nobody listened yet, and of its input nothing", async () => {
    for (const boot of [6, 7]) {
      const before = { boot, heads: { "old/rx": { boot, next: 5 } }, stopped: { "old/rx": 5 } };
      const { capture, port, gaps } = bench({ before, tx: true });
      port.listening?.(false);
      port.up();
      await capture.stop();
      expect(gaps.map(({ track, cause }) => [track, cause])).toEqual([["rx", "start"]]);
    }
  });

  it("is nothing where what is typed is recorded from now on, but where it was recorded once and then not", async () => {
    for (const once of [false, true]) {
      const sent = once ? { "r1/tx": { boot: 7, next: 3 } } : {};
      const before = { boot: 7, heads: { ...heads, ...sent }, stopped: { "r1/rx": 100 } };
      const { capture, port, gaps } = bench({ before, tx: true });
      port.listening?.(true);
      port.up();
      await capture.stop();
      expect(gaps.map(({ track, cause, offset }) => [track, cause, offset])).toEqual(once ? [["tx", "start", 3]] : []);
    }
  });

  it("is declared once per unplugging, before the first byte of the port that returns", async () => {
    const { capture, port, items } = bench();
    port.listening?.(false);
    port.up();
    port.data(Buffer.from("a"));
    port.down("console.missing", "pulled");
    port.down("console.missing", "still");
    port.listening?.(false);
    port.data(Buffer.from("b"));
    port.up();
    await capture.stop();
    expect(items.map(({ text, gap }) => text ?? (gap as { cause: string }).cause)).toEqual(["a", "replug", "b"]);
  });
});

describe("a port that opens and cannot be configured", () => {
  it("is one gap until it is up or says something, however often it is tried", async () => {
    const { capture, port, gaps } = bench({ before: { boot: 7, heads: {}, stopped: null } });
    const tryInVain = (): void => {
      port.listening?.(false);
      port.down("console.error", "this speed cannot be set");
    };
    for (let count = 0; count < 50; count++) tryInVain();
    expect(gaps.map(({ cause }) => cause)).toEqual(["crash"]);
    port.listening?.(false);
    port.up();
    expect(gaps).toHaveLength(1);
    port.down("console.missing", "pulled");
    for (let count = 0; count < 50; count++) tryInVain();
    expect(gaps.map(({ cause }) => cause)).toEqual(["crash", "replug"]);
    port.data(Buffer.from("a word between two tries"));
    tryInVain();
    expect(gaps).toHaveLength(3);
    await capture.stop();
  });
});

describe("a journal that stands still", () => {
  it("costs bytes of a known number, and the offsets go on behind them", async () => {
    const { capture, port, items, gaps } = bench({ stalled: true });
    const piece = Buffer.alloc(60_000, "x");
    for (let n = 0; n < 400; n++) port.data(piece);
    expect(capture.behind()).toBe(true);
    await capture.stop();
    const held = items.reduce((sum, { text }) => sum + (text?.length ?? 0), 0);
    const [gap] = gaps;
    expect(gaps.length).toBe(1);
    expect(gap?.cause).toBe("overrun");
    expect(held + (gap?.length ?? 0)).toBe(400 * piece.length);
    expect(gap?.offset).toBe(held);
    expect(capture.heads()).toEqual({ "r1/rx": 400 * piece.length });
  });
});

describe("what is typed", () => {
  it("is recorded as far as the device took it, where the config says so", async () => {
    const { capture, items } = bench({ tx: true });
    expect(capture.write("r1", Buffer.from("reload"))).toBe(4);
    await capture.stop();
    expect(items.map(({ track, offset, text }) => [track, offset, text])).toEqual([["r1/tx", 0, "relo"]]);
  });

  it("is recorded nowhere otherwise", async () => {
    const { capture, items, typed } = bench();
    capture.write("r1", Buffer.from("secret"));
    await capture.stop();
    expect([items, typed]).toEqual([[], ["secr"]]);
  });
});
