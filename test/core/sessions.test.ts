import { describe, expect, it } from "vitest";
import type { Effect } from "../../src/core/events.ts";
import type { SessionMode, SessionRights, SessionWho } from "../../src/core/sessions.ts";
import { Bench, TRUST } from "./bench.ts";

const ALICE: SessionWho = { name: "alice", key: "key-alice", local: false };
const VERA: SessionWho = { name: "vera", key: "key-vera", local: false };
const SOMEBODY: SessionWho = { name: "local", key: null, local: true };

function attach(
  bench: Bench,
  id: string,
  who: SessionWho,
  mode: SessionMode = "type",
  rights: SessionRights = "trust",
  console = "router1",
): void {
  bench.emit({ type: "session-attached", id, console, who, rights, mode, from: "socket" });
}

function told(bench: Bench, id: string): string[] {
  return bench.effects
    .filter((one): one is Extract<Effect, { type: "session-told" }> => one.type === "session-told" && one.id === id)
    .map(({ notice }) => {
      if (notice.about === "lease") return `${notice.what} ${notice.why}${notice.by === null ? "" : ` ${notice.by}`}`;
      return notice.about === "ended" ? `ended ${notice.code}` : `send ${notice.name} ${notice.code ?? "yes"}`;
    });
}

const typists = (bench: Bench): readonly string[] =>
  bench.effects.filter((one) => one.type === "seats-changed").at(-1)?.typists ?? [];

const recorded = (bench: Bench): string[] =>
  bench.records.flatMap((one) => (one.kind === "session" ? [`${one.by} ${one.what}`] : []));

describe("who is attached to a console", () => {
  it("an operator types, a viewer watches, whoever came by the local socket types; each is recorded", () => {
    const bench = new Bench();
    attach(bench, "1", ALICE);
    attach(bench, "2", VERA);
    attach(bench, "3", SOMEBODY);
    expect([told(bench, "1"), told(bench, "2"), told(bench, "3")]).toEqual([
      ["type free"],
      ["refused right"],
      ["refused held alice"],
    ]);
    expect(typists(bench)).toEqual(["1"]);
    expect(recorded(bench)).toEqual(["alice attached", "alice typing", "vera attached", "local attached"]);
  });

  it("who has no right there, or names what is not there, is turned away and sits nowhere", () => {
    const bench = new Bench();
    attach(bench, "1", { name: "mallory", key: "key-mallory", local: false });
    attach(bench, "2", { name: "alice", key: null, local: false });
    attach(bench, "3", ALICE, "watch", "trust", "nothing");
    attach(bench, "4", { name: "rex", key: "key-rex", local: false });
    expect(["1", "2", "3", "4"].map((id) => told(bench, id)[0])).toEqual([
      "ended role.denied",
      "ended role.denied",
      "ended console.unknown",
      "ended role.denied",
    ]);
    expect(bench.state.sessions.open).toEqual({});
  });

  it("a new trust takes the right to type from who holds it, and lets go who may not even look, at once", () => {
    const bench = new Bench();
    attach(bench, "1", ALICE);
    attach(bench, "2", VERA, "watch");
    const operators = TRUST.operators.map((one) => (one.name === "alice" ? { ...one, roles: ["viewer"] } : one));
    bench.state = {
      ...bench.state,
      trust: { ...TRUST, epoch: 4, sha256: "t4", operators, revoked: ["vera"] },
    };
    bench.emit({ type: "tick" });
    expect(told(bench, "1").at(-1)).toBe("watch right");
    expect(told(bench, "2").at(-1)).toBe("ended role.denied");
    expect(typists(bench)).toEqual([]);
  });

  it("a BREAK is for who types and has the verb; what is sent is recorded", () => {
    const bench = new Bench();
    attach(bench, "1", ALICE);
    attach(bench, "2", SOMEBODY, "watch");
    attach(bench, "3", VERA, "watch");
    for (const id of ["1", "2", "3"]) bench.emit({ type: "session-send", id, name: "break" });
    expect([told(bench, "1").at(-1), told(bench, "2").at(-1), told(bench, "3").at(-1)]).toEqual([
      "send break yes",
      "send break lease.held",
      "send break role.denied",
    ]);
    expect(recorded(bench)).toContain("alice sent");
    expect(recorded(bench).filter((one) => one.endsWith("sent"))).toHaveLength(1);
  });

  it("a session that is not heard for 30 s loses the right to type by the clock alone", () => {
    const bench = new Bench();
    attach(bench, "1", ALICE);
    bench.pass(29_000);
    expect(told(bench, "1")).toEqual(["type free"]);
    bench.pass(1_000);
    expect(told(bench, "1")).toEqual(["type free", "watch expired"]);
    bench.emit({ type: "session-detached", id: "1", how: "lost", typed: 3, shown: 10, missed: 0 });
    expect(bench.state.sessions.seats).toEqual({});
    expect(bench.records.at(-1)).toMatchObject({ kind: "session", what: "detached", how: "lost", typed: 3, shown: 10 });
  });

  it("programs that come and go at a listener are counted after twenty records a minute", () => {
    const bench = new Bench();
    const program: SessionWho = { name: "raw 127.0.0.1:4001", key: null, local: false };
    for (let n = 0; n < 200; n++) {
      attach(bench, `p${n}`, program, "watch", "watch");
      bench.emit({ type: "session-detached", id: `p${n}`, how: "left", typed: 0, shown: 0, missed: 0 });
    }
    expect(recorded(bench)).toHaveLength(20);
    expect(bench.records.some((one) => one.kind === "ignored")).toBe(true);
    bench.nowMs += 60_000;
    attach(bench, "again", program, "type", "type");
    expect(recorded(bench).slice(20)).toEqual([`${program.name} attached`, `${program.name} typing`]);
  });

  it("the state says who types and how many look on", () => {
    const bench = new Bench();
    attach(bench, "1", ALICE);
    attach(bench, "2", VERA, "watch");
    bench.pass(1_000);
    const state = bench.effects.filter((one) => one.type === "publish").at(-1);
    expect(state?.body.consoles).toMatchObject({ router1: { typing: "alice", watching: 1 } });
  });
});
