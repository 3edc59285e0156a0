import type { SiteConfig } from "../src/config/config.ts";
import type { Code } from "../src/core/codes.ts";
import { inputOf } from "../src/core/plan.ts";
import type { FdStore } from "../src/linux/fd-store.ts";
import type { GpioKernel } from "../src/linux/gpio.ts";
import type { Lines } from "../src/power/bank.ts";
import { type InputLine, watchGpioInputs } from "../src/power/gpio-inputs.ts";
import { openGpioLines, type RelayLine } from "../src/power/gpio-lines.ts";
import type { LogLine } from "../src/site/edges.ts";

/** The real board of a site: its relay lines, taken over as they run, and the inputs that outlets observe. */
export interface SiteBoard {
  readonly lines: Lines;
  /** What could not be had. */
  readonly notes: readonly { readonly code: Code; readonly detail: string }[];
  /** `present` is null when the input cannot be read any more. */
  senseInputs(sensed: (input: string, present: boolean | null) => void): void;
  stop(): void;
}

export interface SiteBoardDeps {
  readonly kernel: GpioKernel;
  readonly store: FdStore;
  readonly log: (line: LogLine) => void;
}

export function openSiteBoard(config: SiteConfig, { kernel, store, log }: SiteBoardDeps): SiteBoard {
  const lines = openGpioLines(relayLines(config), { kernel, store });
  for (const [relay, source] of lines.sources) {
    const { line } = config.board.relays[relay] ?? {};
    log({ level: "info", code: "relay.taken-over", relay, line, source, high: levelOf(lines, relay) });
  }
  let inputs: { stop(): void } | null = null;
  return {
    lines,
    notes: [...lines.faults].map(([relay, why]) => ({ code: "relay.unavailable", detail: `relay ${relay}: ${why}` })),
    senseInputs(sensed) {
      const failed = (input: string, why: string): void => {
        log({ level: "error", code: "input.unavailable", input, detail: why });
        sensed(input, null);
      };
      inputs = watchGpioInputs(inputLines(config), kernel, { sensed, failed });
    },
    stop() {
      inputs?.stop();
      lines.close();
    },
  };
}

/** Null where it cannot be read just now: that is this relay's trouble, not the site's. */
function levelOf(lines: Lines, relay: number): boolean | null {
  try {
    return lines.read(relay);
  } catch {
    return null;
  }
}

function relayLines({ plan, board }: SiteConfig): RelayLine[] {
  return Object.values(plan.outlets).flatMap(({ name, relay }): RelayLine[] => {
    const on = board.relays[relay];
    if (on === undefined) return [];
    // While nobody drives it the relay is as the board says; the first level that we drive leaves it there.
    const energised = on.while.booting === "energised";
    const coldHigh = energised === (board.energised === "high");
    return [{ relay, outlet: name, chip: on.chip, line: on.line, coldHigh }];
  });
}

function inputLines({ plan, board }: SiteConfig): InputLine[] {
  const used = new Set(Object.values(plan.outlets).flatMap(({ observe }) => inputOf(observe) ?? []));
  return [...used].flatMap((input): InputLine[] => {
    const wire = board.inputs[input];
    return wire === undefined ? [] : [{ input, ...wire }];
  });
}
