import { describe, expect, it } from "vitest";
import { isOfUplinks, statusLines } from "../../src/operator/cli/uplink.ts";

const links = {
  lte: { state: "up", sinceMs: 0, detail: "mqtts://b.test:8883, MQTT 5" },
  primary: { state: "down", sinceMs: 50_000, detail: "no answer" },
};
const down = { verdict: "l2", sinceMs: 40_000, detail: "the gateway 10.0.0.1 does not answer on the wire" };

describe("towpath uplink status", () => {
  it("says what is wrong, since when, and whether power-cycling could help", () => {
    const primary = { ...down, addresses: ["10.0.0.2"], powerCycleCouldHelp: true };
    const lines = statusLines({ links, uplinks: { primary, lte: { verdict: "ok", addresses: [] } } }, 100_000).join(
      "\n",
    );
    expect(lines).toMatch(/l2 for 1 min 0 s: the gateway 10\.0\.0\.1 does not answer/);
    expect(lines).toContain("power-cycling its router could help");
    expect(lines).toContain("10.0.0.2");
  });

  it("does not send anybody to the relays when only names are dead", () => {
    const primary = { ...down, verdict: "dns", powerCycleCouldHelp: false };
    expect(statusLines({ links, uplinks: { primary } }, 100_000).join("\n")).toContain("would not help");
  });

  it("a site without uplinks is told as one", () => {
    expect(statusLines({ links }, 100_000)[0]).toContain("no `uplinks:`");
  });

  it("the history is of uplinks and nothing else", () => {
    expect(isOfUplinks({ kind: "link", connection: "lte" })).toBe(true);
    expect(isOfUplinks({ kind: "link", connection: "local" })).toBe(false);
    expect(isOfUplinks({ kind: "config", code: "outlet.drift" })).toBe(false);
  });
});
