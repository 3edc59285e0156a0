import { existsSync } from "node:fs";
import { join } from "node:path";
import type { SiteConfig } from "../src/config/config.ts";
import { powerOf } from "../src/core/plan.ts";
import { openFdStore } from "../src/linux/fd-store.ts";
import { lockFile } from "../src/linux/flock.ts";
import { kernelGpio } from "../src/linux/gpio.ts";
import type { Lines } from "../src/power/bank.ts";
import { openGpioLines } from "../src/power/gpio-lines.ts";
import { openSimBoard } from "../src/sim/board.ts";

/** `towpath doctor --relay N`: one relay, moved by hand on site, to prove the wiring before the controller runs. */

export type Clicked =
  | { readonly ok: true; readonly steps: readonly string[] }
  | { readonly ok: false; readonly why: string };

export interface Clicking {
  readonly config: SiteConfig;
  readonly relay: number;
  /** Shown what will move; false leaves everything as it is. */
  readonly agreed: (preview: string) => Promise<boolean>;
  readonly wait: () => Promise<void>;
}

export async function clickRelay(clicking: Clicking): Promise<Clicked> {
  const { config, relay } = clicking;
  const wire = config.board.relays[relay];
  if (wire === undefined) return { ok: false, why: `the board has no relay ${relay}` };
  // Never made here: a lock that root made would keep the controller's own user out for good.
  const lockPath = join(config.data, "lock");
  const lock = existsSync(lockPath) ? lockFile(lockPath, "existing") : { release: () => undefined };
  if (lock === null) {
    const why = `the controller of ${config.data} runs and holds the lines; use \`towpath power cycle\`, or stop it first`;
    return { ok: false, why };
  }
  const { lines, close } = openLines(config, relay);
  try {
    return await click(clicking, lines);
  } catch (error) {
    return { ok: false, why: error instanceof Error ? error.message : String(error) };
  } finally {
    close();
    lock.release();
  }
}

function openLines({ board, plan, data }: SiteConfig, relay: number): { lines: Lines; close(): void } {
  const count = Object.keys(board.relays).length;
  if (board.kind === "simulated") return { lines: openSimBoard(data, count, Date.now).lines, close: () => undefined };
  const wire = board.relays[relay];
  const outlet = Object.values(plan.outlets).find((one) => one.relay === relay)?.name ?? `relay-${relay}`;
  const coldHigh = (wire?.while.booting === "energised") === (board.energised === "high");
  const wanted = wire === undefined ? [] : [{ relay, outlet, chip: wire.chip, line: wire.line, coldHigh }];
  const opened = openGpioLines(wanted, { kernel: kernelGpio, store: openFdStore({}) });
  return { lines: opened, close: () => opened.close() };
}

async function click({ config, relay, agreed, wait }: Clicking, lines: Lines): Promise<Clicked> {
  const before = lines.read(relay);
  if (!(await agreed(previewText(config, relay, before)))) return { ok: false, why: "not agreed: nothing was moved" };
  const steps: string[] = [];
  const drive = (high: boolean): void => {
    lines.write(relay, high);
    const back = lines.read(relay);
    if (back !== high)
      throw new Error(`the line reads ${word(back)} after ${word(high)} was driven: look at board and wiring`);
    steps.push(`line ${word(high)}, read back ${word(back)}`);
  };
  // An impatient Ctrl-C must not leave the relay where it is now.
  const hold = () => undefined;
  for (const signal of SIGNALS) process.on(signal, hold);
  try {
    drive(!before);
    await wait();
    drive(before);
  } finally {
    if (lines.read(relay) !== before) lines.write(relay, before);
    for (const signal of SIGNALS) process.off(signal, hold);
  }
  return { ok: true, steps };
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const word = (high: boolean): string => (high ? "high" : "low");

function previewText({ board, plan }: SiteConfig, relay: number, high: boolean): string {
  const wire = board.relays[relay];
  const energised = high === (board.energised === "high");
  const outlet = Object.values(plan.outlets).find((one) => one.relay === relay);
  const place = `relay ${relay} (${wire?.line}${wire?.pin ? `, pin ${wire.pin}` : ""})`;
  const turns = `${energised ? "energised" : "released"}; for one second it will be ${energised ? "released" : "energised"}`;
  if (outlet === undefined) return `${place} is ${turns}. No outlet of the config is on it.`;
  const now = powerOf(outlet.contact, energised);
  return `${place} is ${turns}. Its outlet ${outlet.name} (${outlet.contact.toUpperCase()}) is ${now} and will be ${now === "on" ? "OFF" : "ON"} for that second.`;
}
