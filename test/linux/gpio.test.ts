import { describe, expect, it } from "vitest";
import { packConfig, packRequest, SIZES } from "../../src/linux/gpio.ts";

/** Offsets by `struct gpio_v2_line_request` and `gpio_v2_line_config` of linux/gpio.h; the guests prove them. */
describe("a GPIO line request", () => {
  it("has the kernel's sizes, the offset first, then its owner's name, cut to what the kernel takes", () => {
    const request = packRequest(17, `towpath:${"x".repeat(40)}`, { kind: "as-is" });
    expect(request.length).toBe(SIZES.lineRequest);
    expect(request.readUInt32LE(0)).toBe(17);
    expect(request.toString("latin1", 256, 288).replace(/\0/g, "")).toBe(`towpath:${"x".repeat(23)}`);
    expect(request.readUInt32LE(560)).toBe(1);
  });

  it("as it is sets no direction; an output has its level in the same call; an input its bias and debounce", () => {
    expect(packConfig({ kind: "as-is" }).equals(Buffer.alloc(SIZES.lineConfig))).toBe(true);
    const output = packConfig({ kind: "output", high: true });
    expect([output.readBigUInt64LE(0), output.readUInt32LE(8), output.readUInt32LE(32)]).toEqual([8n, 1, 2]);
    expect([output.readBigUInt64LE(40), output.readBigUInt64LE(48)]).toEqual([1n, 1n]);
    const input = packConfig({ kind: "input", bias: "pull-up", debounceMs: 20 });
    expect([input.readBigUInt64LE(0), input.readUInt32LE(32), input.readBigUInt64LE(40)]).toEqual([260n, 3, 20_000n]);
  });
});
