/**
 * One call that moved a line, or let go of it, from the kernel's own tracepoints and a probe in the chip's driver:
 * nothing goes past them, whichever program or library it comes from.
 */
export interface GpioEvent {
  /** CLOCK_MONOTONIC of the guest. */
  readonly atMs: number;
  /** The offset on the Pi's chip: the BCM number. */
  readonly line: number;
  /** Who called, as the tracer saw it: `node-812`. */
  readonly task: string;
  /** `freed`: its last user let it go. What the pin does then is the driver's affair: look at `pins()`. */
  readonly kind: "value" | "direction" | "freed";
  /** value: the level that was set. direction: 1 = input, 0 = output. freed: 0. */
  readonly value: 0 | 1;
}

/**
 * Takes the trace out of the kernel, with what proves that it was on: an empty trace must mean that nothing happened.
 * The kernel's command line switches it on, before anything that could move a line.
 */
export const TRACE_SCRIPT = `cd /sys/kernel/tracing || exit 1
echo "tracing" $(cat tracing_on events/gpio/gpio_value/enable events/gpio/gpio_direction/enable events/machine/gpio_freed/enable)
grep '^gpiochip' /sys/kernel/debug/gpio
dd if=trace_pipe iflag=nonblock bs=64k status=none 2>/tmp/machine.trace
grep -q 'Resource temporarily unavailable' /tmp/machine.trace && echo 'read to its end'`;

/** What turns the trace on at boot; a megabyte a processor holds some ten thousand calls. */
export const TRACE_ARGS = ["trace_event=gpio:gpio_value,gpio:gpio_direction", "trace_clock=mono", "trace_buf_size=1M"];

interface Chip {
  readonly first: number;
  readonly last: number;
}

function chipIn(lines: readonly string[], label: string): Chip {
  for (const line of lines) {
    const found = /^gpiochip\d+: GPIOs (\d+)-(\d+),/.exec(line);
    if (found !== null && line.includes(label)) return { first: Number(found[1]), last: Number(found[2]) };
  }
  throw new Error(`the guest's kernel knows no gpiochip ${label}:\n${lines.slice(0, 5).join("\n")}`);
}

/** A chip may be gone or renumbered, a trace may have been off or too long: none of that is "nothing happened". */
function refuseDoubtful(lines: readonly string[]): void {
  if (lines[0] !== "tracing 1 1 1 1") throw new Error(`the guest's GPIO trace is off: ${lines[0]}`);
  if (lines.at(-1) !== "read to its end")
    throw new Error(`the guest's GPIO trace was not read to its end: ${lines.at(-1)}`);
  const lost = lines.find((line) => line.includes("[LOST"));
  if (lost !== undefined) throw new Error(`the guest's GPIO trace overflowed: ${lost}`);
}

/** Reads the output of `TRACE_SCRIPT`. Levels that were only read, and calls that failed, are not in it. */
export function readGpioTrace(text: string, chipLabel: string): readonly GpioEvent[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  refuseDoubtful(lines);
  const chip = chipIn(lines, chipLabel);
  return lines.flatMap((line) => eventOf(line, chip));
}

function eventOf(line: string, chip: Chip): GpioEvent[] {
  const call = /^\s*(\S.*?-\d+)\s+\[\d+\]\s+\S+\s+([\d.]+): gpio_(value|direction|freed): (.*)$/.exec(line);
  if (call === null) return [];
  const [, task = "", seconds = "", kind = "", rest = ""] = call;
  const at = { atMs: Number(seconds) * 1000, task };
  const freed = /line=(\d+)$/.exec(rest)?.[1];
  if (freed !== undefined) return [{ ...at, line: Number(freed), kind: "freed", value: 0 }];
  const moved = /^(\d+)\s+(?:set ([01])|(in|out) \(0\))$/.exec(rest.trim());
  const [, number = "", set, direction] = moved ?? [];
  const offset = Number(number) - chip.first;
  if (moved === null || offset < 0 || Number(number) > chip.last) return [];
  if (kind === "value") return [{ ...at, line: offset, kind, value: set === "1" ? 1 : 0 }];
  return [{ ...at, line: offset, kind: "direction", value: direction === "in" ? 1 : 0 }];
}
