import { describe, expect, it } from "vitest";
import { fullCard, impossible } from "../torture/full-card.ts";

/** On cards that really fill up. Where nothing can be mounted this is left out, aloud. */

const why = impossible();
if (why !== null) process.stderr.write(`LEFT OUT: a card that is really full: ${why}\n`);

describe.skipIf(why !== null)("a card that is really full", () => {
  for (const card of ["tmpfs", "ext4"] as const) {
    it(`${card}, full from the start: recorded in memory, and on the card as soon as there is room`, async () => {
      const { problems, storage, held, sent } = await fullCard(card, "the start");
      expect(problems).toEqual([]);
      expect(storage).toEqual(["degraded", "ok"]);
      expect(held).toBe(sent);
    });

    it(`${card}, full later: the journal goes on in the room that it holds, and nobody notices`, async () => {
      const { problems, storage, declared } = await fullCard(card, "later");
      expect(problems).toEqual([]);
      expect(storage).toEqual([]);
      expect(declared).toBe(0);
    });
  }
});
