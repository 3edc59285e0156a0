import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventsStore } from "../../src/collect/events-store.ts";
import { TrackStore } from "../../src/collect/track-store.ts";
import type { ModelSite } from "./model-site.ts";
import { begun, World } from "./world.ts";

function said(site: ModelSite, console = "router1"): string {
  const boots = site.lives.get(console) ?? new Map();
  return [...boots.values()]
    .flatMap((life) => life.pieces.map((one: { data: Uint8Array }) => Buffer.from(one.data).toString()))
    .join("");
}

describe("collecting from a site that ships", () => {
  it("what the console said is stored, acknowledged, and mapped to the site's wall clock", async () => {
    const world = await begun();
    world.site.speak("router1", "hello");
    await world.pass(5_000);
    expect(world.stored()).toBe("boot\r\nhello");
    expect(world.site.acked.get("101/router1/rx")).toBe(11);
    const [first] = world.index();
    expect(Math.abs(Number(first?.wall) - world.nowMs)).toBeLessThan(60_000);
    expect(world.site.reads).toBeLessThan(3);
  });

  it("a gap that the site declares stands in the index at its place, and a person is told", async () => {
    const world = await begun();
    world.site.lose("router1", 40);
    world.site.speak("router1", "after");
    await world.pass(10_000);
    expect(world.stored()).toBe("boot\r\nafter");
    expect(world.index()).toContainEqual(expect.objectContaining({ offset: 6, gap: { cause: "overrun", length: 40 } }));
    expect(world.site.acked.get("101/router1/rx")).toBe(51);
    expect(world.told).toContainEqual(expect.objectContaining({ type: "gap", console: "router1", cause: "overrun" }));
  });

  it("a gap of unknown length, heard as an event, is written once however often it is told", async () => {
    const world = await begun();
    const gap = { console: "router1", track: "rx", boot: 101, offset: 6, cause: "replug", length: null, count: 3 };
    world.site.record("gap", gap);
    world.site.record("gap", gap);
    await world.pass(15_000);
    expect(world.index().filter((line) => "gap" in line)).toMatchObject([
      { gap: { cause: "replug", length: null, count: 3 }, offset: 6 },
    ]);
  });

  it("a receiver that comes late fetches the past, and what the ring no longer has is a declared gap", async () => {
    const world = new World();
    for (let line = 0; line < 40; line++) world.site.speak("router1", `line ${line}\r\n`);
    world.site.recycle("router1", 10);
    world.site.acked.set("101/router1/rx", 300);
    world.site.record("start");
    world.site.record("link");
    world.site.online();
    world.connect();
    await world.pass(20_000);
    expect(world.stored()).toBe(said(world.site));
    expect(world.index()[0]).toMatchObject({ offset: 0, gap: { cause: "quota", length: 80 } });
    await world.pass(100_000);
    expect(world.events_()).toEqual([1, 2]);
  });

  it("a reboot begins at 0 again, and both boots are there", async () => {
    const world = await begun();
    world.site.reboot();
    world.site.speak("router1", "second life");
    world.site.online();
    await world.pass(10_000);
    expect(world.stored()).toBe("boot\r\nsecond life");
    expect(world.index().map(({ boot, offset }) => [boot, offset])).toEqual([
      [101, 0],
      [118, 0],
    ]);
  });

  it("a panic is told with the lines around it, also when it is cut in two on the way", async () => {
    const world = await begun();
    world.site.speak("router1", "eth0 down\r\nKernel pa");
    await world.pass(7_000);
    expect(world.told).toEqual([]);
    world.site.speak("router1", "nic - not syncing\r\n");
    await world.pass(7_000);
    const [event] = world.told;
    expect(event).toMatchObject({ type: "pattern", console: "router1", match: "panic", offset: 24 });
    expect(event?.lines).toEqual(["boot", "eth0 down", "Kernel panic - not syncing"]);
    world.site.speak("router1", "panic again\r\n");
    await world.pass(7_000);
    expect(world.told.length).toBe(1);
  });

  it("a full disk stops the acknowledgements and loses nothing; with room it goes on by itself", async () => {
    const world = await begun();
    world.folder.free = 1_000;
    world.site.speak("router1", "while full ");
    world.site.record("link");
    await world.pass(30_000);
    // It is told anew what is safe, and that is no more than before.
    world.site.online();
    await world.pass(10_000);
    expect(world.site.acked.get("101/router1/rx")).toBe(6);
    expect(world.site.acked.get("0/ledger")).toBeUndefined();
    expect(world.told).toContainEqual(
      expect.objectContaining({ type: "storage", where: "collector", state: "degraded" }),
    );
    const status = JSON.parse(Buffer.from(world.folder.text("status.json")).toString());
    expect(status.disk).toMatchObject({ state: "failing" });
    world.folder.free = 1e12;
    await world.pass(30_000);
    expect(world.stored()).toBe("boot\r\nwhile full ");
    expect(world.site.acked.get("101/router1/rx")).toBe(17);
    expect(world.site.acked.get("0/ledger")).toBe(2);
    expect(world.told.at(-1)).toMatchObject({ type: "storage", where: "collector", state: "ok" });
  });

  it("a site that goes and comes is told once each way, by the broker's word for it", async () => {
    const world = await begun();
    world.site.offline();
    await world.pass(2_000);
    world.site.offline();
    await world.pass(2_000);
    world.site.online();
    await world.pass(2_000);
    world.site.tellState("degraded");
    await world.pass(2_000);
    expect(world.told.map(({ type }) => type)).toEqual(["offline", "online", "storage"]);
  });
});

describe("a site that the broker says is online", () => {
  it("is told as gone when nothing is heard of it for eleven minutes, once, and as back when it speaks", async () => {
    const world = await begun({ ships: false });
    await world.pass(10 * 60_000, 5_000);
    expect(world.told).toEqual([]);
    await world.pass(5 * 60_000, 5_000);
    expect(world.told).toMatchObject([{ type: "offline", why: "silent, though the broker says online" }]);
    world.site.tellState("ok");
    await world.pass(5_000);
    expect(world.told.map(({ type }) => type)).toEqual(["offline", "online"]);
  });
});

describe("collecting from a site that ships nothing", () => {
  it("with --pull everything comes by reads alone, and nothing is asked for twice", async () => {
    const world = await begun({ ships: false, pullMs: 10_000 });
    for (let line = 0; line < 3_000; line++) world.site.speak("router1", `${line} some words of a router\r\n`);
    await world.pass(40_000);
    expect(world.stored()).toBe(said(world.site));
    const reads = world.site.reads;
    await world.pass(60_000);
    // Only how far each console goes, once each period.
    expect(world.site.reads - reads).toBeLessThanOrEqual(7);
  });

  it("without --pull it is left alone", async () => {
    const world = await begun({ ships: false });
    await world.pass(200_000);
    expect(world.site.reads).toBe(0);
    expect(world.stored()).toBe("");
  });

  it("a key that may not view is said in the status, and not asked with in a hurry", async () => {
    const world = new World({ ships: false, pullMs: 5_000 });
    world.site.refuse = "role.denied";
    world.site.speak("router1", "secret");
    world.site.online();
    world.connect();
    await world.pass(300_000);
    expect(world.site.reads).toBeLessThan(12);
    const status = JSON.parse(Buffer.from(world.folder.text("status.json")).toString());
    expect(status.sites["acme/one"].problem).toBe("role.denied");
  });
});

describe("a site that cannot read a range", () => {
  it("loses nothing by it when it lists the boot still, and is given up when it does not", async () => {
    const world = await begun();
    world.site.speak("router1", "while it fails ");
    world.site.acked.set("101/router1/rx", 21);
    world.site.failing = true;
    world.site.speak("router1", "and after");
    await world.pass(60_000);
    world.site.failing = false;
    await world.pass(400_000, 1_000);
    expect(world.stored()).toBe(said(world.site));
    expect(world.index().some((line) => "gap" in line)).toBe(false);
  });

  it("has a boot that its ring recycled declared lost, and the next boot is not held up", async () => {
    const world = await begun();
    world.site.speak("router1", "soon gone");
    world.site.acked.set("101/router1/rx", 15);
    world.site.lose("router1", 7);
    world.site.lives.get("router1")?.delete(101);
    world.site.reboot();
    world.site.speak("router1", "second life");
    world.site.online();
    await world.pass(600_000, 1_000);
    expect(world.stored()).toBe("boot\r\nsecond life");
    expect(world.index()).toContainEqual(expect.objectContaining({ boot: 101, gap: { cause: "quota", length: 16 } }));
  });
});

describe("whatever the network and the machine do", () => {
  it("in the end the files are what the consoles said, every boot, and the site knows it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const world = new World({ seed });
        world.site.speak("router1", "first ");
        world.site.online();
        world.trouble = 0.3;
        world.connect();
        for (let step = 0; step < 25; step++) {
          await disturb(world, step);
          await world.pass(world.random.between(1, 12) * 500, 500);
        }
        world.trouble = 0;
        await world.pass(600_000, 1_000);
        const boots = [...(world.site.lives.get("router1") ?? [])];
        for (const [boot, life] of boots) expect(world.site.acked.get(`${boot}/router1/rx`) ?? 0).toBe(life.next);
        checkAgainst(world);
        const events = world.site.records.length;
        expect(world.events_()).toEqual(Array.from({ length: events }, (_, index) => index + 1));
      }),
      { numRuns: process.env.TOWPATH_LONG ? 1_000 : 12 },
    );
  }, 300_000);
});

async function disturb(world: World, step: number): Promise<void> {
  const { random, site } = world;
  site.speak("router1", `${step} ${random.hex(random.between(1, 600))}\n`);
  if (random.chance(0.4)) site.record("link", { state: "up" });
  if (random.chance(0.15)) site.lose("router1", random.between(1, 500));
  if (random.chance(0.1)) site.reboot();
  if (random.chance(0.15)) {
    // Killed, or the power went: only what was synced is sure.
    world.folder.crash(() => random.next());
    checkAcknowledged(world);
    world.makeCollector();
    world.connect();
  }
}

/** What the site was told is safe is on the disk of a collector that just died. */
function checkAcknowledged({ folder, site }: World): void {
  const store = new TrackStore(folder, "acme/one/router1.rx");
  for (const boot of site.lives.get("router1")?.keys() ?? [])
    expect(store.committedOf(boot)).toBeGreaterThanOrEqual(site.acked.get(`${boot}/router1/rx`) ?? 0);
  const events = new EventsStore(folder, "acme/one/events.jsonl");
  expect(events.committed).toBeGreaterThanOrEqual(site.acked.get("0/ledger") ?? 0);
}

/** Each byte of each boot stands where the index says, and what has no byte is a declared gap. */
function checkAgainst(world: World): void {
  const files = new Map(world.folder.paths.map((path) => [path, world.folder.text(path)]));
  const next = new Map<number, number>();
  const found = new Map<number, string>();
  for (const [path, bytes] of [...files].filter(([path]) => path.endsWith(".idx")).sort()) {
    const log = files.get(path.replace(/idx$/, "log")) ?? new Uint8Array();
    for (const line of Buffer.from(bytes)
      .toString()
      .split("\n")
      .filter(Boolean)
      .map((one) => JSON.parse(one))) {
      expect(line.offset).toBe(next.get(line.boot) ?? 0);
      next.set(line.boot, line.offset + (line.n ?? line.gap.length));
      const text = Buffer.from(log.subarray(line.at, line.at + (line.n ?? 0))).toString("latin1");
      found.set(line.boot, (found.get(line.boot) ?? "") + text);
    }
  }
  for (const [boot, life] of world.site.lives.get("router1") ?? [])
    expect(found.get(boot)).toBe(life.pieces.map(({ data }) => Buffer.from(data).toString()).join(""));
}
