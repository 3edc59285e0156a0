import { expect, it } from "vitest";
import { BootClocks } from "../../src/operator/boot-clocks.ts";
import { eventLine } from "../../src/operator/cli/event-line.ts";

const at = { seq: 12, boot: 7, mono: 5_000, prev: "ab".repeat(32) };

it("an event's line says what was decided by whom, and leaves the evidence to `towpath audit`", () => {
  const intent = { id: "01A", by: "alice", verb: "cycle", target: "router1", outlets: ["a1"] };
  const line = eventLine({ ...at, kind: "intent", intent, signed: '{"body":"eyJ2"}' }, new BootClocks());
  expect(line).toContain("#12 intent");
  expect(line).toContain('by=alice verb=cycle target=router1 outlets=["a1"]');
  for (const noise of ["prev", "signed", "eyJ2"]) expect(line).not.toContain(noise);
});

it("an event's line of a new trust has its epoch and not the whole document", () => {
  const line = eventLine({ ...at, kind: "trust", epoch: 3, by: "ada", document: "{}" }, new BootClocks());
  expect(line).toContain("trust epoch=3 by=ada");
  expect(line).not.toContain("document");
});
