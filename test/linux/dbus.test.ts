import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BusMessage, decodeMessage, encodeMessage } from "../../src/linux/dbus-message.ts";
import { decodeValues, encodeValues, typesOf, Variant } from "../../src/linux/dbus-wire.ts";

describe("values on the bus", () => {
  it("come back as they were, whatever their order and alignment", () => {
    const typed = fc.oneof(
      fc.record({ type: fc.constant("y"), value: fc.nat(255) }),
      fc.record({ type: fc.constant("b"), value: fc.boolean() }),
      fc.record({ type: fc.constant("i"), value: fc.integer() }),
      fc.record({ type: fc.constant("u"), value: fc.nat(0x7fffffff) }),
      fc.record({ type: fc.constant("x"), value: fc.maxSafeInteger() }),
      fc.record({ type: fc.constant("t"), value: fc.maxSafeNat() }),
      fc.record({ type: fc.constant("d"), value: fc.double({ noNaN: true }) }),
      fc.record({
        type: fc.constant("s"),
        value: fc.string({ unit: "grapheme" }).map((one) => one.replaceAll("\0", "")),
      }),
      fc.record({ type: fc.constant("as"), value: fc.array(fc.string({ unit: "grapheme-ascii" })) }),
      fc.record({ type: fc.constant("a(yt)"), value: fc.array(fc.tuple(fc.nat(255), fc.maxSafeNat())) }),
      fc.record({
        type: fc.constant("a{su}"),
        value: fc.dictionary(fc.string({ unit: "grapheme-ascii", minLength: 1 }), fc.nat(0x7fffffff), {
          noNullPrototype: true,
        }),
      }),
    );
    fc.assert(
      fc.property(fc.array(typed, { maxLength: 12 }), (all) => {
        const signature = all.map((one) => one.type).join("");
        const values = all.map((one) => one.value);
        expect(decodeValues(signature, encodeValues(signature, values))).toEqual(values);
      }),
    );
  });

  it("are laid out as the specification says", () => {
    expect([...encodeValues("yu", [1, 2])]).toEqual([1, 0, 0, 0, 2, 0, 0, 0]);
    expect([...encodeValues("at", [[]])]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...encodeValues("v", [new Variant("s", "a")])]).toEqual([1, 115, 0, 0, 1, 0, 0, 0, 97, 0]);
    expect(typesOf("sa{sv}(u(as))ao")).toEqual(["s", "a{sv}", "(u(as))", "ao"]);
  });
});

describe("messages on the bus", () => {
  const message: BusMessage = {
    ...{ kind: "call", serial: 7, path: "/a/b", interface: "a.b", member: "C", destination: "d.e" },
    ...{ signature: "sa{sv}", body: ["x", { u: new Variant("u", 3) }] },
  };

  it("are read as they were written, and only when they are there as a whole", () => {
    const bytes = encodeMessage(message);
    for (let end = 0; end < bytes.length; end++) expect(decodeMessage(bytes.subarray(0, end))).toBeNull();
    expect(decodeMessage(bytes)).toEqual({ message: { ...message, body: ["x", { u: 3 }] }, length: bytes.length });
  });

  it("whatever bytes arrive, they are a message, not yet one, or a plain error", () => {
    const good = encodeMessage(message);
    const tried = (bytes: Buffer) => {
      try {
        decodeMessage(bytes);
      } catch (error) {
        expect((error as Error).constructor.name).toBe("DbusFormatError");
      }
    };
    fc.assert(fc.property(fc.uint8Array(), (bytes) => tried(Buffer.from(bytes))));
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
        const bent = Buffer.from(good);
        bent[at] = value;
        tried(bent);
      }),
      { numRuns: 2_000 },
    );
  });
});
