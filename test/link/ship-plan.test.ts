import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { missingIn, type Span, unionOf } from "../../src/core/ranges.ts";
import { type Job, LEDGER_KEY, SHIP_TIMES, ShipPlan, trackKey } from "../../src/link/ship-plan.ts";
import { type Random, seeded } from "../sim/random.ts";

const BOOT = 7;
const RX = trackKey(BOOT, "router1/rx");
const KiB = 1024;

function planWith(next = 0): ShipPlan {
  const plan = new ShipPlan();
  plan.announce({ boot: BOOT, track: "router1/rx", next, backfill: false });
  return plan;
}

/** Everything that may go now, as the shell would send it. */
function drain(plan: ShipPlan, nowMs: number): Job[] {
  const jobs: Job[] = [];
  for (let job = plan.next(nowMs); job !== null; job = plan.next(nowMs)) {
    plan.sent(job, job.to, [], nowMs);
    jobs.push(job);
  }
  return jobs;
}

const ranges = (jobs: readonly Job[]) => jobs.map(({ from, to }) => [from, to]);

describe("what is shipped, and when", () => {
  it("while no receiver is known: what is said from now on, once, in batches, and nothing of before", () => {
    const plan = planWith(100_000);
    plan.announce({ boot: 0, track: "ledger", next: 50, backfill: false });
    plan.announce({ boot: 3, track: "router1/rx", next: 500, backfill: true });
    plan.connected(0);
    expect(drain(plan, 100_000)).toEqual([]);
    plan.grown(RX, 100_200, 100_000, false);
    expect(drain(plan, 159_000)).toEqual([]);
    expect(plan.wakeAt(100_000)).toBe(160_000);
    expect(ranges(drain(plan, 160_000))).toEqual([[100_000, 100_200]]);
    plan.grown(RX, 400_000, 170_000, false);
    const sent = ranges(drain(plan, 170_000));
    expect(sent[0]?.[0]).toBe(100_200);
    expect(400_000 - (sent.at(-1)?.[1] ?? 0)).toBeLessThan(16 * KiB);
    expect(drain(plan, 10_000_000)).toHaveLength(1);
    expect(drain(plan, 20_000_000)).toEqual([]);
    expect(plan.wakeAt(20_000_000)).toBeNull();
  });

  it("a receiver that comes then gets everything that nobody acknowledged, in its window", () => {
    const plan = planWith(3_000);
    plan.connected(0);
    plan.grown(RX, 5_000, 3_000, true);
    expect(ranges(drain(plan, 3_000))).toEqual([[3_000, 5_000]]);
    plan.acknowledged([{ boot: BOOT, track: "router1/rx", ranges: [[0, 1_000]] }], 4_000, false);
    expect(ranges(drain(plan, 4_000))).toEqual([[1_000, 5_000]]);
  });

  it("on a way that is paid for, nothing goes while no receiver is known", () => {
    const plan = new ShipPlan({ ...SHIP_TIMES, cast: false });
    plan.announce({ boot: BOOT, track: "router1/rx", next: 100_000, backfill: false });
    plan.connected(0);
    expect(drain(plan, 100_000)).toEqual([]);
    plan.acknowledged([], 100_000, false);
    expect(drain(plan, 100_000)).not.toEqual([]);
  });

  it("after a connect it waits for what the broker kept, and begins where that ends", () => {
    const plan = planWith(3_000);
    plan.acknowledged([], 0, false);
    plan.connected(10_000);
    expect(drain(plan, 11_999)).toEqual([]);
    plan.acknowledged([{ boot: BOOT, track: "router1/rx", ranges: [[0, 2_000]] }], 11_999, true);
    expect(ranges(drain(plan, 12_000))).toEqual([[2_000, 3_000]]);
  });

  it("an unwatched console waits for 16 KiB or 60 s, a panic for nothing", () => {
    const plan = planWith();
    plan.connected(0);
    plan.acknowledged([], 3_000, false);
    plan.grown(RX, 1_000, 10_000, false);
    expect(drain(plan, 69_999)).toEqual([]);
    expect(plan.wakeAt(10_000)).toBe(70_000);
    expect(ranges(drain(plan, 70_000))).toEqual([[0, 1_000]]);
    plan.grown(RX, 1_000 + 40 * KiB, 71_000, false);
    expect(ranges(drain(plan, 71_000))).toEqual([[1_000, 1_000 + 32 * KiB]]);
    plan.grown(RX, 1_100 + 40 * KiB, 72_000, true);
    expect(ranges(drain(plan, 72_000))).toEqual([[1_000 + 32 * KiB, 1_100 + 40 * KiB]]);
  });

  it("what nobody acknowledges is sent again, ever more rarely, a batch at a time", () => {
    const plan = planWith(100_000);
    plan.connected(0);
    plan.acknowledged([], 0, false);
    expect(ranges(drain(plan, 2_000))).toEqual([[0, 100_000]]);
    const again: number[] = [];
    for (let nowMs = 2_000; nowMs < 24 * 3_600_000; nowMs += 1_000) {
      const jobs = drain(plan, nowMs);
      if (jobs.length > 0) again.push(nowMs);
      for (const job of jobs) expect(job.to - job.from).toBeLessThanOrEqual(SHIP_TIMES.batchBytes);
    }
    const waits = again.slice(1).map((at, index) => at - (again[index] ?? 0));
    expect(again[0]).toBe(17_000);
    expect(Math.max(...waits)).toBeGreaterThan(3_000_000);
    // A dead receiver costs a few hundred KiB a day, not all that the line can carry.
    expect(again.length).toBeLessThan(40);
  });

  it("a receiver that comes back is served at once, however long it was silent", () => {
    const plan = planWith(100_000);
    plan.connected(0);
    plan.acknowledged([], 0, false);
    for (let nowMs = 2_000; nowMs < 10 * 3_600_000; nowMs += 1_000) drain(plan, nowMs);
    const back = 10 * 3_600_000 + 500;
    expect(drain(plan, back - 1)).toEqual([]);
    plan.acknowledged([], back, false);
    expect(drain(plan, back + 15_000).length).toBeGreaterThan(0);
  });

  it("what watchers were sent is not sent twice, and is sent when it does not arrive", () => {
    const plan = planWith();
    plan.connected(0);
    plan.acknowledged([], 2_000, false);
    plan.grown(RX, 500, 3_000, false);
    plan.flush(RX);
    expect(ranges(drain(plan, 3_000))).toEqual([[0, 500]]);
    plan.sentElsewhere(RX, 500, 900, 3_250);
    plan.sentElsewhere(RX, 900, 20_000, 3_500);
    expect(drain(plan, 10_000)).toEqual([]);
    plan.acknowledged([{ boot: BOOT, track: "router1/rx", ranges: [[0, 600]] }], 11_000, false);
    expect(ranges(drain(plan, 26_000))).toEqual([[600, 600 + 16 * KiB]]);
  });

  it("a hole is sent again in time, though what lies behind it is acknowledged all along", () => {
    const plan = planWith();
    plan.connected(0);
    plan.acknowledged([], 2_000, false);
    plan.grown(RX, 1_000, 3_000, true);
    drain(plan, 3_000);
    const again: Job[] = [];
    for (let nowMs = 4_000; nowMs <= 30_000; nowMs += 1_000) {
      plan.grown(RX, nowMs, nowMs, true);
      again.push(...drain(plan, nowMs).filter(({ from }) => from === 0));
      plan.acknowledged([{ boot: BOOT, track: "router1/rx", ranges: [[1_000, nowMs]] }], nowMs, false);
    }
    expect(ranges(again)).toEqual([[0, 1_000]]);
  });

  it("an acknowledgement of what was never written counts only up to what was", () => {
    const plan = planWith(1_000);
    plan.connected(0);
    plan.acknowledged([{ boot: BOOT, track: "router1/rx", ranges: [[0, Number.MAX_SAFE_INTEGER]] }], 0, false);
    plan.grown(RX, 2_000, 5_000, true);
    expect(ranges(drain(plan, 5_000))).toEqual([[1_000, 2_000]]);
  });

  it("the ledger goes before consoles, and old boots last", () => {
    const plan = planWith(100);
    plan.announce({ boot: 3, track: "router1/rx", next: 100, backfill: true });
    plan.announce({ boot: 0, track: "ledger", next: 10, backfill: false });
    plan.connected(0);
    plan.acknowledged([], 2_000, false);
    expect(drain(plan, 2_000).map(({ key }) => key)).toEqual([LEDGER_KEY, RX, "3/router1/rx"]);
  });

  it("acknowledgements of thousands of tracks that are not there cost little, and the real one is heard", () => {
    const plan = planWith(1_000);
    plan.connected(0);
    const strange = Array.from({ length: 8_000 }, (_, boot) => ({
      boot,
      track: "x/rx",
      ranges: Array.from({ length: 100 }, (_, at): Span => [at * 2, at * 2 + 1]),
    }));
    plan.acknowledged([...strange, { boot: BOOT, track: "router1/rx", ranges: [[0, 1_000]] }], 0, false);
    expect(drain(plan, 2_000)).toEqual([]);
  });
});

/** A receiver, a way to it that loses, doubles, turns round and breaks, and a ring that forgets: in virtual time. */
class World {
  readonly plan = new ShipPlan({ ...SHIP_TIMES, cast: false });
  readonly random: Random;
  nowMs = 0;
  online = false;
  calm = false;
  up: { key: string; span: Span }[] = [];
  down: ReadonlyMap<string, readonly Span[]>[] = [];
  kept: ReadonlyMap<string, readonly Span[]> | null = null;
  readonly stored = new Map<string, readonly Span[]>();
  readonly heard = new Map<string, readonly Span[]>();
  readonly gone = new Map<string, readonly Span[]>();
  readonly first = new Map<string, number>();
  readonly next = new Map<string, number>();
  mostUnderWay = 0;
  repeatsOfAcknowledged = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
    for (const key of ["7/a/rx", "7/b/rx", "0/ledger"]) this.begin(key, 0, false);
    this.begin("3/a/rx", 50_000, true);
  }

  private begin(key: string, next: number, backfill: boolean): void {
    const [boot, ...track] = key.split("/");
    this.next.set(key, next);
    this.plan.announce({ boot: Number(boot), track: track.join("/"), next, backfill });
  }

  capture(): void {
    const key = this.random.pick(["7/a/rx", "7/b/rx", "0/ledger"]);
    const more = key === LEDGER_KEY ? this.random.between(1, 4) : this.random.between(1, 40_000);
    const next = (this.next.get(key) ?? 0) + more;
    this.next.set(key, next);
    if (this.random.chance(0.1)) this.plan.incident(key, this.nowMs);
    this.plan.grown(key, next, this.nowMs, this.random.chance(0.1));
    if (!this.random.chance(0.1)) return;
    // The ring goes round: what was oldest is there no more.
    const first = Math.max(this.first.get(key) ?? 0, next - this.random.between(0, 60_000));
    this.first.set(key, first);
  }

  ship(): void {
    for (let job = this.plan.next(this.nowMs); job !== null; job = this.plan.next(this.nowMs)) {
      const first = Math.min(job.to, Math.max(job.from, this.first.get(job.key) ?? 0));
      const acknowledged = missingIn(this.heard.get(job.key) ?? [], [job.from, job.to]);
      if (length(acknowledged) < job.to - job.from) this.repeatsOfAcknowledged++;
      if (job.to > first) this.up.push({ key: job.key, span: [first, job.to] });
      this.gone.set(job.key, unionOf([...(this.gone.get(job.key) ?? []), [job.from, first]]));
      this.plan.sent(job, job.to, [[job.from, first]], this.nowMs);
      this.mostUnderWay = Math.max(this.mostUnderWay, this.plan.underWay());
    }
  }

  deliver(): void {
    const at = this.calm ? 0 : this.random.between(0, Math.min(4, Math.max(1, this.up.length)));
    const [message] = this.up.splice(at, 1);
    if (message === undefined) return;
    if (!this.calm && this.random.chance(0.2)) return;
    if (!this.calm && this.random.chance(0.2)) this.up.push(message);
    this.stored.set(message.key, unionOf([...(this.stored.get(message.key) ?? []), message.span]));
    if (this.calm || this.random.chance(0.5)) this.acknowledge();
  }

  acknowledge(): void {
    this.kept = new Map(this.stored);
    if (this.online) this.down.push(this.kept);
  }

  hear(retained: boolean): void {
    const at = this.calm ? 0 : this.random.between(0, Math.min(4, Math.max(1, this.down.length)));
    const ack = retained ? this.kept : this.down.splice(at, 1)[0];
    if (ack === undefined || ack === null || (!this.calm && this.random.chance(0.2))) return;
    const tracks = [...ack].map(([key, all]) => ({
      boot: Number(key.split("/")[0]),
      track: key.slice(key.indexOf("/") + 1),
      ranges: all,
    }));
    for (const [key, all] of ack) this.heard.set(key, unionOf([...(this.heard.get(key) ?? []), ...all]));
    this.plan.acknowledged(tracks, this.nowMs, retained);
  }

  connection(online: boolean): void {
    this.online = online;
    if (!online) {
      this.up = this.up.slice(0, this.random.between(0, this.up.length + 1));
      this.down = [];
      return this.plan.disconnected();
    }
    this.plan.connected(this.nowMs, !this.calm && this.random.chance(0.4));
    this.hear(true);
  }

  step(): void {
    this.nowMs += this.random.between(0, 5_000);
    const what = this.random.between(0, 10);
    if (what <= 2) this.capture();
    else if (what <= 5) this.deliver();
    else if (what <= 7) this.hear(false);
    else if (what === 8) this.connection(this.random.chance(0.7));
    else this.acknowledge();
    this.ship();
  }

  /** Held by the receiver, or gone from the ring before it could be sent. */
  missing(): number {
    let missing = 0;
    for (const [key, next] of this.next) {
      const known = unionOf([...(this.stored.get(key) ?? []), ...(this.gone.get(key) ?? [])]);
      missing += length(missingIn(known, [0, next]));
    }
    return missing;
  }

  /** No more faults; the plan is asked only when something happens, or when it said so. */
  settle(limitMs: number): void {
    this.calm = true;
    this.connection(true);
    // A receiver tells again what it has when it hears that the site is there.
    this.acknowledge();
    const end = this.nowMs + limitMs;
    while (this.nowMs < end) {
      this.ship();
      while (this.up.length > 0 || this.down.length > 0) {
        this.deliver();
        while (this.down.length > 0) this.hear(false);
        this.ship();
      }
      const wakeAt = this.plan.wakeAt(this.nowMs);
      if (wakeAt === null) return;
      this.nowMs = Math.max(this.nowMs + 20, wakeAt);
    }
  }
}

function length(spans: readonly Span[]): number {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}

describe("over a way that loses, doubles, turns round and breaks", () => {
  it("everything arrives or is gone from the ring, the window holds, and it comes to rest", () => {
    let shipped = 0;
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const world = new World(seed);
        for (let steps = 0; steps < 400; steps++) world.step();
        world.settle(3 * 3_600_000);
        shipped += [...world.stored.values()].map(length).reduce((a, b) => a + b, 0);
        expect(world.missing()).toBe(0);
        expect(world.plan.underWay()).toBe(0);
        expect(world.plan.wakeAt(world.nowMs)).toBeNull();
        expect(world.mostUnderWay).toBeLessThanOrEqual(SHIP_TIMES.windowBytes);
        expect(world.repeatsOfAcknowledged).toBe(0);
      }),
      { numRuns: process.env.TOWPATH_LONG === undefined ? 150 : 20_000 },
    );
    expect(shipped).toBeGreaterThan(1_000_000);
  }, 600_000);
});
