import type { Event } from "../src/core/events.ts";
import type { SitePlan } from "../src/core/plan.ts";
import type { CaptureItem } from "../src/journal/store.ts";
import { plainPath } from "../src/link/plain-path.ts";

/**
 * Signs of life of the managed devices: a console that speaks, an address that answers. An answer is a connection that
 * is made or refused: either takes a machine that runs. Nothing is sent on it.
 */
export interface Life {
  /** What consoles said just now. */
  spoke(items: readonly CaptureItem[]): void;
  stop(): void;
}

const TOLD_EVERY_MS = 1_000;
const ASKED_EVERY_MS = 5_000;
const ANSWER_MS = 3_000;
const DEFAULT_PORT = 22;

export function watchLife(plan: SitePlan, monoMs: () => number, emit: (event: Event) => void): Life {
  const told = new Map<string, number>();
  const tell = (source: string): void => {
    const now = monoMs();
    if (now - (told.get(source) ?? Number.NEGATIVE_INFINITY) < TOLD_EVERY_MS) return;
    told.set(source, now);
    emit({ type: "life-sensed", source });
  };
  const addresses = addressesOf(plan);
  const asking = new Set<string>();
  const askAll = (): void => {
    for (const address of addresses) {
      if (asking.has(address)) continue;
      asking.add(address);
      answers(address, (there) => {
        asking.delete(address);
        if (there) tell(`address ${address}`);
      });
    }
  };
  const timer = addresses.length > 0 ? setInterval(askAll, ASKED_EVERY_MS) : null;
  askAll();
  return {
    spoke(items) {
      for (const { track, content } of items) {
        if ("data" in content && track.endsWith("/rx")) tell(`console ${track.slice(0, -"/rx".length)}`);
      }
    },
    stop() {
      if (timer !== null) clearInterval(timer);
    },
  };
}

function addressesOf(plan: SitePlan): string[] {
  const observed = Object.values(plan.outlets).flatMap(({ observe }) =>
    observe !== null && "address" in observe ? observe.address : [],
  );
  return [...new Set([...observed, ...Object.values(plan.devices).flatMap(({ address }) => address ?? [])])];
}

/** Calls back once: whether somebody is there. */
export function answers(address: string, done: (there: boolean) => void): void {
  const { host, port } = partsOf(address);
  plainPath()
    .connect(host, port, AbortSignal.timeout(ANSWER_MS))
    .then(
      (socket) => {
        socket.on("error", () => undefined);
        socket.destroy();
        done(true);
      },
      // Who refuses is there.
      (error: Error) => done(error.message.includes("ECONNREFUSED")),
    );
}

function partsOf(address: string): { host: string; port: number } {
  const found = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(address);
  return { host: found?.[1] ?? found?.[2] ?? address, port: Number(found?.[3] ?? DEFAULT_PORT) };
}
