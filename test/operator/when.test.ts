import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseWhen } from "../../src/operator/when.ts";

const NOW = new Date(2026, 10, 23, 3, 10, 0).getTime();
const wall = (text: string) => parseWhen(text, NOW)?.wallMs ?? null;

describe("a point in time, as a person writes it", () => {
  it.each([
    ["30m", NOW - 30 * 60_000],
    ["2h", NOW - 2 * 3_600_000],
    ["1.5d", NOW - 1.5 * 86_400_000],
    ["2026-11-23T01:00:00Z", Date.UTC(2026, 10, 23, 1)],
    ["2026-11-23T01:00:00.250+02:00", Date.UTC(2026, 10, 22, 23, 0, 0, 250)],
    ["2026-11-23 01:00Z", Date.UTC(2026, 10, 23, 1)],
    ["2026-11-22 14:00", new Date(2026, 10, 22, 14).getTime()],
    ["2026-11-22T14:00:05,5", new Date(2026, 10, 22, 14, 0, 5, 500).getTime()],
    ["2026-11-22", new Date(2026, 10, 22).getTime()],
    ["03:00", new Date(2026, 10, 23, 3).getTime()],
    ["14:00", new Date(2026, 10, 22, 14).getTime()],
    ["3:00:30", new Date(2026, 10, 23, 3, 0, 30).getTime()],
  ])("%s is read", (text, expected) => expect(wall(text)).toBe(expected));

  it.each([
    "yesterday",
    "",
    "-1h",
    "1 hour",
    "2026-02-30",
    "2026-02-30T10:00:00Z",
    "2026-13-01",
    "2026-11-23T25:00:00Z",
    "24:00",
    "12:60",
    "2026-11-23T01:00:00+99:99",
    "1e9d",
  ])("%j is not guessed at", (text) => expect(wall(text)).toBeNull());

  it("only what is so long ago can be found without a calendar", () => {
    expect(parseWhen("10m", NOW)?.agoMs).toBe(600_000);
    expect(parseWhen("2026-11-22", NOW)?.agoMs).toBeNull();
  });

  it("what a site prints can be pasted back, to the millisecond", () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), (date) => {
        expect(wall(date.toISOString())).toBe(date.getTime());
      }),
    );
  });
});
