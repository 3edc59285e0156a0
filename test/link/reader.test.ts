import { describe, expect, it } from "vitest";
import type { ReadResult } from "../../src/core/events.ts";
import type { ReadArgs } from "../../src/core/messages.ts";
import { createMemoryDisk } from "../../src/disk/memory-disk.ts";
import { JournalStore } from "../../src/journal/store.ts";
import { createReader } from "../../src/link/reader.ts";
import { siteRoot } from "../../src/protocol/topics.ts";

/** What is asked for by hand, out of a real journal. */

const BOOT = 2;

/** A journal in which the flood of one boot went over all that was said in the boot before. */
function flooded(): JournalStore {
  const store = new JournalStore(createMemoryDisk(), { captureBytes: 1024 * 1024, ledgerBytes: 512 * 1024 });
  const say = (track: string, boot: number, offset: number, length: number): void =>
    store.appendCapture([{ track, boot, offset, monoMs: offset, content: { data: Buffer.alloc(length, "x") } }]);
  store.announce(["router1/rx", "switch1/rx"]);
  say("router1/rx", 1, 0, 1_000);
  for (let offset = 0; offset < 3_000_000; offset += 8_000) say("router1/rx", BOOT, offset, 8_000);
  return store;
}

function ask(store: JournalStore, args: Partial<ReadArgs>): Promise<ReadResult> {
  return new Promise((resolve) => {
    const reader = createReader({
      root: siteRoot("acme", "one"),
      boot: BOOT,
      monoMs: () => 0,
      journal: {
        readCapture: async (...of) => store.readCapture(...of),
        readLedger: async () => [],
        readLastLedger: async () => [],
        offsetAt: async () => 0,
        stats: async () => store.stat(),
      },
      publish: (_via, _topic, _payload, settled) => {
        settled?.();
        return true;
      },
      emit: (event) => {
        if (event.type === "range-read") resolve(event.result);
      },
      watched: () => undefined,
      shipped: { watchBegun: () => undefined, watchSent: () => undefined },
    });
    reader.perform({ type: "read-range", token: 1, via: "lte", args: { console: "router1", track: "rx", ...args } });
  });
}

describe("reading a boot by its number", () => {
  it("is refused when the journal holds nothing of it any more: an empty answer would say that nothing was said", async () => {
    const store = flooded();
    expect(await ask(store, { boot: 1, from: 500, to: 1_000 })).toEqual({ ok: false, code: "read.range" });
    expect(await ask(store, { boot: BOOT, from: 2_999_990 })).toMatchObject({ ok: true, detail: { bytes: 10 } });
  });

  it("is answered for the present one also where the console has said nothing yet", async () => {
    const answer = await ask(flooded(), { console: "switch1", boot: BOOT });
    expect(answer).toMatchObject({ ok: true, detail: { first: 0, next: 0, bytes: 0 } });
  });
});
