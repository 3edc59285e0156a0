import type { Chip, GpioKernel, LineInfo } from "../../src/linux/gpio.ts";
import type { Facts } from "./facts.ts";

/** The gpiochips asked themselves: their labels, and who holds which line. Null where this user may not ask. */
export function gpioFacts(kernel: GpioKernel): Pick<Facts, "chips" | "heldLines"> {
  return {
    chips: () => orNull(() => kernel.chips().map(({ label, lines }) => ({ label, lines }))),
    heldLines: () =>
      orNull(() =>
        kernel.chips().flatMap((chip) =>
          kernel
            .lines(chip)
            .filter((line) => line.used)
            .flatMap((line) =>
              names(chip, line).map((name) => ({ chip: chip.label, line: name, consumer: line.consumer })),
            ),
        ),
      ),
  };
}

/** Boards name a line by its name, or by its offset. */
function names(chip: Chip, { name, offset }: LineInfo): string[] {
  const header = chip.label.startsWith("pinctrl-") ? [`GPIO${offset}`] : [];
  return [...new Set([name, `#${offset}`, ...header])].filter((one) => one !== "");
}

function orNull<T>(ask: () => T): T | null {
  try {
    return ask();
  } catch {
    return null;
  }
}
