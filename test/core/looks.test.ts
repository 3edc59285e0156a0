import { describe, expect, it } from "vitest";
import { Bench } from "./bench.ts";

describe("a question that comes over two connections", () => {
  const count = (bench: Bench, type: string) => bench.effects.filter((one) => one.type === type).length;

  it("is answered once, the way that it came first; a repeat over the same one is answered again", () => {
    const bench = new Bench();
    const id = bench.id();
    const args = { console: "router1", track: "rx" } as const;
    const read = (via: "lte" | "primary") => bench.ask({ kind: "read", id, args }, "alice", { via });
    read("primary");
    const before = count(bench, "read-range");
    read("lte");
    expect(count(bench, "read-range")).toBe(before);
    read("primary");
    expect(count(bench, "read-range")).toBe(before + 1);
  });

  it("a short one is answered both ways: the way that it came first may be dying just then", () => {
    const bench = new Bench();
    const id = bench.id();
    bench.ask({ kind: "status", id }, "alice", { via: "primary" });
    bench.ask({ kind: "status", id }, "alice", { via: "lte" });
    const told = bench.effects.filter((one) => one.type === "reply" && one.reply.id === id);
    expect(told).toMatchObject([{ via: "primary" }, { via: "lte" }]);
  });

  it("reads and watches once, and not at all sooner for an unsigned copy", () => {
    const bench = new Bench();
    const id = bench.id();
    const args = { console: "router1" } as const;
    bench.ask({ kind: "watch", id, args }, "alice", { via: "lte", signers: [], signatures: 0 });
    bench.ask({ kind: "watch", id, args }, "alice", { via: "primary" });
    bench.ask({ kind: "watch", id, args }, "alice", { via: "lte" });
    expect(bench.effects.filter((one) => one.type === "watch")).toMatchObject([{ via: "primary" }]);
  });
});
