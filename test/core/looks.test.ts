import { describe, expect, it } from "vitest";
import { Bench } from "./bench.ts";

describe("a question that comes over two connections", () => {
  const count = (bench: Bench, type: string) => bench.effects.filter((one) => one.type === type).length;

  it("is answered once, the way that it came first; a repeat over the same one is answered again", () => {
    const bench = new Bench();
    const id = bench.id();
    const status = (via: "lte" | "primary") => bench.ask({ kind: "status", id }, "alice", { via });
    status("primary");
    const before = count(bench, "reply");
    status("lte");
    expect(count(bench, "reply")).toBe(before);
    status("primary");
    expect(count(bench, "reply")).toBe(before + 1);
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
