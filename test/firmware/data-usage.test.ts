import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { countData } from "../../firmware/data-usage.ts";
import { keepaliveMemory } from "../../firmware/keepalive-memory.ts";
import type { LteUplink } from "../../src/config/uplinks.ts";
import type { Account } from "../../src/core/budget.ts";
import { URGENCIES, type Urgency } from "../../src/link/outbox.ts";
import { TelemetryGate } from "../../src/link/telemetry-gate.ts";

function folderOf(): string {
  const folder = mkdtempSync(join(tmpdir(), "towpath-usage-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A site with an LTE card whose counters the test moves. */
class Machine {
  readonly data = folderOf();
  /** Null: the card is not there. */
  card: number | null = 0;
  sent = 0;
  replies = 0;
  boot = 1;
  wallMs: number | null = Date.UTC(2026, 10, 24);
  account: Account | null = null;

  start() {
    const published = Object.fromEntries(URGENCIES.map((one) => [one, 0])) as Record<Urgency, number>;
    const lte: LteUplink = {
      ...{ interface: "wwan0", modem: "auto", budget: { bytes: 1e6, per: "month" }, modemOutlet: null },
      ...{ source: "fixed", resolvers: [], driver: "modemmanager", profiles: [] },
    };
    return countData({
      config: { data: this.data, uplinks: { primary: null, lte } },
      files: {
        read: (path) => (this.card === null ? null : path.endsWith("rx_bytes") ? String(this.card) : "0"),
      },
      link: {
        usage: () => ({
          ...{ sent: this.sent, received: 0, connects: 1, address: null },
          published: { ...published, reply: this.replies },
        }),
      },
      boot: this.boot,
      wallMs: () => this.wallMs,
      emit: ({ account }) => {
        this.account = account;
      },
    });
  }

  async pass(minutes: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(minutes * 60_000);
  }
}

describe("what LTE cost", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is counted over a card that comes anew, a program that is killed, and a machine that boots", async () => {
    const machine = new Machine();
    machine.card = 5_000;
    const first = machine.start();
    machine.card = 9_000;
    [machine.sent, machine.replies] = [3_000, 1_000];
    await machine.pass(1);
    expect(machine.account).toMatchObject({ month: 9_000, by: { reply: 1_000, connection: 2_000, other: 6_000 } });
    // The modem was reset: its card is gone, and back with new counters.
    machine.card = null;
    await machine.pass(2);
    machine.card = 700;
    await machine.pass(1);
    expect(machine.account?.month).toBe(9_700);
    // Killed after it was kept: what the card counted meanwhile is counted by the next life.
    await machine.pass(15);
    vi.clearAllTimers();
    machine.card = 1_500;
    [machine.sent, machine.replies] = [0, 0];
    const second = machine.start();
    expect(machine.account?.month).toBe(10_500);
    machine.card = 2_000;
    second.stop();
    // Another boot: the counters began at nothing, and all that they say is new.
    machine.boot = 2;
    machine.card = 300;
    const third = machine.start();
    expect(machine.account?.month).toBe(11_300);
    third.stop();
    first.stop();
  });

  it("begins anew with what is not a file of ours, and counts nothing without LTE", async () => {
    const machine = new Machine();
    writeFileSync(join(machine.data, "data-usage.json"), '{"v":1,"boot":1,"card":"x","account":{"month":null}}');
    machine.start().stop();
    expect(machine.account).toMatchObject({ day: 0, month: 0 });
  });
});

describe("measures of a site on LTE alone", () => {
  const MINUTE = 60_000;
  const calm = { temperatureC: 40, load: 0.1, machine: { disk: "ok" } };

  it("are told hourly, and sooner when they moved by more than their deadband", () => {
    const gate = new TelemetryGate();
    const told: number[] = [];
    for (let minute = 0; minute <= 240; minute += 5) {
      const measures = { ...calm, load: Math.sin(minute), temperatureC: minute >= 70 ? 46 : 40 + (minute % 4) };
      if (gate.wants(measures, "normal", minute * MINUTE)) told.push(minute);
    }
    expect(told).toEqual([0, 60, 75, 135, 195]);
    expect(gate.wants({ ...calm, machine: { disk: "bad" } }, "normal", 211 * MINUTE)).toBe(true);
    expect(gate.wants({ ...calm, machine: { disk: "ok" } }, "normal", 212 * MINUTE)).toBe(false);
  });

  it("are told each time where that costs nothing, seldom when the budget runs out, and never when it is spent", () => {
    const count = (thrift: null | "saving" | "last") => {
      const gate = new TelemetryGate();
      let told = 0;
      for (let minute = 0; minute < 1_440; minute += 5) if (gate.wants(calm, thrift, minute * MINUTE)) told++;
      return told;
    };
    expect([count(null), count("saving"), count("last")]).toEqual([288, 4, 0]);
  });
});

describe("the patience of a path", () => {
  it("is kept on the card, and a file that is none is no reason to stop", () => {
    const data = folderOf();
    expect(keepaliveMemory(data).saved("lte")).toBeNull();
    keepaliveMemory(data).save("lte", 410);
    expect(keepaliveMemory(data).saved("lte")).toBe(410);
    expect(keepaliveMemory(data).saved("primary")).toBeNull();
    writeFileSync(join(data, "keepalive.json"), "[1,");
    expect(keepaliveMemory(data).saved("lte")).toBeNull();
    expect(() => keepaliveMemory(join(data, "nowhere")).save("lte", 60)).not.toThrow();
  });
});
