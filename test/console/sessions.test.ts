import { describe, expect, it, vi } from "vitest";
import { seeded } from "../sim/random.ts";
import { ALICE, LOCAL, sessionWorld, VERA, type Viewing } from "./session-world.ts";

const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });
const live = (viewing: Viewing) => eventually(() => expect(viewing.last("at")?.live).toBe(true));

describe("a session on a console", () => {
  it("many watch, one types; who only watches is told why nothing happens", async () => {
    const world = sessionWorld();
    const alice = world.view(ALICE);
    const vera = world.view(VERA, "watch");
    await Promise.all([live(alice), live(vera)]);
    world.say("login: ");
    alice.type("root\r");
    vera.type("x");
    await eventually(() => expect(world.typed()).toBe("root\r"));
    await eventually(() => expect(vera.last("refused")).toMatchObject({ what: "type", code: "lease.held" }));
    expect([alice.seen(), vera.seen()]).toEqual(["login: ", "login: "]);
    expect(vera.last("people")?.people).toEqual([
      { name: "alice", from: "socket", role: "typing", you: false },
      { name: "vera", from: "socket", role: "watching", you: true },
    ]);
  });

  it("who loses the right to type is told by whom; who leaves frees it, and the ledger tells both", async () => {
    const world = sessionWorld();
    const alice = world.view(ALICE);
    await eventually(() => expect(alice.last("lease")).toMatchObject({ what: "type" }));
    const local = world.view(LOCAL, "steal");
    await eventually(() => expect(alice.last("lease")).toMatchObject({ what: "watch", why: "stolen", by: "local" }));
    alice.ask({ t: "request" });
    await eventually(() => expect(local.last("lease")).toMatchObject({ what: "asked", by: "alice" }));
    local.hangUp();
    await eventually(() => expect(alice.last("lease")).toMatchObject({ what: "type", why: "left", by: "local" }));
    const told = world.bench.records.flatMap((one) => (one.kind === "session" ? [`${one.by} ${one.what}`] : []));
    expect(told).toEqual([
      "alice attached",
      "alice typing",
      "local attached",
      "alice watching",
      "local typing",
      "alice typing",
      "local detached",
    ]);
  });

  it("a viewer who stops reading is told what it missed, and the others miss nothing", async () => {
    const world = sessionWorld();
    const slow = world.view(VERA, "watch");
    const quick = world.view(ALICE, "watch");
    await Promise.all([live(slow), live(quick)]);
    slow.stall(true);
    let all = "";
    for (let n = 0; n < 4_000; n++) {
      const text = `line ${n} ${"x".repeat(100)}\r\n`;
      all += text;
      world.say(text);
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => expect(quick.seen()).toBe(all));
    slow.stall(false);
    await eventually(() => expect(slow.last("missed")?.bytes).toBeGreaterThan(100_000));
    world.say("and on\r\n");
    await eventually(() => expect(slow.seen()).toContain("and on"));
    const missed = slow.messages.filter((one) => one.t === "missed").reduce((sum, one) => sum + one.bytes, 0);
    expect(slow.seen().length + missed).toBe(all.length + "and on\r\n".length);
    for (const { offset, text } of slow.pieces)
      expect(`${all}and on\r\n`.slice(offset, offset + text.length)).toBe(text);
  });

  it("begins with the last lines, or from an offset, and goes on without a hole or a repeat under a flood", async () => {
    const world = sessionWorld();
    const random = seeded(7);
    let all = "";
    const speak = (): void => {
      const text = `${random.hex(random.between(1, 200))}\r\n`;
      all += text;
      world.say(text);
    };
    for (let n = 0; n < 400; n++) speak();
    const lines = world.view(ALICE, "watch", { lines: 3 });
    await live(lines);
    await eventually(() =>
      expect(lines.seen()).toBe(
        all
          .split(/(?<=\n)/)
          .slice(-3)
          .join(""),
      ),
    );
    const viewers = [lines, world.view(VERA, "watch", { from: 0 })];
    for (let n = 0; n < 600; n++) {
      speak();
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(viewers.map(live));
    for (const viewing of viewers) {
      const begin = viewing.messages.find((one) => one.t === "at");
      const start = begin?.t === "at" ? begin.offset : -1;
      await eventually(() => expect(viewing.seen()).toBe(all.slice(start)));
    }
  });

  it("a sequence that can stop the device wants a yes; a BREAK is told to everybody and needs the verb", async () => {
    const world = sessionWorld();
    const alice = world.view(ALICE);
    const vera = world.view(VERA, "watch");
    await Promise.all([live(alice), live(vera)]);
    alice.ask({ t: "send", name: "sysrq-b" });
    await eventually(() => expect(alice.last("confirm")).toMatchObject({ name: "sysrq-b" }));
    expect(world.done).toEqual([]);
    alice.ask({ t: "send", name: "sysrq-b", confirmed: true });
    await eventually(() => expect(vera.last("sent")).toEqual({ t: "sent", name: "sysrq-b", by: "alice" }));
    expect(world.done).toEqual(["<break>", "b"]);
    vera.ask({ t: "send", name: "break" });
    await eventually(() => expect(vera.last("refused")).toMatchObject({ code: "role.denied" }));
    alice.ask({ t: "send", name: "hello" });
    await eventually(() => expect(world.done).toEqual(["<break>", "b", "hi", "<break>"]));
    alice.ask({ t: "send", name: "nonsense" });
    await eventually(() => expect(alice.last("refused")).toMatchObject({ code: "sequence.unknown" }));
  });

  it("a paste goes no faster than the console is configured for, and ends with who pasted it", async () => {
    const world = sessionWorld({ pacing: { charMs: 2, lineMs: 60 } });
    const alice = world.view(ALICE);
    await live(alice);
    const begun = performance.now();
    alice.type("abcd\rxy\r");
    await eventually(() => expect(world.typed()).toBe("abcd\rxy\r"));
    expect(performance.now() - begun).toBeGreaterThan(60);
    expect(Math.max(...world.done.map((one) => one.length))).toBeLessThanOrEqual(5);
    alice.type("z\r".repeat(200));
    await eventually(() => expect(world.typed()).toContain("z"));
    alice.hangUp();
    await eventually(() => expect(world.bench.state.sessions.open).toEqual({}));
    const reached = world.typed().length;
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(world.typed().length).toBe(reached);
    expect(reached).toBeLessThan(200);
  });

  it("a line that programs set in turn goes back to what it was with the last of them, also over a replug", async () => {
    const world = sessionWorld();
    const viewer = { data: () => undefined, tell: () => undefined, end: () => undefined };
    const open = (name: string) => {
      const who = { name, key: null, local: false };
      const session = world.sessions.open(
        { console: "router1", who, rights: "type", mode: "steal", from: name },
        viewer,
      );
      if (session === null) throw new Error("no session");
      return session;
    };
    const first = open("first");
    first.setLine({ ...first.line(), baudRate: 19_200 });
    const second = open("second");
    second.setLine({ ...second.line(), baudRate: 115_200 });
    first.leave("left");
    expect(world.line().baudRate).toBe(115_200);
    world.portDown = true;
    second.leave("left");
    expect(world.line().baudRate).toBe(115_200);
    world.portDown = false;
    world.happen({ type: "console-changed", console: "router1", state: "up", code: null, detail: "" });
    expect(world.line().baudRate).toBe(9_600);
    const told = world.bench.records.flatMap((one) =>
      one.kind === "session" && one.what === "line" ? [`${one.was} ${one.line}`] : [],
    );
    expect(told).toEqual(["9600 8n1 19200 8n1", "19200 8n1 115200 8n1"]);
  });

  it("nothing is typed into a console that is not there, and whoever types is told which trouble it has", async () => {
    const world = sessionWorld();
    const alice = world.view(ALICE);
    await live(alice);
    const detail = "two adapters fit";
    world.happen({ type: "console-changed", console: "router1", state: "down", code: "console.quarantined", detail });
    await eventually(() => expect(alice.last("console")).toMatchObject({ state: "down", code: "console.quarantined" }));
    alice.type("reload\r");
    await eventually(() => expect(alice.last("refused")).toMatchObject({ code: "console.quarantined", detail }));
    expect(world.done).toEqual([]);
  });

  it("whoever sends what nobody understands, or has no right there, is told so and let go", async () => {
    const world = sessionWorld();
    const alice = world.view(ALICE);
    await live(alice);
    alice.ask({ t: "send", name: "x".repeat(65) });
    await eventually(() => expect(alice.ended()).toBe(true));
    const mallory = world.view({ name: "mallory", key: "key-m", local: false });
    await eventually(() => expect(mallory.last("ended")).toMatchObject({ code: "role.denied" }));
    world.say("secret");
    await eventually(() => expect(mallory.ended()).toBe(true));
    expect(mallory.seen()).toBe("");
  });
});
