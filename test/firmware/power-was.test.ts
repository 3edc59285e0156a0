import { describe, expect, it } from "vitest";
import { powerWas } from "../../firmware/power-was.ts";

const machine = (rsts: number | null, compatible: string) => ({
  read(path: string) {
    if (path.endsWith("/rsts")) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(rsts ?? 0);
      return rsts === null ? null : bytes.toString("latin1");
    }
    return path.endsWith("/compatible") ? compatible : null;
  },
});
const PI3 = "raspberrypi,3-model-b\0brcm,bcm2837";
const PI4 = "raspberrypi,4-model-b\0brcm,bcm2711";

describe("whether the mains was there since the boot before", () => {
  it.each([
    ["a Pi 3 that was switched on", 0x1000, PI3, "lost"],
    ["a Pi 3 that was restarted", 0x1020, PI3, "kept"],
    ["a Pi 4 that was restarted, and says so", 0x20, PI4, "kept"],
    ["a Pi 4, whose boot loader forgets", 0x1000, PI4, "unknown"],
    ["a machine that says nothing", null, "", "unknown"],
    ["a register that says neither", 0, PI3, "unknown"],
  ] as const)("%s", (_, rsts, compatible, was) => {
    expect(powerWas(machine(rsts, compatible))).toBe(was);
  });
});
