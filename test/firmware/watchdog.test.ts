import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { feedWatchdog } from "../../src/linux/watchdog.ts";

describe("systemd's watchdog", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function heardIn(ms: number, env: NodeJS.ProcessEnv, standing: string[] = []): string[] {
    const heard: string[] = [];
    const watchdog = feedWatchdog(
      () => standing,
      (state) => heard.push(state),
      env,
      100,
    );
    vi.advanceTimersByTime(ms);
    watchdog.stop();
    vi.advanceTimersByTime(ms);
    return heard;
  }

  it("hears of a loop that turns three times per period, and no more once it stops", () => {
    expect(heardIn(60_000, { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "100" })).toEqual(Array(3).fill("WATCHDOG=1"));
  });

  it("is told what stands still instead of being fed", () => {
    const heard = heardIn(60_000, { WATCHDOG_USEC: "60000000" }, ["journal", "ports"]);
    expect(heard).toEqual(Array(3).fill("STATUS=stands still: journal, ports"));
  });

  it("takes back what it said stood still, once it moves again", () => {
    const standing = ["journal"];
    const heard: string[] = [];
    const watchdog = feedWatchdog(
      () => standing,
      (state) => heard.push(state),
      { WATCHDOG_USEC: "60000000" },
    );
    vi.advanceTimersByTime(20_000);
    standing.pop();
    vi.advanceTimersByTime(40_000);
    watchdog.stop();
    expect(heard).toEqual(["STATUS=stands still: journal", "WATCHDOG=1\nSTATUS=", "WATCHDOG=1"]);
  });

  it("is not fed where nobody asked, or another process was asked", () => {
    expect(heardIn(60_000, {})).toEqual([]);
    expect(heardIn(60_000, { WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" })).toEqual([]);
  });
});
