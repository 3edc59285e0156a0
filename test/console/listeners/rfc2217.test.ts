import { describe, expect, it } from "vitest";
import { ComPort, type LineControl } from "../../../src/console/listeners/rfc2217.ts";
import { TelnetReader } from "../../../src/console/listeners/telnet.ts";
import { type LineSettings, lineText } from "../../../src/core/line.ts";
import { seeded } from "../../sim/random.ts";

const COUNT = process.env.TOWPATH_LONG ? 1_000_000 : 100_000;

/** A line that takes what it is given, or nothing. */
function fakeLine(may: boolean): LineControl & { done: string[]; now(): string } {
  let settings: LineSettings = {
    baudRate: 9_600,
    framing: { dataBits: 8, parity: "none", stopBits: 1 },
    flow: "none",
  };
  let on = false;
  const lines = { dtr: true, rts: true };
  const done: string[] = [];
  return {
    done,
    now: () => lineText(settings),
    settings: () => settings,
    setLine(wanted) {
      if (may) settings = wanted;
      return settings;
    },
    holdBreak(wanted) {
      if (may) on = wanted;
      return on;
    },
    breakOn: () => on,
    outgoing: () => lines,
    setModem: (wanted) => may && Object.assign(lines, wanted),
    modem: () => null,
    purge: (what) => void done.push(`purge ${what}`),
    suspend: (value) => void done.push(`suspend ${value}`),
  };
}

/** What is inside the answers, one text each. */
function ask(port: ComPort, ...bytes: number[]): number[][] {
  return new TelnetReader()
    .push(port.heard(Uint8Array.from(bytes)))
    .flatMap((item) => (item.type === "sub" && item.option === 44 ? [[...item.bytes]] : []));
}

describe("RFC 2217", () => {
  it("a speed that is set is answered, and one that is asked for told", () => {
    const line = fakeLine(true);
    const port = new ComPort(line);
    expect(ask(port, 1, 0, 1, 0xc2, 0)).toEqual([[101, 0, 1, 0xc2, 0]]);
    expect(line.now()).toBe("115200 8n1");
    expect(ask(port, 1, 0, 0, 0, 0)).toEqual([[101, 0, 1, 0xc2, 0]]);
  });

  it("framing is set piece by piece; what does not exist changes nothing and is answered with what is so", () => {
    const line = fakeLine(true);
    const port = new ComPort(line);
    expect([ask(port, 2, 7), ask(port, 3, 3), ask(port, 4, 2)]).toEqual([[[102, 7]], [[103, 3]], [[104, 2]]]);
    expect(line.now()).toBe("9600 7e2");
    expect([ask(port, 2, 9), ask(port, 3, 5), ask(port, 4, 3)]).toEqual([[[102, 7]], [[103, 3]], [[104, 2]]]);
    expect(line.now()).toBe("9600 7e2");
  });

  it("every SET-CONTROL that there is gets one answer, and the ones that set say yes with their own number", () => {
    const port = new ComPort(fakeLine(true));
    for (let value = 0; value <= 19; value++) expect(ask(port, 5, value)).toHaveLength(1);
    for (const value of [1, 2, 3, 5, 6, 8, 9, 11, 12]) expect(ask(port, 5, value)).toEqual([[105, value]]);
  });

  it("a watcher changes nothing, and each of its commands is answered with how it is", () => {
    const line = fakeLine(false);
    const port = new ComPort(line);
    expect(ask(port, 1, 0, 1, 0xc2, 0)).toEqual([[101, 0, 0, 0x25, 0x80]]);
    expect([ask(port, 5, 5), ask(port, 5, 9), ask(port, 5, 3)]).toEqual([[[105, 6]], [[105, 8]], [[105, 1]]]);
    expect(line.now()).toBe("9600 8n1");
  });

  it("purge, suspend and the masks are done and answered", () => {
    const line = fakeLine(true);
    const port = new ComPort(line);
    expect([ask(port, 12, 1), ask(port, 12, 2), ask(port, 12, 3)]).toEqual([[[112, 1]], [[112, 2]], [[112, 3]]]);
    expect([ask(port, 8), ask(port, 9), ask(port, 11, 16), ask(port, 10, 7)]).toEqual([
      [],
      [],
      [[111, 16]],
      [[110, 0]],
    ]);
    expect(line.done).toEqual(["purge received", "purge sent", "purge both", "suspend true", "suspend false"]);
  });

  it(`${COUNT} hostile commands never throw, get at most one answer each, and leave settings that exist`, () => {
    const random = seeded(44);
    const line = fakeLine(true);
    const port = new ComPort(line);
    for (let n = 0; n < COUNT; n++) {
      const bytes = Array.from({ length: random.between(0, 8) }, (_, at) =>
        at === 0 && random.chance(0.9) ? random.between(0, 13) : random.between(0, 255),
      );
      expect(ask(port, ...bytes).length).toBeLessThanOrEqual(1);
    }
    expect(line.now()).toMatch(/^\d+ [5-8][neo][12]( rtscts| xonxoff)?$/);
  });
});
