import { expect, it } from "vitest";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { KIND } from "../../src/journal/record.ts";
import { type Batch, Ring } from "../../src/journal/ring.ts";

const PAYLOAD = new Uint8Array(200);

function batch(position: number): Batch<null> {
  return { records: [{ kind: KIND.ledger, track: 0, boot: 1, position, monoMs: 0, payload: PAYLOAD }], tag: null };
}

it("what is written again after a failed sync is marked in each segment that it takes, also over a sync in between", () => {
  const disk = createMemoryDisk();
  let heads = 0;
  const ring = new Ring<null>(disk, "ledger", {
    ...{ segmentBytes: 4_096, segments: 8, syncAtRoll: true },
    // The state grows: the next segment takes less.
    head: () => ({ payload: new Uint8Array(heads++ * 400), floor: 0 }),
    salt: () => Buffer.alloc(8),
  });
  const give = (from: number, to: number): void => {
    for (let position = from; position < to; position++) ring.append(batch(position));
    ring.flush();
  };
  give(0, 12);
  disk.onCall = ({ what }) => (what === "sync" ? { error: new Error("EIO") } : null);
  // The next segment begins only when this one is on the medium, and that fails.
  expect(() => give(12, 24)).toThrow("EIO");
  disk.onCall = null;
  ring.sync();
  // The first one, of which no sync ever confirmed anything, was taken again for the last.
  expect(ring.segments().map(({ head }) => head.rewrites)).toEqual([true, true]);
  const held = ring.segments().flatMap((one) => [...ring.read(one)].filter(({ kind }) => kind === KIND.ledger));
  expect(new Set(held.map(({ position }) => position)).size).toBe(24);
  give(24, 40);
  expect(ring.segments().at(-1)?.head.rewrites).toBe(false);
});
