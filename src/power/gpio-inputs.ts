import type { GpioKernel } from "../linux/gpio.ts";
import { findLine, requestText } from "./gpio-lines.ts";

/** Contacts that outlets observe, read from lines of the board. The kernel debounces; we look every 20 ms. */

export interface InputLine {
  /** `s1`, as `observe:` names it. */
  readonly input: string;
  readonly chip: string;
  readonly line: string;
  readonly bias: "pull-up" | "pull-down" | "disabled" | "as-is";
  readonly debounceMs: number;
  /** The level at which the load has power. */
  readonly present: "high" | "low";
}

export interface GpioInputs {
  stop(): void;
}

export interface InputEvents {
  sensed(input: string, present: boolean): void;
  /** Told once per reason; an input that fails is tried again. */
  failed(input: string, why: string): void;
}

/** 16 ioctls of 0.3 µs each 50 times a second cost less than one wake-up of the event loop. */
const LOOK_MS = 20;
const RETRY_MS = 5_000;

export function watchGpioInputs(wanted: readonly InputLine[], kernel: GpioKernel, events: InputEvents): GpioInputs {
  const watched = wanted.map((one) => ({ one, fd: null as number | null, last: null as boolean | null, why: "" }));
  type Watched = (typeof watched)[number];

  const fail = (state: Watched, why: string): void => {
    if (state.fd !== null) kernel.release(state.fd);
    if (state.why !== why) events.failed(state.one.input, why);
    Object.assign(state, { fd: null, last: null, why });
  };

  const open = (state: Watched): void => {
    try {
      state.fd = request(state.one, kernel);
      state.why = "";
    } catch (error) {
      fail(state, error instanceof Error ? error.message : String(error));
    }
  };

  const look = (state: Watched): void => {
    if (state.fd === null) return;
    try {
      const present = kernel.read(state.fd) === (state.one.present === "high");
      if (present !== state.last) events.sensed(state.one.input, present);
      state.last = present;
    } catch (error) {
      fail(state, error instanceof Error ? error.message : String(error));
    }
  };

  const lookAtAll = (): void => watched.forEach(look);
  watched.forEach(open);
  lookAtAll();
  const timers = [
    setInterval(lookAtAll, LOOK_MS),
    setInterval(() => watched.filter(({ fd }) => fd === null).forEach(open), RETRY_MS),
  ];
  return {
    stop() {
      for (const timer of timers) clearInterval(timer);
      for (const { fd } of watched) if (fd !== null) kernel.release(fd);
    },
  };
}

function request(one: InputLine, kernel: GpioKernel): number {
  const { chip, offset } = findLine(one, kernel);
  const { bias, debounceMs } = one;
  try {
    return kernel.request(chip, offset, `towpath:${one.input}`, { kind: "input", bias, debounceMs });
  } catch (error) {
    throw new Error(requestText(error, one.line, chip, offset, kernel));
  }
}
