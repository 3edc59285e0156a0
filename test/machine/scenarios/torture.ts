import assert from "node:assert/strict";
import { seeded } from "../../sim/random.ts";
import type { Guest, Scenario } from "../guest.ts";
import { FIRST, type LaidSite, NEXT, ready, sleep } from "../site.ts";

/** Starts, stops, kills and upgrades at random moments: the kernel's trace of the relay lines stays empty. */

const RELAY_LINES = [17, 27];

const WAYS = [
  "kill -9 $pid",
  "kill -TERM $pid",
  "kill -ABRT $pid",
  "systemctl restart towpath",
  "systemctl stop towpath; systemctl start towpath",
  "systemctl kill -s KILL towpath; sleep 0.2; systemctl kill -s KILL towpath || true",
  `dpkg -i ${NEXT}`,
  `dpkg -i --force-downgrade ${FIRST}`,
];

export interface Tortured {
  restarts: number;
  edges: number;
}

export async function tortureRestarts(guest: Guest, site: LaidSite, rounds: number, seed: number): Promise<Tortured> {
  const random = seeded(seed);
  const operator = site.operator();
  let edges = 0;
  for (let round = 0; round < rounds; round++) {
    const before = await ready(guest);
    if (round % 4 === 0) await operator.power(round % 8 === 0 ? "off" : "on", "router1");
    const levels = new Map((await guest.pins()).map(({ line, level }) => [line, level]));
    await guest.gpioTrace();
    const way = WAYS[round < WAYS.length ? round : random.between(0, WAYS.length - 1)] ?? "";
    await sleep(random.between(0, 1_500));
    await guest.expect(`pid=${before}; ${way}`, { timeoutMs: 180_000 });
    await ready(guest, before);
    const moved = (await guest.gpioTrace()).filter(
      ({ line, kind, value }) => RELAY_LINES.includes(line) && !(kind === "value" && value === levels.get(line)),
    );
    edges += moved.length;
    if (moved.length > 0) process.stdout.write(`        ${way}: ${JSON.stringify(moved)}\n`);
  }
  return { restarts: rounds, edges };
}

export function torture(site: LaidSite, rounds: number): Scenario {
  return {
    name: `${rounds} starts, stops, kills and upgrades at random moments: zero edges`,
    async run(guest) {
      const { restarts, edges } = await tortureRestarts(guest, site, rounds, 1);
      assert.deepEqual([restarts, edges], [rounds, 0]);
    },
  };
}
