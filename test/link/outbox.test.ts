import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OUTBOX_LIMITS, Outbox, type Parcel, URGENCIES, type Urgency, urgencyOf } from "../../src/link/outbox.ts";

const parcel = (urgency: Urgency, size = 10, more: Partial<Parcel> = {}): Parcel => ({
  topic: `t/up/${urgency}`,
  payload: new Uint8Array(size),
  retained: false,
  urgency,
  ...more,
});

function takeAll(outbox: Outbox): Parcel[] {
  const taken: Parcel[] = [];
  for (let next = outbox.take(); next !== null; next = outbox.take()) taken.push(next);
  return taken;
}

describe("what waits for a connection", () => {
  it("goes by how much it matters: an answer before alarms, alarms before consoles, old text last", () => {
    const outbox = new Outbox();
    for (const urgency of [...URGENCIES].reverse()) outbox.push(parcel(urgency));
    expect(takeAll(outbox).map(({ urgency }) => urgency)).toEqual(URGENCIES);
  });

  it("an answer never waits behind more than 64 KiB of console text, whatever was asked before", () => {
    const urgency = fc.constantFrom<Urgency>("watched", "telemetry", "unwatched", "backfill");
    const arbitrary = fc.array(fc.tuple(urgency, fc.integer({ min: 1, max: 16 * 1024 })), { maxLength: 60 });
    fc.assert(
      fc.property(arbitrary, fc.integer({ min: 1, max: 32 }), (bulk, brokersWindow) => {
        const outbox = new Outbox();
        outbox.open(brokersWindow);
        for (const [one, size] of bulk) outbox.push(parcel(one, size));
        takeAll(outbox);
        expect(outbox.bulkUnderWay()).toBeLessThanOrEqual(OUTBOX_LIMITS.bulkBytes);
        const reply = parcel("reply");
        expect(outbox.push(reply)).toBe(true);
        if (brokersWindow > 1) expect(outbox.take()).toBe(reply);
      }),
    );
  });

  it("of a retained topic only the newest waits", () => {
    const outbox = new Outbox();
    outbox.open(1);
    outbox.push(parcel("reply"));
    takeAll(outbox);
    let settled = 0;
    for (const size of [1, 2, 3])
      outbox.push(parcel("state", size, { retained: true, topic: "t/up/state", settled: () => settled++ }));
    outbox.push(parcel("state", 9, { retained: true, topic: "t/up/birth" }));
    expect(outbox.waitingBytes()).toBe(12);
    expect(settled).toBe(2);
  });

  it("when it is full, what matters least gives way, and an answer still finds room", () => {
    const outbox = new Outbox({ ...OUTBOX_LIMITS, queueBytes: 1_000, shippedBytes: 10_000 });
    let dropped = 0;
    for (let count = 0; count < 10; count++) outbox.push(parcel("backfill", 100, { settled: () => dropped++ }));
    expect(outbox.push(parcel("unwatched", 100))).toBe(true);
    expect(dropped).toBe(1);
    expect(outbox.push(parcel("backfill", 100))).toBe(false);
    expect(outbox.push(parcel("reply", 900))).toBe(true);
    expect(outbox.push(parcel("reply", 200))).toBe(false);
    expect(outbox.waitingBytes()).toBeLessThanOrEqual(1_000);
  });

  it("shipped text is refused early: the journal has it", () => {
    const outbox = new Outbox();
    let taken = 0;
    while (outbox.push(parcel("unwatched", 16 * 1024))) taken++;
    expect(taken).toBe(4);
    expect(outbox.roomy()).toBe(false);
    expect(outbox.push(parcel("watched", 16 * 1024))).toBe(true);
    takeAll(outbox);
    expect(outbox.roomy()).toBe(true);
  });

  it("counts what waits, whatever came, went and gave way", () => {
    const urgency = fc.constantFrom(...URGENCIES);
    const act = fc.record({ urgency, size: fc.nat(900), retained: fc.boolean(), take: fc.boolean() });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
        const outbox = new Outbox({ ...OUTBOX_LIMITS, queueBytes: 3_000, window: 4, reserved: 1 });
        const settled = new Set<number>();
        const taken = new Set<number>();
        for (const [at, { urgency: one, size, retained, take }] of acts.entries()) {
          if (outbox.push(parcel(one, size, { retained, settled: () => settled.add(at) }))) taken.add(at);
          const next = take ? outbox.take() : null;
          if (next !== null) outbox.finished(next);
          expect(outbox.waitingBytes()).toBeLessThanOrEqual(3_000 + 900);
        }
        outbox.clear();
        expect(outbox.waitingBytes()).toBe(0);
        expect([...settled].sort()).toEqual([...taken].sort());
      }),
    );
  });

  it("a connection that is lost takes what was on its way with it, and says so", () => {
    const outbox = new Outbox();
    let settled = 0;
    const on = parcel("watched", 10, { settled: () => settled++ });
    outbox.push(on);
    takeAll(outbox);
    outbox.push(parcel("state", 10, { settled: () => settled++ }));
    outbox.clear();
    outbox.finished(on);
    expect(settled).toBe(2);
    expect(outbox.take()).toBeNull();
  });
});

describe("how much a topic matters", () => {
  it.each([
    ["up/reply", "reply"],
    ["up/event", "alarm"],
    ["up/state", "state"],
    ["up/birth", "state"],
    ["up/link/lte", "state"],
    ["up/capture/reply/rx", "watched"],
    ["up/telemetry", "telemetry"],
    ["dn/command", "reply"],
  ])("%s is %s", (topic, urgency) => expect(urgencyOf(`towpath/1/00/acme/one/${topic}`)).toBe(urgency));
});
