import { describe, expect, it } from "vitest";
import { escapeTelnet, Negotiation, type TelnetItem, TelnetReader } from "../../../src/console/listeners/telnet.ts";
import { type Random, seeded } from "../../sim/random.ts";

const COUNT = process.env.TOWPATH_LONG ? 1_000_000 : 100_000;
const IAC = 255;

const text = (items: readonly TelnetItem[]): string =>
  items.map((item) => (item.type === "data" ? Buffer.from(item.bytes).toString("latin1") : "")).join("");

/** Bytes as a hostile client sends them: mostly what has a meaning, cut anywhere. */
function noise(random: Random): Uint8Array {
  const length = random.between(0, 24);
  return Uint8Array.from({ length }, () =>
    random.chance(0.6)
      ? random.pick([IAC, 240, 243, 250, 251, 252, 253, 254, 0, 1, 3, 13, 10, 44, 5])
      : random.between(0, 255),
  );
}

describe("telnet", () => {
  it("of a return with something behind it one return is typed; after binary every byte is meant", () => {
    const reader = new TelnetReader();
    expect(text(reader.push(Buffer.from("show\r\0a\r\nb\rc\n")))).toBe("show\ra\rb\rc\n");
    reader.binary = true;
    expect(text(reader.push(Buffer.from("x\r\ny\r\0")))).toBe("x\r\ny\r\0");
  });

  it("a byte 255 goes through doubled and comes out single, also where the packet ends between the two", () => {
    const bytes = Uint8Array.from([1, 255, 255, 2, 255]);
    const wire = escapeTelnet(bytes);
    expect([...wire]).toEqual([1, 255, 255, 255, 255, 2, 255, 255]);
    const reader = new TelnetReader();
    const items = [...wire].flatMap((byte) => reader.push(Uint8Array.of(byte)));
    expect(Buffer.from(text(items), "latin1")).toEqual(Buffer.from(bytes));
  });

  it("a BREAK, a question and a negotiation are told apart from what is typed", () => {
    const items = new TelnetReader().push(Uint8Array.from([97, IAC, 243, 98, IAC, 253, 3, IAC, 246, 99]));
    expect(items).toEqual([
      { type: "data", bytes: Uint8Array.of(97) },
      { type: "break" },
      { type: "data", bytes: Uint8Array.of(98) },
      { type: "negotiate", verb: "do", option: 3 },
      { type: "are-you-there" },
      { type: "data", bytes: Uint8Array.of(99) },
    ]);
  });

  it("two ends that offer everything agree, and then are silent", () => {
    const one = new Negotiation([0, 1, 3], [0, 3]);
    const other = new Negotiation([0, 3], [0, 1, 3]);
    let toOther = one.begin();
    let toOne = other.begin();
    let rounds = 0;
    while (toOther.length + toOne.length > 0 && rounds++ < 10) {
      const [a, b] = [toOne, toOther];
      toOther = answers(one, a);
      toOne = answers(other, b);
    }
    expect(rounds).toBeLessThan(10);
    expect([one.usOn(0), one.usOn(1), one.themOn(3), other.themOn(1)]).toEqual([true, true, true, true]);
  });

  it("what nobody here wants is refused once for each time it is asked, and a refusal is not answered", () => {
    const one = new Negotiation([], []);
    expect([...one.heard("do", 31)]).toEqual([IAC, 252, 31]);
    expect([...one.heard("will", 31)]).toEqual([IAC, 254, 31]);
    expect([...one.heard("dont", 31), ...one.heard("wont", 31)]).toEqual([]);
  });

  it(`${COUNT} hostile inputs, cut anywhere, mean the same as in one piece, and make no more than they are`, () => {
    const random = seeded(2_217);
    for (let n = 0; n < COUNT; n++) {
      const bytes = noise(random);
      const whole = new TelnetReader();
      const cut = new TelnetReader();
      const at = random.between(0, bytes.length);
      const items = [...cut.push(bytes.subarray(0, at)), ...cut.push(bytes.subarray(at))];
      const inOne = whole.push(bytes);
      expect(joined(items)).toBe(joined(inOne));
      expect(text(inOne).length).toBeLessThanOrEqual(bytes.length);
      const end = new Negotiation([0, 1, 3, 44], [0, 3, 44]);
      expect(answers(end, bytes).length).toBeLessThanOrEqual(bytes.length + 3);
    }
  });

  it("a subnegotiation that never ends costs 256 bytes, not the memory", () => {
    const reader = new TelnetReader();
    reader.push(Uint8Array.from([IAC, 250, 44]));
    for (let n = 0; n < 100; n++) reader.push(new Uint8Array(10_000));
    const [item] = reader.push(Uint8Array.from([IAC, 240]));
    expect(item?.type === "sub" && item.bytes.length).toBe(256);
  });
});

function answers(end: Negotiation, bytes: Uint8Array): Uint8Array {
  const out = new TelnetReader()
    .push(bytes)
    .flatMap((item) => (item.type === "negotiate" ? [...end.heard(item.verb, item.option)] : []));
  return Uint8Array.from(out);
}

function joined(items: readonly TelnetItem[]): string {
  let out = "";
  for (const item of items) {
    out += item.type === "data" ? Buffer.from(item.bytes).toString("latin1") : JSON.stringify(item);
  }
  return out;
}
