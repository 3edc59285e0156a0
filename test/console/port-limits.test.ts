import { describe, expect, it } from "vitest";
import { tooManyPorts } from "../../src/console/port-limits.ts";

describe("how many consoles a machine carries", () => {
  it("is said when it is more than was tried or than its USB controller takes", () => {
    expect(tooManyPorts("Raspberry Pi 4 Model B Rev 1.4", 32)).toBeNull();
    expect(tooManyPorts("Raspberry Pi 4 Model B Rev 1.4", 33)).toMatch(/^33 consoles, and 32 .* hubs included/);
    expect(tooManyPorts("Raspberry Pi Zero 2 W Rev 1.0", 9)).toMatch(/8 are supported/);
    expect(tooManyPorts("Raspberry Pi 5 Model B Rev 1.0", 48)).toBeNull();
    expect(tooManyPorts(null, 48)).toBeNull();
    expect(tooManyPorts(null, 49)).toMatch(/48 are supported/);
  });
});
