import { describe, expect, it } from "vitest";
import { modemLines } from "../../src/operator/cli/modem-text.ts";

const WELL = {
  ...{ trouble: "none", sinceMs: 0, model: "Quectel EC25", operator: "Testnet", technology: ["lte"], alarm: false },
  signal: { rssi: null, rsrp: -95, rsrq: -10, snr: null },
  ladder: { next: null },
};

describe("the modem in status", () => {
  it("one line while it is well, and a weak signal is said there", () => {
    expect(modemLines(WELL, 0)).toEqual(["modem ok: Quectel EC25, Testnet, lte, rsrp -95 rsrq -10"]);
    expect(modemLines({ ...WELL, alarm: true }, 0)[0]).toContain("ALARM");
  });

  it("what is wrong, for how long, what a person does, and what the site does by itself", () => {
    const ladder = { next: "power", nextMs: 700_000, last: "usb", lastMs: 100_000 };
    const missing = {
      ...WELL,
      trouble: "missing",
      reason: "no modem has IMEI 1; there is 2",
      model: null,
      signal: null,
      ladder,
    };
    expect(modemLines({ ...missing, operator: null, technology: [] }, 400_000)).toEqual([
      "modem the modem is not there (no modem has IMEI 1; there is 2) for 6 min 40 s",
      "  → Look at its power, its cable and its IMEI in site.yaml.",
      "  by itself: last usb 5 min 0 s ago, next power in 5 min 0 s",
    ]);
  });

  it("a modem's own words cannot move the terminal", () => {
    expect(modemLines({ ...WELL, operator: "\u001b[2J" }, 0)[0]).not.toContain("\u001b");
  });
});
