import { Uart } from "./uart.ts";

/** A process of its own that plays many far ends: it goes on, whatever happens to the controller. */

export type ToFarEnd =
  | { type: "open"; ports: number; baudRate: number }
  | { type: "wait-raw" }
  | { type: "talk" }
  | { type: "unplug"; port: number }
  | { type: "plug"; port: number }
  | { type: "hush" };

export type FromFarEnd =
  | { type: "opened"; paths: string[] }
  | { type: "done"; ok: boolean }
  | { type: "hushed"; said: number[]; lost: { closed: number; full: number; unplugged: number } };

const TICK_MS = 5;
const RAW_LIMIT_MS = 15_000;
/** What an opener still does to a port after it made it raw. */
const SETTLE_MS = 300;
const uarts: Uart[] = [];
let timer: NodeJS.Timeout | null = null;

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function waitRaw(): Promise<boolean> {
  const deadline = Date.now() + RAW_LIMIT_MS;
  while (!uarts.every((one) => one.raw())) {
    if (Date.now() > deadline) return false;
    await wait(20);
  }
  await wait(SETTLE_MS);
  return true;
}

async function answer(message: ToFarEnd): Promise<FromFarEnd> {
  switch (message.type) {
    case "open":
      for (let port = 1; port <= message.ports; port++) uarts.push(new Uart(port, message.baudRate));
      return { type: "opened", paths: uarts.map(({ path }) => path) };
    case "wait-raw":
      return { type: "done", ok: await waitRaw() };
    case "talk": {
      const begun = performance.now();
      for (const uart of uarts) uart.begin(begun);
      timer = setInterval(() => {
        for (const uart of uarts) uart.tick(performance.now());
      }, TICK_MS);
      return { type: "done", ok: true };
    }
    case "unplug":
    case "plug":
      uarts[message.port - 1]?.[message.type]();
      return { type: "done", ok: true };
    case "hush": {
      if (timer !== null) clearInterval(timer);
      for (let tries = 0; tries < 500 && !uarts.every((one) => one.drained()); tries++) await wait(20);
      const sum = (of: keyof Uart["lost"]) => uarts.reduce((total, one) => total + one.lost[of], 0);
      const lost = { closed: sum("closed"), full: sum("full"), unplugged: sum("unplugged") };
      return { type: "hushed", said: uarts.map((one) => one.said), lost };
    }
  }
}

let queue: Promise<unknown> = Promise.resolve();
process.on("message", (message: ToFarEnd) => {
  queue = queue.then(() => answer(message)).then((reply) => process.send?.(reply));
});
process.on("disconnect", () => {
  for (const uart of uarts) uart.end();
  process.exit(0);
});
