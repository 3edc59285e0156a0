import { describe, expect, it } from "vitest";
import { readStatusFile } from "../../src/collect/status.ts";
import { encodeChunk } from "../../src/protocol/chunk.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { begun, World } from "./world.ts";

it("the last words before a console fell silent are fetched after an interruption, though nobody sends them again", async () => {
  const world = await begun();
  // Lost on the way here, and acknowledged by another receiver.
  world.trouble = 1;
  world.site.speak("router1", "last words");
  await world.pass(3_000);
  world.site.stall = true;
  world.trouble = 0;
  world.site.online();
  await world.pass(1_200_000, 1_000);
  expect(world.stored()).toBe("boot\r\nlast words");
  const reads = world.site.reads;
  for (let flap = 0; flap < 60; flap++) {
    world.site.online();
    await world.pass(10_000, 1_000);
  }
  expect(world.site.reads - reads).toBeLessThan(4);
});

it("a console that the site refuses to read does not hold up the holes of the others, and the status names it", async () => {
  const world = await begun();
  world.site.speak("switch1", "x");
  world.site.online();
  await world.pass(10_000);
  world.site.refusals.set("router1", "console.unknown");
  world.trouble = 1;
  for (const name of ["switch1", "router1"]) world.site.speak(name, "lost on the way ");
  await world.pass(5_000);
  world.trouble = 0;
  world.site.stall = true;
  // A piece of the end came, so that it is known that the rest is missing.
  const late = { boot: 101, monoMs: 1, marks: [] };
  const tail = encodeChunk({ ...late, offset: 20, data: Buffer.from("y ") });
  world.inject(`${world.site.root}/up/capture/router1/rx`, tail);
  world.inject(
    `${world.site.root}/up/capture/switch1/rx`,
    encodeChunk({ ...late, offset: 16, data: Buffer.from(" ") }),
  );
  await world.pass(300_000, 1_000);
  expect(world.stored("switch1")).toBe("xlost on the way ");
  expect(world.stored("router1")).toBe("boot\r\n");
  const { consoles } = JSON.parse(Buffer.from(world.folder.text("status.json")).toString()).sites["acme/one"];
  expect(consoles.router1.problem).toBe("console.unknown");
  expect(consoles.switch1.problem).toBeNull();
  expect(world.site.reads).toBeLessThan(30);
});

describe("a disk under the folder that fails the collector", () => {
  const failWith = (code: string): never => {
    throw Object.assign(new Error(`${code}: it does`), { code });
  };

  it("and cannot say how full it is: nothing is acknowledged, and all is stored when it can", async () => {
    const world = await begun();
    const { freeBytes } = world.folder;
    world.folder.freeBytes = () => failWith("ENOENT");
    world.site.speak("router1", "meanwhile ");
    await world.pass(10_000);
    expect(world.site.acked.get("101/router1/rx")).toBe(6);
    expect(world.logged).toContain("nothing is acknowledged: ENOENT: it does");
    world.folder.freeBytes = freeBytes;
    await world.pass(10_000);
    expect(world.site.acked.get("101/router1/rx")).toBe(16);
    expect(world.stored()).toBe("boot\r\nmeanwhile ");
  });

  it("with one console's files: it is named, not acknowledged, and the other consoles are collected", async () => {
    const world = await begun();
    const { list } = world.folder;
    world.folder.list = (path) => (path.endsWith("/router1.rx") ? failWith("EIO") : list(path));
    world.makeCollector();
    world.connect();
    world.site.speak("router1", "lost? ");
    world.site.speak("switch1", "goes on");
    world.site.online();
    await world.pass(30_000);
    expect(world.stored("switch1")).toBe("goes on");
    expect(world.site.acked.get("101/switch1/rx")).toBe(7);
    expect(world.site.acked.get("101/router1/rx")).toBe(6);
    const status = readStatusFile(world.folder.text("status.json"));
    expect(status?.unreadable).toEqual({ "acme/one/router1.rx": "EIO: it does" });
  });

  it("with one site's events: that site is named, and the collector runs", async () => {
    const world = await begun();
    world.site.record("link");
    await world.pass(10_000);
    const { size } = world.folder;
    world.folder.size = (path) => (path.endsWith("events.jsonl") ? failWith("ELOOP") : size(path));
    world.makeCollector();
    world.connect();
    await world.pass(30_000);
    const status = readStatusFile(world.folder.text("status.json"));
    expect(status?.unreadable).toEqual({ "acme/one": "ELOOP: it does" });
    expect(status?.sites).toEqual({});
  });
});

describe("records that somebody else puts on the topic of events, which are not signed", () => {
  const forge = (world: World, seq: number) =>
    world.inject(`${world.site.root}/up/event`, Buffer.from(JSON.stringify({ records: [{ seq, kind: "forged" }] })));

  it("whatever their number, every record of the site is stored, before a restart and after it", async () => {
    const world = await begun();
    for (let index = 0; index < 5; index++) world.site.record("link", { state: "up" });
    await world.pass(30_000);
    for (const seq of [9_007_199_254_740_990, 8, 40]) {
      forge(world, seq);
      await world.pass(30_000);
    }
    for (let index = 0; index < 5; index++) world.site.record("power");
    await world.pass(120_000, 500);
    expect(world.events_()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(world.site.acked.get("0/ledger")).toBe(11);
    expect(world.collector.sites[0]?.events.lost).toBe(0);
    expect(Buffer.from(world.folder.text("acme/one/events.jsonl")).toString()).not.toContain("forged");
    world.makeCollector();
    world.connect();
    world.site.record("power");
    await world.pass(60_000, 500);
    expect(world.events_().at(-1)).toBe(11);
  });

  it("with exactly the next number: it is not stored, the site's own is, and the status tells of it", async () => {
    const world = await begun();
    forge(world, 1);
    await world.pass(1_000);
    expect(world.folder.paths).not.toContain("acme/one/events.jsonl");
    world.site.record("link", { state: "up" });
    world.site.record("link", { state: "down" });
    forge(world, 2);
    await world.pass(60_000);
    expect(world.events_()).toEqual([1, 2]);
    expect(Buffer.from(world.folder.text("acme/one/events.jsonl")).toString()).not.toContain("forged");
    expect(world.site.acked.get("0/ledger")).toBe(3);
    const status = readStatusFile(world.folder.text("status.json"));
    expect(status?.sites["acme/one"]?.forged).toBe(2);
  });

  it("while somebody tells each of them otherwise, all the time, the site's own are stored", async () => {
    const world = await begun();
    world.forging = true;
    for (let index = 0; index < 5; index++) {
      world.site.record("link", { state: "up" });
      forge(world, world.collector.sites[0]?.events.next ?? 0);
      await world.pass(60_000, 500);
    }
    // The live ones were lost on the way: what a read brings is told otherwise too.
    world.site.records.push({ seq: 6, kind: "power" });
    world.site.stall = true;
    world.site.online();
    await world.pass(600_000, 1_000);
    expect(world.events_()).toEqual([1, 2, 3, 4, 5, 6]);
    expect(Buffer.from(world.folder.text("acme/one/events.jsonl")).toString()).not.toContain("forged");
  });

  it("are not asked about for each of them: the site's own records of a minute are a few small questions", async () => {
    const world = await begun();
    const reads = world.site.reads;
    for (let index = 0; index < 120; index++) {
      world.site.record("link", { state: "up" });
      await world.pass(500);
    }
    await world.pass(20_000);
    expect(world.events_()).toHaveLength(120);
    expect(world.site.reads - reads).toBeLessThan(20);
  });

  it("records that the site's own card no longer has are given up, in the middle of its ledger too", async () => {
    const world = new World({ ships: false });
    world.trouble = 1;
    for (let index = 0; index < 9; index++) world.site.record("link", { state: "up" });
    world.trouble = 0;
    world.site.records.splice(0, 2);
    world.site.records.splice(2, 3);
    world.site.records.pop();
    world.site.online();
    world.connect();
    await world.pass(300_000, 500);
    expect(world.events_()).toEqual([3, 4, 8]);
    expect(world.site.acked.get("0/ledger")).toBe(9);
    expect(world.collector.sites[0]?.events.lost).toBe(5);
  });
});

describe("a site whose numbers begin again", () => {
  it("with a new card: its events are stored behind the old ones, acknowledged, and a person is told", async () => {
    const world = await begun();
    for (let index = 0; index < 9; index++) world.site.record("link", { state: "up" });
    await world.pass(30_000);
    world.site.newCard();
    world.site.boot = 300;
    for (let index = 0; index < 3; index++) world.site.record("power");
    world.site.online();
    await world.pass(60_000);
    world.site.record("power");
    await world.pass(120_000, 500);
    expect(world.events_()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4]);
    expect(world.site.acked.get("0/ledger")).toBe(5);
    expect(world.told).toContainEqual(expect.objectContaining({ type: "renumbered", had: 10 }));
    world.makeCollector();
    world.connect();
    world.site.record("power");
    await world.pass(30_000);
    expect(world.events_().slice(-5)).toEqual([1, 2, 3, 4, 5]);
    const status = readStatusFile(world.folder.text("status.json"));
    expect(status?.sites["acme/one"]?.renumbered).toMatchObject({ had: 10 });
  });

  it("in the same boot: what its console says is stored as a stretch of its own, and the overlap declared", async () => {
    const world = await begun();
    world.site.speak("router1", "a".repeat(500));
    await world.pass(30_000);
    world.site.newCard();
    world.site.speak("router1", "PANIC ");
    world.site.start++;
    world.site.online();
    await world.pass(120_000, 500);
    expect(world.stored()).toBe(`boot\r\n${"a".repeat(500)}PANIC `);
    expect(world.site.acked.get("101/router1/rx")).toBe(6);
    expect(world.told).toContainEqual(expect.objectContaining({ type: "gap", cause: "renumbered", length: null }));
    world.makeCollector();
    world.connect();
    world.site.speak("router1", "goes on");
    await world.pass(120_000, 500);
    expect(world.stored().endsWith("PANIC goes on")).toBe(true);
    expect(world.site.acked.get("101/router1/rx")).toBe(13);
  });
});

describe("messages in the names of sites that somebody invents", () => {
  const invent = async (world: World, count: number): Promise<string[]> => {
    for (let index = 0; index < count; index++)
      world.inject(`${siteRoot("acme", `invented-${index}`)}/up/event`, Buffer.from('{"records":[{"seq":1}]}'));
    await world.pass(15_000);
    return [...new Set(world.folder.paths.map((path) => path.split("/")[1] ?? ""))].filter((name) => name !== "");
  };

  it("leave nothing on the disk where a list of sites is believed, and one line in the log", async () => {
    const world = new World();
    world.onlyKnown = true;
    world.makeCollector();
    world.site.speak("router1", "boot\r\n");
    world.site.online();
    world.connect();
    expect(await invent(world, 300)).toEqual(["one"]);
    expect(world.logged.filter((line) => line.includes("not in the list of sites"))).toHaveLength(1);
    expect(world.stored()).toBe("boot\r\n");
  });

  it("are bounded where there is none", async () => {
    const world = await begun();
    expect(await invent(world, 300)).toEqual(["one"]);
    expect(world.collector.sites).toHaveLength(251);
    expect(world.logged.join()).toContain("name it with --site");
  });
});
