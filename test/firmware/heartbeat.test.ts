import { describe, expect, it } from "vitest";
import { createHeartbeat, type Organs } from "../../firmware/heartbeat.ts";

/** A controller in which each part can be stopped by itself. */
function body() {
  const state = { turns: 0, sweeps: 0 as number | null, loop: true, reading: true, journal: true, degraded: false };
  const organs: Organs = {
    turns: () => state.turns,
    nudge: () => {
      if (state.loop) state.turns++;
    },
    sweeps: () => state.sweeps,
    pingJournal: () => (state.journal ? Promise.resolve() : new Promise(() => undefined)),
    storageDegraded: () => state.degraded,
  };
  const standing = createHeartbeat(organs);
  return {
    state,
    async beat(): Promise<string[]> {
      const still = standing();
      await Promise.resolve();
      if (state.sweeps !== null && state.reading) state.sweeps++;
      return still;
    },
  };
}

describe("the controller's heartbeat", () => {
  it("beats while everything turns", async () => {
    const { beat } = body();
    expect([await beat(), await beat(), await beat()]).toEqual([[], [], []]);
  });

  it("names the loop that no longer turns", async () => {
    const { state, beat } = body();
    await beat();
    await beat();
    state.loop = false;
    await beat();
    expect(await beat()).toEqual(["loop"]);
  });

  it("names ports that nobody reads, but only while one is open", async () => {
    const { state, beat } = body();
    await beat();
    state.reading = false;
    expect([await beat(), await beat()]).toEqual([[], ["ports"]]);
    state.sweeps = null;
    expect(await beat()).toEqual([]);
  });

  it("names a journal that does not answer, unless its card is declared dead: a new start would not mend that", async () => {
    const { state, beat } = body();
    await beat();
    state.journal = false;
    await beat();
    expect(await beat()).toEqual(["journal"]);
    state.degraded = true;
    expect(await beat()).toEqual([]);
  });
});
